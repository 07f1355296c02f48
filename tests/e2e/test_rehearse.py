"""Rehearsal: the change is made on a copy first, and nothing of what serves is touched by it."""
import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess
import time

import pytest

import crashlib
from belaytest import SERVICE, Release, Site, processes_of, wait_until
from production import MIGRATION, assert_untouched, fingerprint, production

ALWAYS = {"rehearse": "always"}


def scripts(run_with="sh"):
    return {"migrations": [{"scripts": {"files": "scripts/*", "run_with": [run_with]}}]}


def releases(migration=MIGRATION, behaviour="", **files):
    return [Release("1.0.0"), Release("1.1.0", behaviour=behaviour, files=files,
                                      migrations={"01_note.sql": migration} if migration else {})]


@pytest.fixture(scope="module")
def disk():
    """In memory, where one may be mounted."""
    with crashlib.mounted("1g") as directory:
        yield directory


@pytest.fixture
def make_site(disk):
    sites = []

    def make(versions, base=disk, **more):
        sites.append(Site(versions, base=base, **more))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def rehearsing(make_site):
    """A site that serves and has rows, with `rehearse: always`."""
    def make(versions, **manifest):
        site = make_site(versions, manifest={**ALWAYS, **manifest})
        site.start()
        with site.writer() as writer:
            writer.wait_for(20)
        return site
    return make


def nothing_left(site):
    assert not list(site.state.glob("runs/*/rehearsal")), "the copy is still there"
    assert not list(site.state.glob("backups/*/.partial-*"))
    wait_until(lambda: not site.run_processes(), 3, what=f"the end of {site.run_processes()}")
    assert site.leftovers() == []
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        assert not [line for line in mounts if line.startswith("overlay ") and str(site.dir) in line]


def rehearse_step(site):
    return next(payload for kind, payload in site.journal()
                if kind == "DONE" and payload["step"] == "rehearse" and not payload["undo"])


def test_a_version_that_works(rehearsing):
    site = rehearsing(releases())
    before = production(site)
    result = site.ok("rehearse", SERVICE)
    assert "works on a copy" in result.out and "Nothing was changed" in result.out
    assert_untouched(site, before)
    nothing_left(site)
    observed = rehearse_step(site)["observed"]
    assert all(observed[part] >= 0 for part in ("restore_ms", "migrate_ms", "start_ms", "verify_ms"))
    assert observed["checks"]["checks"][0]["verdict"] == "pass"
    assert site.journal()[-1][1]["state"] == "succeeded"
    assert not list(site.state.glob("backups/notes/*/MANIFEST.json")), "its backup was to go again"
    assert "rehearsed" in site.ok("runs").out
    plan = json.loads(site.ok("plan", SERVICE, options=("--json",)).out)
    usual = {step["name"]: step.get("usually_ms") for step in plan["steps"]}
    assert (usual["migrate"], usual["start"], usual["verify"]) == \
        (observed["migrate_ms"], observed["start_ms"], observed["verify_ms"])
    assert usual["stop"] is None and plan["expected_downtime"]["runs"] == 0
    assert plan["expected_downtime"]["rehearsed_ms"] == \
        observed["migrate_ms"] + observed["start_ms"] + observed["verify_ms"]
    assert "(as rehearsed)" in site.ok("plan", SERVICE).out


def test_what_a_migration_wrote_in_the_copy_is_kept(rehearsing):
    files = {"scripts/01.sh": "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); done; exit 3"}
    site = rehearsing(releases(None, **files), **scripts())
    result = site.belay("update", SERVICE)
    assert result.code == 1 and "on the copy, migrating failed" in result.err, result
    assert "line 0\n" in site.ok("logs", "--run", "1").out and "line 0\n" not in result.err


def test_an_update_rehearses_and_then_does_it(rehearsing):
    site = rehearsing(releases())
    assert "rehearse on a copy: 1 migration, start, 1 check" in site.ok("plan", SERVICE).out
    with site.writer() as writer:
        site.ok("update", SERVICE)
    steps = [p["step"] for kind, p in site.journal() if kind == "DONE" and not p["undo"]]
    assert steps.index("prove") < steps.index("rehearse") < steps.index("stop")
    site.assert_whole(writer, version="1.1.0")
    nothing_left(site)


