"""The command line as a person uses it: each verb, each exit status of the table but 75."""
import json
import os
import pathlib
import re
import stat
import subprocess

import pytest

from belaytest import SERVICE, Release, git, wait_until

ADD_COLUMN = {"02_tag.sql": "ALTER TABLE row ADD COLUMN tag TEXT;"}


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0"), Release("1.1.0", migrations=ADD_COLUMN), Release("1.2.0", behaviour="bad-health")])
    made.start()
    return made


def error_of(result):
    """The JSON error of a command that was called with --json."""
    return json.loads(result.out)["error"]


# ---- what is known, what runs

def test_validate_add_list_remove(make_site):
    site = make_site([Release("1.0.0")])
    assert "valid" in site.ok("validate").out
    assert "known now" in site.ok("add").out
    assert "known already" in site.ok("add").out
    listed = json.loads(site.ok("list", options=("--json",)).out)
    assert [entry["service"] for entry in listed] == [SERVICE]
    assert site.belay("remove", "other").code == 2
    site.ok("remove", SERVICE)
    assert json.loads(site.ok("list", options=("--json",)).out) == []


def test_a_bad_manifest_is_shown_with_its_place(make_site):
    site = make_site([Release("1.0.0")])
    text = (site.dir / "belay.yaml").read_text()
    (site.dir / "belay.yaml").write_text(text.replace("timeout: 5s", "timout: 5s"))
    result = site.belay("validate")
    assert result.code == 2
    assert re.search(r"belay\.yaml:\d+:\d+: unknown key", result.err) and 'Did you mean "timeout"?' in result.err


@pytest.mark.parametrize("key, words", [
    ({"runtime": {"compose": {"files": ["docker-compose.yml"]}}}, "no runtime 'compose'"),
    ({"strategy": "rolling"}, "rolling"),
    ({"notify": [{"webhook": {"url": "https://example.com"}}]}, "notify"),
])
def test_what_this_build_has_not_is_said_by_name(make_site, key, words):
    site = make_site([Release("1.0.0")], manifest=key)
    result = site.belay("validate")
    assert result.code == 2 and words in result.err


def test_start_status_verify_logs_stop(make_site):
    site = make_site([Release("1.0.0")])
    assert site.belay("verify", SERVICE).code == 1
    site.start()
    status = json.loads(site.ok("status", options=("--json",)).out)
    assert (status[0]["version"], status[0]["health"], status[0]["running"]) == ("1.0.0", "healthy", True)
    assert "1 of 1 checks pass" in site.ok("verify", SERVICE).out
    first = status[0]["pid"]
    site.ok("start", SERVICE)       # it runs already
    assert json.loads(site.ok("status", options=("--json",)).out)[0]["pid"] == first
    site.ok("restart", SERVICE)
    assert json.loads(site.ok("status", options=("--json",)).out)[0]["pid"] != first
    site.ok("logs", SERVICE)
    assert "is stopped" in site.ok("stop", SERVICE).out
    assert not site.servers()
    assert "stopped" in site.ok("status").out
    assert site.belay("verify", SERVICE).code == 1


def test_start_of_a_sick_version_says_so(make_site):
    site = make_site([Release("1.0.0", behaviour="bad-health")])
    result = site.belay("start", SERVICE)
    assert result.code == 1 and "answered 500" in result.err and "belay logs" in result.err


# ---- the main job

def test_update_reports_and_goes_back(site):
    with site.writer() as writer:
        writer.wait_for(20)
        result = site.ok("update", SERVICE, "v1.1.0")
        writer.wait_for(20)
    assert "1.1.0 serves, verified" in result.out
    site.assert_whole(writer, version="1.1.0")
    assert site.belay("update", SERVICE, "1.1.0").code == 0     # there already
    assert site.runs() == [1]
    report = site.ok("report", "1").out
    assert "# Run #1" in report and "measured every 20 ms" in report and "02_tag.sql" in report
    data = json.loads(site.ok("report", "1", "--format", "json").out)
    assert data["state"] == "succeeded" and data["without_service_measured"]
    site.ok("note", "1", "looked at the slow page")
    assert "looked at the slow page" in site.ok("report", "1").out
    assert "1.1.0" in (site.state / "CURRENT_STATE.md").read_text()
    assert "#1" in site.ok("runs").out and "COMMIT" in site.ok("show", "1").out
    before = site.rows_live()
    result = site.ok("rollback", SERVICE, "--restore")
    assert site.version() == "1.0.0"
    site.assert_whole(version="1.0.0")
    kept = site.rows_in_salvage()
    assert before <= kept | site.rows_live()


