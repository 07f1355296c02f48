"""What is around Belay fails: each call of git once, and the disk, which is really full."""
import threading
import time

import pytest

import crashlib
from belaytest import LONG, SERVICE, Release, figure, wait_until
from crashlib import FAILS, NO_KEEPER, SEED, UPDATE, told

FAKE_GIT = """\
#!/bin/sh
n=$(($(cat '{count}' 2>/dev/null || echo 0) + 1))
echo $n > '{count}'
if [ $n = {at} ]; then
        {act}
fi
exec /usr/bin/git "$@"
"""
ACTS = {
    "exit 1": "echo 'fatal: something went wrong' >&2; exit 1",
    "exit 128 after it was done": '/usr/bin/git "$@" >/dev/null 2>&1; echo "fatal: no" >&2; exit 128',
    "killed": "kill -9 $$",
    "no output": "exit 0",
}


def with_fake_git(site, at, act):
    """The environment in which the at-th git (from 1) does `act`; 0: none, they are only counted."""
    path = site.dir / "bin" / "git"
    path.parent.mkdir(exist_ok=True)
    count = site.dir / "bin" / "count"
    count.unlink(missing_ok=True)
    path.write_text(FAKE_GIT.format(count=count, at=at, act=ACTS.get(act, ":")))
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:/usr/local/bin:/usr/bin:/bin"}


def calls_of_git(scenario):
    site = crashlib.prepared(scenario)
    try:
        crashlib.attempt(site, scenario, env=with_fake_git_later(site))
        return int((site.dir / "bin" / "count").read_text())
    finally:
        site.close()


def with_fake_git_later(site):
    """For attempt(), which resets the directory: what is in the saved copy stays."""
    saved = site._saved     # noqa: SLF001 - the site that it is reset to
    (saved / "bin").mkdir(exist_ok=True)
    here = site.dir / "bin"
    (saved / "bin" / "git").write_text(FAKE_GIT.format(count=here / "count", at=0, act=":"))
    (saved / "bin" / "git").chmod(0o755)
    return {"PATH": f"{here}:/usr/local/bin:/usr/bin:/bin"}


def fail_git(site, scenario, item):
    act, at = item
    env = with_fake_git_later(site)
    path = site._saved / "bin" / "git"      # noqa: SLF001
    path.write_text(FAKE_GIT.format(count=site.dir / "bin" / "count", at=at, act=ACTS[act]))
    return crashlib.endure(site, scenario, env)


@pytest.mark.parametrize("scenario", [UPDATE, FAILS], ids=["update", "rolled-back"])
def test_every_git_fails_once(scenario):
    calls = calls_of_git(scenario)
    assert calls > 10
    items = crashlib.evenly([(act, at) for at in range(1, calls + 1) for act in ACTS], SEED)
    results = crashlib.in_parallel(items, lambda: crashlib.prepared(scenario),
                                   lambda site, item: fail_git(site, scenario, item),
                                   seconds=None if LONG else 15, at_least=15)
    crashlib.tell(f"{calls} calls of git that fail in {len(ACTS)} ways, {scenario.name}", results, len(items))


# ---- a full disk

def fill(disk):
    """To the last byte."""
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 6, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


BLOB = 6 << 20


