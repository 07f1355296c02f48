"""What somebody is told who was not there when it happened: status and the report name the run and what to type."""
import json

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