def test_a_bad_version_is_rolled_back_and_remembered(site):
    with site.writer() as writer:
        writer.wait_for(20)
        result = site.belay("update", SERVICE, "1.2.0")
        writer.wait_for(5)
    assert result.code == 3, result.err
    assert "answered 500" in result.err and "serves again" in result.out
    site.assert_whole(writer, version="1.0.0", undone=("1.1.0", "1.2.0"))
    again = site.belay("update", SERVICE, "1.2.0", options=("--yes", "--json"))
    assert again.code == 6 and "remembered as bad" in error_of(again)["message"]
    assert site.belay("update", SERVICE, "1.2.0", "--even-if-bad").code == 3
    assert site.belay("update", SERVICE, "1.1.0").code == 0


def test_plan_is_kept_to(site):
    plan = json.loads(site.ok("plan", SERVICE, "1.1.0", options=("--json",)).out)
    names = [step["name"] for step in plan["steps"]]
    assert names.index("stop") < names.index("place") < names.index("migrate") < names.index("start")
    assert site.runs() == []
    assert site.belay("plan", SERVICE, "1.1.0", "--exit-code").code == 10
    text = (site.dir / "belay.yaml").read_text()
    (site.dir / "belay.yaml").write_text(text.replace("for: 300ms", "for: 400ms"))
    result = site.belay("update", SERVICE, "1.1.0", "--plan", plan["plan"])
    assert result.code == 6 and "out of date" in result.err
    new = json.loads(site.ok("plan", SERVICE, "1.1.0", options=("--json",)).out)
    assert site.belay("update", SERVICE, "1.1.0", "--plan", new["plan"]).code == 0


def test_explain_says_where_values_come_from(site):
    text = site.ok("plan", SERVICE, "1.1.0", "--explain").out
    assert re.search(r"start\.timeout\s+5s\s+belay\.yaml:\d+", text)
    assert re.search(r"strategy\s+restart\s+default", text)


def test_check_offers_what_there_is(site):
    git(site.dir / "upstream", "tag", "not-a-version")
    git(site.dir / "upstream", "push", "-q", "origin", "not-a-version")
    found = json.loads(site.ok("check", SERVICE, "--all", options=("--json",)).out)
    assert found["update_available"] and found["newest"]["version"] == "1.2.0"
    assert {v["version"] for v in found["versions"]} == {"1.0.0", "1.1.0", "1.2.0"}
    assert "1 tag is ignored" in site.ok("check", SERVICE, "--all").out
    assert site.belay("check", SERVICE, "--exit-code").code == 10
    assert "1.2.0 (minor)" in site.ok("status").out


# ---- exit 2: wrong usage

@pytest.mark.parametrize("args", [
    ("upate",), ("update", SERVICE, "--", "-rf"), ("update", SERVICE, "a b"), ("update", SERVICE, "$(id)"),
    ("update", "../etc"), ("update", "other"), ("show", "x"), ("show", "99"), ("report", "0"),
    ("report", "1", "--format", "pdf"), ("runs", "--nonsense"), ("update", "--wait-lock", "5"),
    ("backup", "show", SERVICE, "nothing"), ("backup", "verify", SERVICE, "--level", "7"), ("backup",),
    ("lock", SERVICE), ("lock", SERVICE, "-m", "x", "--until", "yesterday"), ("cancel",), ("accept", "7"),
    ("rollback", SERVICE, "--revert", "--restore"), ("status", "a", "b"), ("update", "a\nb"),
    ("plan", SERVICE, "x" * 300), ("logs", SERVICE, "--lines", "-5"),
])
def test_wrong_usage_is_2(make_site, args):
    site = make_site([Release("1.0.0")])
    result = site.belay(*args)
    assert result.code == 2, (result.code, result.err)
    assert result.err.strip(), "nothing was said"
    assert site.runs() == []


