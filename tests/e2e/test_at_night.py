"""What somebody is told who was not there when it happened: status and the report name the run and what to type."""
import contextlib
import json
import sqlite3

import pytest

from belaytest import SERVICE, Release, wait_until


def test_a_failed_update_is_in_the_status(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", "bad-health"),
                      Release("1.2.0", migrations={"02_bad.sql": "INSERT INTO nowhere VALUES (1);"})])
    site.start()
    assert site.belay("update", SERVICE, "1.1.0").code == 3
    assert "run #1 to 1.1.0 failed at 'verify': `belay report 1` says why" in site.ok("status").out
    last = json.loads(site.ok("status", options=("--json",)).out)[0]["last_run"]
    assert last["failed_step"] == "verify" and last["cause"]
    assert "The end of the service's log then" in site.ok("report", "1").out
    # 1.2.0 was never started: what is in the log, 1.1.0 and 1.0.0 said.
    assert site.belay("update", SERVICE, "1.2.0").code == 3
    report = site.ok("report", "2").out
    assert "no such table: nowhere" in report and "The end of the service's log then" not in report
    assert "run #2 to 1.2.0 failed at 'migrate'" in site.ok("status").out
    site.ok("update", SERVICE, "1.0.0", "--reinstall")
    assert "failed at" not in site.ok("status").out


def test_service_and_keeper_are_gone(make_site):
    """Nobody restarted the machine, so it is not said that somebody did."""
    site = make_site([Release("1.0.0")])
    site.start()
    for wanted in (" keeper ", str(site.port)):
        for process in site.processes():
            if wanted in process.command:
                process.kill()
    wait_until(lambda: not site.servers(), what="the end of the service")
    status = site.ok("status").out
    assert f"`belay start {SERVICE}` starts both" in status and "at boot" not in status
    site.ok("start", SERVICE)
    wait_until(site.health, what="a healthy service")
    assert "starts both" not in site.ok("status").out


@pytest.mark.parametrize("layout", ["in-place", "releases"])
def test_a_database_that_is_not_there_is_found_before_the_stop(make_site, layout):
    """Else the service would be stopped for it, and the version remembered as bad for a path in the manifest."""
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"02_tag.sql": "CREATE TABLE tag (n);"})])
    if layout == "releases":
        site.manifest["source"]["git"].update(layout="releases", shared=["data"])
        (site.app / "shared" / "data").mkdir(parents=True)
    site.manifest["migrations"][0]["sql"]["database"] = "data/other.db"
    site.write_manifest()
    site.start()
    for verb in ("plan", "update"):
        result = site.belay(verb, SERVICE, "1.1.0")
        assert result.code == 6 and "data/other.db' of the migration '02_tag.sql' does not exist" in result.out + result.err
        assert "[migrations]" in result.out + result.err
    assert not site.runs() and site.version() == "1.0.0"
    with contextlib.closing(sqlite3.connect(next(site.app.glob("shared/data")) / "other.db" if layout == "releases"
                                            else site.app / "data" / "other.db")) as db:
        db.execute("CREATE TABLE t (n)")
    assert "does not exist" not in site.belay("plan", SERVICE, "1.1.0").out