def test_auto_rehearses(make_site):
    """With the address as `belay init` writes it, with ${port}: it is asked of the copy, too."""
    site = make_site(releases(), manifest={"rehearse": None, "checks": [
        {"http": {"url": "http://127.0.0.1:${port}/health", "json": {".version": "${version}"}}}]})
    site.start()
    plan = site.ok("plan", SERVICE).out
    assert "start, 1 check" in plan and "cannot be asked" not in plan
    site.ok("update", SERVICE)
    assert rehearse_step(site)["observed"]["checks"]["checks"][0]["verdict"] == "pass"
    site.assert_whole(version="1.1.0")


@pytest.mark.parametrize("versions,part,evidence", [
    (releases("INSERT INTO nowhere VALUES (1);\n"), "migrating", "no such table: nowhere"),
    (releases(behaviour="bad-health"), "verifying", "500"),
    (releases(behaviour="refuse-start"), "verifying", "this release refuses to"),
], ids=["migration", "check", "start"])
def test_a_version_that_fails_is_not_begun(rehearsing, versions, part, evidence):
    site = rehearsing(versions)
    before = production(site)
    result = site.belay("update", SERVICE)
    assert result.code == 1, result
    assert f"on the copy, {part} failed" in result.err and evidence in result.err
    assert "Nothing was changed" in result.out and "belay logs --run 1" in result.err
    assert "== rehearse" in site.ok("logs", "--run", "1").out
    assert_untouched(site, before)
    nothing_left(site)
    end = site.journal()[-1]
    assert end[0] == "END" and end[1]["state"] == "aborted"
    assert "ARM" not in [kind for kind, _ in site.journal()]
    # It says nothing of the version that the update itself would not say: it may be tried.
    assert site.belay("plan", SERVICE).code == 0
    assert site.belay("update", SERVICE, "--no-rehearsal").code == 3


def test_data_that_only_the_new_version_breaks(rehearsing):
    """What the copy holds is the real data: a migration that fails on one row of it fails there."""
    site = rehearsing(releases("CREATE TABLE strict_row(n INTEGER CHECK (n < 5));\n"
                               "INSERT INTO strict_row SELECT n FROM row;\n"))
    result = site.belay("update", SERVICE)
    assert result.code == 1 and "CHECK constraint failed" in result.err
    site.assert_whole(version="1.0.0")


DESTROYER = """\
# What a careless release does: it knows where production is from its own configuration.
. ./paths.conf
test -e "$DATA"/notes.db || exit 8
rm -rf "$DATA"/* "$STATE"/services "$STATE"/backups "$STATE"/runs
echo "NOTES_LIMIT=0" > "$ENV_FILE"
echo gone > "$OTHER" 2>/dev/null
for command in /proc/[0-9]*/cmdline; do
  pid=${command#/proc/}; pid=${pid%/cmdline}
  [ $pid = $$ ] || [ $pid = 1 ] || ! tr '\\0' ' ' <$command | grep -qE -e "--port $PORT_OF |keeper --state $STATE " || kill -9 $pid
done
python3 - <<END || true
import socket
try:
    with socket.socket(socket.AF_UNIX) as other:
        other.connect("$SOCKET")
        other.send(b"drop all")
except OSError as error:
    open("socket.txt", "w").write(error.strerror)
import urllib.request
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:$PORT_OF/rows/999999", method="POST"), timeout=1)
END
grep -qi -e refused -e denied socket.txt || exit 9
rm -rf .git VERSION
exit 7
"""


def test_a_version_that_destroys_all_it_can_reach(make_site):
    site = make_site([Release("1.0.0")], manifest={**ALWAYS, **scripts()})
    other = site.dir / "elsewhere.txt"
    other.write_text("somebody else's\n")
    paths = (f"DATA={site.app}/data\nSTATE={site.state}\nENV_FILE={site.app}/.env\nOTHER={other}\n"
             f"PORT_OF={site.port}\nSOCKET={site.dir}/others.sock\n")
    site.publish(Release("1.1.0", files={"paths.conf": paths, "scripts/01_destroy.sh": DESTROYER}))
    site.start()
    # A database of somebody else's, say, whose socket is neither in /run nor in the checkout.
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(site.dir / "others.sock"))
    listening.listen()
    listening.setblocking(False)
    with site.writer() as writer:
        writer.wait_for(20)
    before = production(site)
    result = site.belay("update", SERVICE)
    assert result.code == 1 and "exited with 7" in result.err, result
    assert_untouched(site, before)
    assert other.read_text() == "somebody else's\n"
    with listening, pytest.raises(BlockingIOError):
        listening.accept()
    nothing_left(site)
    site.assert_whole(writer, version="1.0.0")