def test_what_would_ask_without_a_terminal_is_2(site):
    result = site.belay("update", SERVICE, "1.1.0", options=())
    assert result.code == 2 and "--yes" in result.err
    assert site.version() == "1.0.0"


# ---- exit 5, 6, 7, 8

def test_a_person_locks(site):
    site.ok("lock", SERVICE, "-m", "stocktaking")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 5 and "stocktaking" in result.err and "belay unlock" in result.err
    assert "stocktaking" in site.ok("status").out
    site.ok("unlock", SERVICE)
    site.ok("update", SERVICE, "1.1.0")


def test_refusals_are_6(site):
    missing = site.belay("update", SERVICE, "1.1.1")
    assert missing.code == 6 and "1.1.0" in missing.err       # the nearest
    (site.app / "VERSION").write_text("changed here\n")
    changed = site.belay("update", SERVICE, "1.1.0")
    assert changed.code == 6 and "VERSION" in changed.err
    git(site.app, "checkout", "-q", "VERSION")
    site.ok("update", SERVICE, "1.1.0")
    down = site.belay("update", SERVICE, "1.0.0")
    assert down.code == 6 and "older" in down.err
    site.ok("stop", SERVICE)
    dead = site.belay("update", SERVICE, "1.2.0")
    assert dead.code == 6 and "does not run" in dead.err
    assert site.runs() == [1]


def test_a_moved_tag_is_6(site):
    site.ok("check", SERVICE)
    upstream = site.dir / "upstream"
    git(upstream, "tag", "-f", "v1.1.0", "v1.0.0^{commit}")
    git(upstream, "push", "-q", "-f", "origin", "v1.1.0")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 6 and "v1.1.0" in result.err
    assert site.belay("update", SERVICE, "1.1.0", "--even-if-bad").code == 0


def test_breaking_needs_leave(make_site):
    site = make_site([Release("1.0.0"), Release("2.0.0")])
    site.start()
    result = site.belay("update", SERVICE, "2.0.0")
    assert result.code == 6 and "--accept-breaking" in result.err
    site.ok("update", SERVICE, "2.0.0", "--accept-breaking")
    assert site.version() == "2.0.0"


def test_an_interrupted_run_is_7_until_it_is_ended(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "20s", "every": "50ms"}})
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait", env={"BELAY_NO_KEEPER_RESUME": "1"})
    runner = next(p for p in site.processes() if p.command.endswith(" runner"))
    runner.kill()
    wait_until(lambda: not runner.alive(), what="the runner's end")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 7 and "belay resume" in result.err
    assert site.belay("stop", SERVICE).code == 7
    assert "interrupted" in site.ok("status").out
    assert site.belay("cancel").code == 3
    assert site.ok("resume").out.startswith("no run is open")
    site.assert_whole(version="1.0.0")


def test_users_write_and_rows_vanish_is_8(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="change-schema bad-later:1")],
                     manifest={"monitor": {"for": "10s", "every": "50ms"}})
    site.start()
    with site.writer() as writer:
        writer.wait_for(30)
        result = site.belay("update", SERVICE, "1.1.0")
        assert result.code == 8, (result.code, result.out, result.err)
        assert "belay accept" in result.out and "belay cancel" in result.out
        assert "Going back would change" in result.out
        assert site.belay("resume").code == 8
        assert site.belay("update", SERVICE, "1.0.0").code == 7
        assert site.belay("cancel").code == 3
        writer.wait_for(5)
    site.assert_whole(writer, version="1.0.0", undone=("1.1.0",))