def small_disk_site(make_site, disk, scripts):
    site = make_site(
        [Release("1.0.0"), Release("1.1.0", files=scripts)], base=disk, manifest={
            "backup": {"contents": [{"sqlite": "app/data/notes.db"}, {"path": "app/data/blobs"}]},
            "monitor": {"for": "60ms", "every": "20ms"},
            "migrations": [{"scripts": {"files": "scripts/*.sh", "run_with": ["sh"]}}]})
    (site.app / "data" / "blobs").mkdir()
    for n in range(3):
        with open("/dev/urandom", "rb") as noise:
            (site.app / "data" / "blobs" / f"{n}.bin").write_bytes(noise.read(BLOB // 3))
    site.start()
    return site


def assert_old_after(site, disk, result, rows):
    (disk / "filler").unlink(missing_ok=True)
    if crashlib.is_open(site):
        result = site.belay("resume")
        assert result.code == 3, told(result)
    site.leftovers = lambda: []     # of the data; what could not be removed on a full disk is looked at below
    site.assert_whole(version="1.0.0")
    assert rows <= site.rows_live()
    assert len(list((site.app / "data" / "blobs").iterdir())) == 3
    # With room again all that a full disk left goes with the next run.
    site.ok("update", SERVICE, "v1.1.0", "--even-if-bad")
    del site.leftovers
    strays = [stray for stray in site.leftovers() if "data/blobs/" not in stray]
    assert strays == []


@pytest.mark.parametrize("step", ["preflight", "fetch", "backup", "prove"])
def test_the_disk_fills_while_nothing_is_changed_yet(make_site, step):
    with crashlib.mounted("48m") as disk:
        if not disk:
            pytest.skip("a tmpfs cannot be mounted here")
        site = small_disk_site(make_site, disk, {})
        rows = site.rows_live()

        def watch():
            while not site.runs() or not any(p.get("step") == step for kind, p in site.journal() if kind == "INTENT"):
                if step == "preflight" and site.runs():
                    break
                time.sleep(0.0005)
            fill(disk)

        filler = threading.Thread(target=watch, daemon=True)
        filler.start()
        result = site.belay("update", SERVICE, "v1.1.0")
        filler.join(10)
        records = site.journal()
        figure(f"disk full at {step}: exit {result.code}, last {records[-1][0]} {records[-1][1].get('state', '')}")
        assert result.code in (1, 3, 6, 7, 9) or (result.code == 0 and records[-1][1]["state"] == "succeeded"), told(result)
        if result.code in (0, 9):      # it was quicker than the filler
            (disk / "filler").unlink()
            site.leftovers = lambda: []
            site.assert_whole(version="1.1.0")
        else:
            assert_old_after(site, disk, result, rows)
        site.close()


FILLS = """\
[ -e '{disk}/filled' ] && exit 0
sqlite3 data/notes.db "DELETE FROM row WHERE n % 2 = 0;"
rm -f data/blobs/1.bin
touch '{disk}/filled'
dd if=/dev/zero of='{disk}/filler' bs=64k 2>/dev/null
dd if=/dev/zero of='{disk}/filler' bs=1 oflag=append conv=notrunc 2>/dev/null
sqlite3 data/notes.db "CREATE TABLE big AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9999) SELECT n FROM c;"
"""


def test_the_disk_fills_in_the_migration_and_the_way_back_is_on_a_full_disk(make_site):
    """The migration dies of a full disk, the journal goes on, the data comes back from the room that was reserved."""
    with crashlib.mounted("64m") as disk:
        if not disk:
            pytest.skip("a tmpfs cannot be mounted here")
        site = small_disk_site(make_site, disk, {"scripts/01_fills.sh": FILLS.format(disk=disk)})
        with site.writer() as writer:
            writer.wait_for(20)
        rows = site.rows_live()
        result = site.belay("update", SERVICE, "v1.1.0", env=NO_KEEPER)
        records = site.journal()
        figure(f"disk full in the migration: exit {result.code}, last {records[-1][0]} {records[-1][1].get('state', '')}")
        assert (disk / "filler").exists(), told(result)
        assert result.code == 3, told(result) + "\n" + "\n".join(map(str, records[-8:]))
        assert_old_after(site, disk, result, rows)
        site.close()


@pytest.mark.parametrize("scenario", [crashlib.ROLLBACK, crashlib.RESTORE], ids=["rollback", "restore"])
def test_what_users_wrote_to_data_that_goes_away_again_is_kept(scenario):
    """The old data was put in place and served, then the run goes back: its rows are salvage, not gone."""
    site = crashlib.prepared(scenario, manifest={"start": {"timeout": "700ms"}, "checks": [
        {"command": {"run": ["test", "!", "-e", "data/bad"]}, "interval": "50ms", "threshold": "2 of 3"}]})
    try:
        with crashlib.begun(site) as writer:
            child = site.belay_start(*scenario.command, env=NO_KEEPER)
            wait_until(lambda: any(p.get("step") == "swap-data" for k, p in crashlib.newest(site) if k == "DONE"),
                                20, every=0.002, what="the swap")
            (site.app / "data" / "bad").write_text("")
            before = time.time()
            time.sleep(0.35)
            (site.app / "data" / "bad").unlink()
            child.communicate(timeout=60)
            end = crashlib.end_of(crashlib.newest(site))
            figure(f"{scenario.name} while its check fails: {end}")
            writer.stop()
            assert any(at > before for at, _ in writer.acknowledged.values())
            site.assert_whole(writer, one_of=[scenario.old, scenario.new], undone=[scenario.old, scenario.new])
    finally:
        site.close()