def test_what_is_beside_the_checkout_is_in_the_copy(make_site):
    """Untracked things (a node_modules, a compiled program) are there, and writes to them do not last."""
    script = "grep -q made-here tools/untracked && echo changed > tools/untracked && exit 0\nexit 3\n"
    site = make_site([Release("1.0.0", files={".gitignore": ".env\ndata/\ntools/\n"})],
                     manifest={**ALWAYS, **scripts()})
    (site.app / "tools").mkdir()
    (site.app / "tools" / "untracked").write_text("made-here\n")
    site.publish(Release("1.1.0", files={".gitignore": ".env\ndata/\ntools/\n", "scripts/01_look.sh": script}))
    site.start()
    site.ok("rehearse", SERVICE)
    assert (site.app / "tools" / "untracked").read_text() == "made-here\n"


def test_programs_can_tell_that_it_is_a_rehearsal(make_site):
    script = 'test "$BELAY_REHEARSAL" = 1 || exit 4\n'
    check = {"command": {"run": ["sh", "-c", 'test "$BELAY_REHEARSAL" = 1 || test -e data/rehearsed'],
                         "interval": "20ms"}}
    site = make_site([Release("1.0.0")], manifest={**ALWAYS, **scripts()})
    site.publish(Release("1.1.0", files={"scripts/01_look.sh": script}))
    site.manifest["checks"].append(check)
    site.write_manifest()
    (site.app / "data" / "rehearsed").write_text("")    # for preflight, which is none
    site.start()
    site.ok("rehearse", SERVICE)


def test_data_and_settings_outside_of_the_checkout(make_site):
    site = make_site(releases(None), manifest=ALWAYS)
    outside = site.dir / "var"
    outside.mkdir()
    (outside / "env").write_text("NOTES_LIMIT=100\n")
    runtime = site.manifest["runtime"]["process"]
    runtime["command"][runtime["command"].index("data/notes.db")] = str(outside / "notes.db")
    site.manifest.update(backup={"contents": [{"sqlite": "var/notes.db"}]}, migrations=[],
                         configuration={"env_file": "var/env", "set": {"NOTES_VERSION": "${version}"}})
    site.write_manifest()
    site.start()
    with site.writer() as writer:
        writer.wait_for(20)
    before = fingerprint(outside)
    site.ok("rehearse", SERVICE)
    assert fingerprint(outside) == before
    with sqlite3.connect(outside / "notes.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("setting,why", [
    ("DATABASE_URL=postgres://shop:secret-word@db/shop", "its setting DATABASE_URL leads to a postgres server"),
], ids=["database"])
def test_what_cannot_be_isolated_is_left_out_or_refused(make_site, setting, why):
    site = make_site(releases(), manifest={"rehearse": "auto"})
    with open(site.app / ".env", "a", encoding="utf-8") as env:
        env.write(setting + "\n")
    site.start()
    plan = site.ok("plan", SERVICE)
    assert f"not rehearsed: {why}" in plan.out and "rehearse on a copy" not in plan.out
    assert "secret-word" not in plan.out
    refused = site.belay("rehearse", SERVICE)
    assert refused.code == 6 and why in refused.err
    site.manifest["rehearse"] = "always"
    site.write_manifest()
    refused = site.belay("update", SERVICE)
    assert refused.code == 6 and why in refused.err and "--no-rehearsal" in refused.err
    assert site.runs() == []
    site.ok("update", SERVICE, "--no-rehearsal")


def test_a_place_that_is_not_in_the_copy_is_no_fault_of_the_version(make_site):
    site = make_site([Release("1.0.0")], manifest={"rehearse": "auto", **scripts()})
    beyond = site.dir / "beyond"
    beyond.mkdir()
    site.publish(Release("1.1.0", files={"scripts/01_write.sh": f"echo x > {beyond}/x\n"}))
    site.start()
    rehearsed = site.belay("rehearse", SERVICE)
    assert rehearsed.code == 1 and "neither in the service's directory nor" in rehearsed.err
    assert not (beyond / "x").exists()
    said = site.ok("update", SERVICE)
    assert "not rehearsed: on the copy, migrating failed" in said.err
    assert "so not in the copy" in rehearse_step(site)["observed"]["warning"]
    assert (beyond / "x").read_text() == "x\n"
    site.assert_whole(version="1.1.0")


def test_a_path_that_is_one_file_is_a_file_in_the_copy(make_site):
    site = make_site([Release("1.0.0", files={".gitignore": ".env\ndata/\nshop.conf\n"})], manifest={**ALWAYS, **scripts()})
    (site.app / "shop.conf").write_text("limit = 7\n")
    site.manifest["backup"]["contents"].append({"path": str(site.app / "shop.conf")})
    site.write_manifest()
    site.publish(Release("1.1.0", files={".gitignore": ".env\ndata/\nshop.conf\n",
                                         "scripts/01_look.sh": "grep -q 'limit = 7' shop.conf && echo x >> shop.conf\n"}))
    site.start()
    site.ok("rehearse", SERVICE)
    assert (site.app / "shop.conf").read_text() == "limit = 7\n"