def test_a_person_accepts(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={
        "migrations": [{"manual": {"text": "Rebuild the search index"}}]})
    site.start()
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 8 and "Rebuild the search index" in result.out
    assert site.belay("accept").code == 0
    site.assert_whole(version="1.1.0")
    assert "Rebuild" in site.ok("migrate", "status").out


def test_accept_ends_the_watch(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "1h", "every": "50ms"}})
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait")
    assert site.belay("accept").code == 0       # which follows the run to its end
    site.assert_whole(version="1.1.0")


def test_detach_and_follow(site):
    out = site.ok("update", SERVICE, "1.1.0", "--detach").out
    assert "run #1 goes on" in out
    assert site.belay("resume", "1").code == 0
    site.assert_whole(version="1.1.0")


def test_json_is_lines_of_events_and_then_the_result(site):
    lines = site.ok("update", SERVICE, "1.1.0", options=("--yes", "--json")).lines()
    assert lines[-1]["kind"] == "result" and lines[-1]["state"] == "succeeded" and lines[-1]["exit"] == 0
    steps = [line["step"] for line in lines if line["kind"] == "step" and line["state"] == "done"]
    assert steps.index("prove") < steps.index("stop") < steps.index("verify") < steps.index("record")


# ---- configuration

def test_settings_are_set_and_taken_back(make_site):
    config = {"env_file": "app/.env", "set": {"APP_VERSION": "${version}"}, "secrets": {"APP_SECRET": {"bytes": 32}}}
    site = make_site([Release("1.0.0"), Release("1.1.0"), Release("1.2.0", behaviour="bad-health")],
                     manifest={"configuration": config})
    (site.app / ".env").write_text("# kept\nNOTES_LIMIT=100\n")
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    text = (site.app / ".env").read_text()
    assert text.startswith("# kept\nNOTES_LIMIT=100\n") and "APP_VERSION=1.1.0\n" in text
    secret = re.search(r"^APP_SECRET=(\S+)$", text, re.M).group(1)
    assert len(secret) >= 32
    assert site.belay("update", SERVICE, "1.2.0").code == 3
    assert (site.app / ".env").read_text() == text
    everything = subprocess.run(["grep", "-rlF", secret, str(site.state)], stdout=subprocess.PIPE, text=True, check=False)
    # It is in the backups of the configuration and in the saved env files, nowhere else.
    strays = [p for p in everything.stdout.split() if "/backups/" not in p and "/undo/" not in p]
    assert strays == []


# ---- backups

def test_backups_by_name_and_by_hand(site, tmp_path):
    with site.writer() as writer:
        writer.wait_for(30)
    rows = site.rows_live()
    made = json.loads(site.ok("backup", "create", SERVICE, options=("--json",)).out)
    listed = json.loads(site.ok("backup", "list", SERVICE, options=("--json",)).out)
    assert [b["id"] for b in listed] == [made["id"]] and listed[0]["level"] == 2
    site.ok("backup", "verify", SERVICE, made["id"])
    assert made["name"] in site.ok("backup", "show", SERVICE).out
    site.ok("backup", "restore", SERVICE, "--to", tmp_path / "beside")
    assert list((tmp_path / "beside").rglob("*.db"))
    with site.writer(first=100000) as writer:
        writer.wait_for(10)
    dry = site.ok("backup", "restore", SERVICE, "--dry-run").out
    assert "row" in dry
    site.ok("backup", "restore", SERVICE, made["id"])
    assert site.rows_live() == rows
    assert set(writer.acknowledged) <= site.rows_in_salvage()
    site.assert_whole(version="1.0.0")


