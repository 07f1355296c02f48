"""assert_whole must miss what is missing: a sweep is only as good as this."""
import os
import shutil
import subprocess
import sys

import pytest

from belaytest import NOTED, Release, git, wait_until

END = '00000000 2 END {"state":"succeeded"}\n'


@pytest.fixture
def site(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    (site.state / "runs" / "1").mkdir(parents=True)
    (site.state / "runs" / "1" / "journal").write_text('00000000 1 PLAN {"format":1}\n' + END)
    site.noted = subprocess.Popen([NOTED, "--port", str(site.port), "--db", "data/notes.db"], cwd=site.app,
                                  start_new_session=True, stdout=subprocess.DEVNULL)
    wait_until(site.health)
    yield site
    site.noted.kill()
    site.noted.wait()


@pytest.fixture
def writer(site):
    with site.writer() as writer:
        writer.wait_for(10)
    return writer


def test_all_is_well(site, writer):
    assert site.assert_whole(writer, version="1.0.0") == "1.0.0"


def test_another_version(site):
    with pytest.raises(AssertionError, match="1.0.0 serves, not one of"):
        site.assert_whole(version="1.1.0")


def test_a_checkout_that_is_not_what_runs(site):
    git(site.app, "checkout", "-q", "--detach", "v1.1.0")
    with pytest.raises(AssertionError):
        site.assert_whole(version="1.0.0")


def test_an_open_run(site):
    (site.state / "runs" / "1" / "journal").write_text('00000000 1 PLAN {}\n00000000 2 ARM {}\n' + END[:-1])
    with pytest.raises(AssertionError, match="run 1 is open"):
        site.assert_whole(version="1.0.0")


def test_a_file_left_over(site):
    (site.app / ".git" / "index.lock").write_text("")
    with pytest.raises(AssertionError, match="index.lock"):
        site.assert_whole(version="1.0.0")


def test_a_process_left_over(site):
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                            env={**os.environ, "BELAY_RUN": f"{site.state}:1"})
    try:
        with pytest.raises(AssertionError, match="the end of"):
            site.assert_whole(version="1.0.0")
    finally:
        left.kill()
        left.wait()


def test_a_second_server(site):
    second = subprocess.Popen([NOTED, "--port", str(site.port + 1), "--db", str(site.dir / "x.db")],
                              stdout=subprocess.DEVNULL, cwd=site.dir)
    try:
        wait_until(lambda: len(site.servers()) == 2)
        with pytest.raises(AssertionError):
            site.assert_whole(version="1.0.0")
    finally:
        second.kill()
        second.wait()


def test_a_lost_row_must_be_in_salvage_and_of_a_version_that_was_undone(site, writer):
    salvage = site.database.parent / ".notes.db.salvage-1"
    salvage.mkdir()
    n = max(writer.acknowledged)
    lost = n + 1
    writer.acknowledged[lost] = (0.0, "1.0.0")
    with pytest.raises(AssertionError, match="1 acknowledged rows are gone"):
        site.assert_whole(writer, version="1.0.0", undone=["1.0.0"])
    del writer.acknowledged[lost]
    # A row that only the copy has: taken before the restore, gone since.
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{site.database}{suffix}", f"{salvage / 'notes.db'}{suffix}")
    subprocess.run(["sqlite3", site.database, f"DELETE FROM row WHERE n = {n}"], check=True)
    with pytest.raises(AssertionError, match="1 acknowledged rows are gone"):
        site.assert_whole(writer, version="1.0.0")
    assert site.assert_whole(writer, version="1.0.0", undone=["1.0.0"])