def test_without_a_backup_there_is_no_copy(make_site):
    site = make_site(releases(None), manifest={"rehearse": "auto", "migrations": []})
    site.start()
    plan = site.ok("plan", SERVICE, "--no-backup")
    assert "not rehearsed: without a backup there is nothing to make a copy of" in plan.out


def test_no_room_for_a_copy(make_site):
    with crashlib.mounted("40m") as small:
        if small is None:
            pytest.fail("this test mounts a small disk, and may not")
        site = make_site(releases(), manifest={"rehearse": "auto"})
        site.state = pathlib.Path(small) / "state"
        site.start()
        with sqlite3.connect(site.database) as db:
            db.execute("CREATE TABLE big AS SELECT randomblob(14000000) AS b")
        plan = site.belay("plan", SERVICE)
        assert "not rehearsed: the copy and the backup need" in plan.out, plan
        assert site.belay("rehearse", SERVICE).code == 6
        site.kill_all()


@pytest.mark.parametrize("moment", [0.02, 0.15, 0.3])
def test_kill_9_in_the_middle(rehearsing, moment):
    site = rehearsing(releases(behaviour="slow-start:4"))       # it is killed long before that
    before = production(site)
    child = site.belay_start("update", SERVICE)
    wait_until(lambda: site.runs() and any(kind == "INTENT" and p["step"] == "rehearse"
                                           for kind, p in site.journal()), what="the rehearsal")
    time.sleep(moment)
    for process in processes_of(site.dir):
        if process.command.endswith(" runner"):
            process.kill()
    child.communicate(timeout=20)
    # All that the copy was ends with the runner, before anybody has looked.
    wait_until(lambda: not [p for p in site.processes() if p.marked("BELAY_REHEARSAL")], 5,
               what="the end of the copy's processes")
    assert site.belay("resume").code == 3
    assert_untouched(site, before)
    nothing_left(site)
    site.assert_whole(version="1.0.0")


def test_cancel_in_the_middle(rehearsing):
    site = rehearsing(releases(behaviour="slow-start:2"))
    child = site.belay_start("update", SERVICE)
    wait_until(lambda: [p for p in site.processes() if p.marked("BELAY_REHEARSAL")], what="the copy")
    assert site.belay("cancel").code in (0, 3)
    child.communicate(timeout=20)
    assert child.returncode == 3
    nothing_left(site)
    site.assert_whole(version="1.0.0")


def test_without_root(make_site):
    """Namespaces of the user's own do the same."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    site = make_site(releases(), base=None, manifest=ALWAYS)
    site.dir.chmod(0o755)
    subprocess.run(["chown", "-R", "nobody:nogroup", str(site.dir)], check=True)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    site.ok("start", SERVICE, **nobody)
    site.ok("rehearse", SERVICE, **nobody)
    assert site.version() == "1.0.0"
    assert not list(site.state.glob("runs/*/rehearsal"))


def test_as_a_user_of_their_own(make_site):
    """Root rehearses as the service's user: what that one may not read, the copy may not read either."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    site = make_site(releases(), manifest=ALWAYS)
    subprocess.run(["chown", "-R", "nobody:nogroup", str(site.app), str(site.remote)], check=True)
    site.dir.chmod(0o755)
    site.manifest["checks"].append({"command": {"run": ["sh", "-c", "test $(id -un) = nobody"]}})
    site.write_manifest()
    site.start()
    site.ok("rehearse", SERVICE)
    assert not list(site.state.glob("runs/*/rehearsal"))


def test_a_user_whose_home_is_no_directory(make_site, tmp_path):
    """As `useradd --home-dir /dev/null` makes them."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    users = tmp_path / "passwd"
    users.write_text(re.sub(r"^(nobody:.*:)[^:]*(:[^:]*)$", r"\1/dev/null\2", pathlib.Path("/etc/passwd").read_text(),
                            flags=re.M))
    site = make_site(releases(), manifest=ALWAYS)
    subprocess.run(["chown", "-R", "nobody:nogroup", str(site.app), str(site.remote)], check=True)
    site.dir.chmod(0o755)
    site.start()
    done = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', users,
                           *site.command("rehearse", SERVICE)], cwd=site.dir, env=site.environment(), text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