def test_a_damaged_backup_is_1(site):
    made = json.loads(site.ok("backup", "create", SERVICE, options=("--json",)).out)
    database = next(pathlib.Path(made["dir"]).glob("sqlite-*.db"))
    data = bytearray(database.read_bytes())
    data[len(data) // 2] ^= 1
    database.chmod(0o600)
    database.write_bytes(data)
    result = site.belay("backup", "verify", SERVICE, made["id"])
    assert result.code == 1 and database.name in result.err


def test_a_backup_of_another_version_needs_leave(site):
    site.ok("update", SERVICE, "1.1.0")
    old = [b for b in json.loads(site.ok("backup", "list", SERVICE, options=("--json",)).out) if b["version"] == "1.0.0"]
    result = site.belay("backup", "restore", SERVICE, old[0]["id"])
    assert result.code == 6 and "--allow-downgrade" in result.err


def test_prune_keeps_what_a_rollback_needs(make_site):
    keep = {"contents": [{"sqlite": "app/data/notes.db"}], "keep": {"last": 1, "days": 1}}
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"backup": keep})
    site.start()
    for _ in range(3):
        site.ok("backup", "create", SERVICE)
    site.ok("update", SERVICE, "1.1.0")
    site.ok("backup", "prune", SERVICE)
    site.ok("rollback", SERVICE, "--restore")
    assert site.version() == "1.0.0"


# ---- migrations

def test_migrate_by_hand(make_site):
    site = make_site([Release("1.0.0", migrations=ADD_COLUMN)])
    site.start()
    assert "pending" in site.ok("migrate", "status").out
    site.ok("migrate", "run")
    assert "done" in site.ok("migrate", "status").out
    assert "no migration is pending" in site.ok("migrate", "run").out


def test_a_failing_migration_is_rolled_back(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"02_bad.sql": "DELETE FROM row; SELECT nonsense;"})])
    site.start()
    with site.writer() as writer:
        writer.wait_for(20)
        result = site.belay("update", SERVICE, "1.1.0")
        writer.wait_for(5)
    assert result.code == 3 and "02_bad.sql" in result.err
    site.assert_whole(writer, version="1.0.0", undone=("1.1.0",))


# ---- edges of the program itself

def test_closed_and_full_output(site):
    with open("/dev/full", "w", encoding="ascii") as full:
        child = site.belay_start("status", options=(), stdout=full)
        assert child.wait(20) == 1
    child = subprocess.Popen(["sh", "-c", "exec \"$@\" >&- 2>&- <&-", "sh", *site.command("status", options=())],
                             env=site.environment(), cwd=site.dir)
    assert child.wait(20) in (0, 1)


def test_files_are_private_whatever_the_umask(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    old = os.umask(0)
    try:
        site.start()
        site.ok("update", SERVICE, "1.1.0")
    finally:
        os.umask(old)
    loose = [p for p in site.state.rglob("*") if not p.is_symlink() and stat.S_IMODE(p.stat().st_mode) & 0o077]
    assert loose == []


def test_a_deleted_directory_and_no_home(make_site):
    site = make_site([Release("1.0.0")])
    gone = site.dir / "gone"
    gone.mkdir()
    child = subprocess.Popen(["sh", "-c", "cd gone && rmdir ../gone && exec \"$@\"", "sh", *site.command("list", options=())],
                             env={"PATH": os.environ["PATH"], "BELAY_CONFIG": str(site.dir / "config")}, cwd=site.dir)
    assert child.wait(20) == 0


def test_a_damaged_journal_is_a_persons(site):
    site.ok("update", SERVICE, "1.1.0")
    journal = site.state / "runs" / "1" / "journal"
    text = journal.read_bytes()
    journal.write_bytes(text.replace(b"ARM", b"ARN", 1))
    assert site.belay("resume", "1").code == 4
    assert "damaged" in site.ok("runs").out
    assert site.version() == "1.1.0"


def test_help_names_every_command():
    from belaytest import BELAY
    text = subprocess.run([BELAY, "help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for verb in ("fleet", "serve", "support"):
        assert not re.search(rf"^  {verb} ", text, re.M), "help names what is not there"
    for line in re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", text, re.M):
        shown = subprocess.run([BELAY, "help", *line.split()], stdout=subprocess.PIPE, text=True, check=False)
        assert shown.returncode == 0 and shown.stdout.startswith(f"belay {line.split()[0]}"), line
