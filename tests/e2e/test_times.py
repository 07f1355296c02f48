"""When an update may begin: windows, freezes, staging first. Windows are laid around the time of the test in
UTC, so that nothing waits for a clock."""
import datetime
import json
import time

import pytest

import crashlib
from belaytest import SERVICE, Release, wait_until

JSON = ("--yes", "--json")
NOW = datetime.datetime.now(datetime.timezone.utc)


def clock(hours):
    return (NOW + datetime.timedelta(hours=hours)).strftime("%H:%M")


def window(begin, end, zone="UTC"):
    """From so many hours from now on to so many."""
    return {"from": clock(begin), "to": clock(end), "zone": zone}


def day(days):
    return (NOW + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


OPEN, CLOSED = window(-6, 6), window(6, 12)


def reasons_of(site, *args, code, env=None):
    result = site.belay(*args, options=JSON, env=env)
    assert result.code == code, (result.out, result.err)
    return result.lines()[-1]["reasons"]


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"windows": [CLOSED]})
    made.start()
    return made


def change(site, **keys):
    site.manifest.update(keys)
    site.write_manifest()


def test_outside_of_a_window(site):
    site.ok("check", SERVICE)
    found = reasons_of(site, "plan", SERVICE, code=6)
    assert [(r["code"], r["option"], r["hard"]) for r in found] == [("window", "--any-time", False)]
    opens = (found[0]["lifts_at"] / 1000 - NOW.timestamp()) / 3600
    assert 5.9 < opens < 6.1
    assert found == reasons_of(site, "update", SERVICE, code=6)
    status = json.loads(site.ok("status", SERVICE, options=("--json",)).out)[0]
    assert status["reasons"] == found and "blocked" in status["update"]
    assert "Lifts by itself at" in site.belay("plan", SERVICE).out
    change(site, windows=[CLOSED, OPEN])
    site.ok("update", SERVICE)


def test_a_person_says_that_it_may_be_now(site):
    change(site, freeze=[{"from": day(-1), "to": day(1), "zone": "UTC"}])
    shown = site.ok("plan", SERVICE, "--any-time").out
    assert "are frozen from" in shown
    site.ok("update", SERVICE, "--any-time")
    # Going back is not what windows are for.
    site.ok("rollback", SERVICE)
    site.assert_whole(version="1.0.0")


def test_a_freeze(site):
    change(site, windows=[OPEN], freeze=[{"from": day(-3), "to": day(2), "zone": "UTC"},
                                         {"from": day(20), "to": day(30)}])
    found = reasons_of(site, "update", SERVICE, code=6)
    assert [r["code"] for r in found] == ["freeze"]
    assert 2 * 86400 < found[0]["lifts_at"] / 1000 - NOW.timestamp() < 4 * 86400
    change(site, freeze=[{"from": day(2), "to": day(3), "zone": "UTC"}])
    site.ok("update", SERVICE)


@pytest.mark.parametrize("zone, near", [("Europe/Berln", "Europe/Berlin"), ("Mars/Phobos", "named like Europe/Berlin"),
                                        ("Berlin", "Europe/Berlin"), ("../../etc/passwd", "such as Europe/Berlin"),
                                        (":/etc/x", "such as Europe/Berlin"), ("UTC\n", "several lines")])
def test_a_zone_that_is_none_is_2_and_names_the_nearest(site, zone, near):
    change(site, windows=[window(1, 2, zone)])
    for verb in (("validate",), ("plan", SERVICE)):
        result = site.belay(*verb)
        assert result.code == 2 and near in result.err and "belay.yaml:" in result.err


def test_z05_without_time_zones_no_window_opens(site):
    change(site, windows=[window(-6, 6, "Europe/Berlin")])
    env = {"BELAY_ZONEINFO": site.dir / "nothing"}
    found = reasons_of(site, "plan", SERVICE, code=6, env=env)
    assert found[0]["code"] == "window" and "tzdata" in found[0]["clear"]
    site.ok("status", env=env)
    site.ok("stop", SERVICE, env=env)
    site.ok("start", SERVICE, env=env)
    change(site, windows=[OPEN])        # UTC needs no file
    site.ok("plan", SERVICE, env=env)


def test_staging_first(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"requires": {"succeeded_on": "notes-staging"}})
    site.start()
    staging = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"service": "notes-staging"})
    staging.state = site.state
    staging.ok("start", "notes-staging")
    found = reasons_of(site, "plan", SERVICE, code=6)
    assert [(r["code"], r["hard"]) for r in found] == [("staging-first", True)]
    assert "belay update notes-staging 1.1.0" in found[0]["clear"]
    staging.ok("update", "notes-staging")
    site.ok("plan", SERVICE)
    staging.ok("rollback", "notes-staging")         # what was taken back there did not succeed
    assert reasons_of(site, "update", SERVICE, code=6)[0]["code"] == "staging-first"
    staging.ok("update", "notes-staging", "1.1.0")
    # What ended before it did anything says nothing of the version that is there.
    staging.manifest["hooks"] = {"before-fetch": ["false"]}
    staging.write_manifest()
    assert staging.belay("update", "notes-staging", "1.1.0", "--reinstall").code == 1
    site.ok("update", SERVICE)
    assert site.version() == "1.1.0"


def test_a_copy_of_staging_is_not_staging(make_site):
    with crashlib.mounted("1g") as disk:
        site = make_site([Release("1.0.0"), Release("1.1.0")], base=disk,
                         manifest={"requires": {"succeeded_on": "notes-staging"}})
        site.start()
        staging = make_site([Release("1.0.0"), Release("1.1.0")], base=disk, manifest={"service": "notes-staging"})
        staging.state = site.state
        staging.ok("start", "notes-staging")
        staging.ok("rehearse", "notes-staging")
        assert reasons_of(site, "update", SERVICE, code=6)[0]["code"] == "staging-first"
        staging.kill_all()
        site.kill_all()


# ---- --at, --in-window: the run waits


def waiting(site, *args, env=None):
    """A detached update that has come to its wait."""
    site.ok("update", SERVICE, *args, "--detach", env=env)
    wait_until(lambda: "waits until" in site.ok("runs", SERVICE).out, what="a run that waits")
    return next(p for p in site.processes() if p.command.endswith(" runner"))


def ended(site):
    wait_until(lambda: site.journal()[-1][0] == "END", 30, what="the end of the run")
    return site.journal()[-1][1]


def test_a_run_waits_for_its_time_and_holds_no_lock_meanwhile(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    planned = json.loads(site.ok("plan", SERVICE, "--at", "1h", options=JSON).out)
    assert planned["steps"][0]["name"] == "wait"
    runner = waiting(site, "--at", "1h", "--plan", planned["plan"])
    assert "waits until" in site.ok("status").out
    site.ok("restart", SERVICE)
    site.ok("backup", "create", SERVICE)
    assert "no run was interrupted" in site.ok("boot").out
    found = reasons_of(site, "update", SERVICE, code=5)
    assert found[0]["code"] == "run-under-way" and "belay cancel 1" in found[0]["clear"]
    assert site.version() == "1.0.0" and runner.alive()
    site.belay("cancel", "1")
    ended(site)
    waited = site.ok("update", SERVICE, "--at", "1s", "--plan", planned["plan"])
    assert "waits until" in waited.err
    site.assert_whole(version="1.1.0")


def test_a_run_begins_when_the_window_opens(make_site):
    now = time.time()
    minute = (now // 60 + 1) * 60
    opens = datetime.datetime.fromtimestamp(minute, datetime.timezone.utc)
    closes = opens + datetime.timedelta(hours=1)
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={
        "windows": [{"from": opens.strftime("%H:%M"), "to": closes.strftime("%H:%M"), "zone": "UTC"}]})
    site.start()
    def at(seconds):
        """For whom is started now, it is so many seconds after the full minute."""
        return {"BELAY_CLOCK_OFFSET_MS": int((minute - time.time() + seconds) * 1000)}

    assert reasons_of(site, "update", SERVICE, code=6, env=at(-30))[0]["code"] == "window"
    result = site.belay("update", SERVICE, "--in-window", env=at(-3))
    assert result.code == 0, result.err
    assert "waits until " + opens.strftime("%Y-%m-%dT%H:%M:00Z") in result.err
    site.assert_whole(version="1.1.0")
    again = site.belay("update", SERVICE, "1.0.0", "--allow-downgrade", "--in-window",
                       env=at(60))
    assert again.code == 0 and "waits until" not in again.err        # it is open


def test_waiting_can_be_cancelled(site):
    waiting(site, "--in-window")
    site.belay("cancel", "1")
    assert ended(site)["state"] == "aborted"
    site.assert_whole(version="1.0.0")
    site.ok("update", SERVICE, "--any-time")


def test_what_changed_meanwhile_ends_the_run(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    waiting(site, "--at", "4s")
    change(site, start={"timeout": "6s"})
    end = ended(site)
    assert end["exit"] == 6 and "the plan is another now" in end["error"]["message"]
    site.ok("lock", SERVICE, "-m", "stocktaking")
    site.belay("unlock", SERVICE)
    site.assert_whole(version="1.0.0")


def test_a_runner_that_dies_while_it_waits_has_changed_nothing(site):
    runner = waiting(site, "--in-window")
    assert site.belay("resume", "--all").code == 0      # it does not follow it for hours
    runner.kill()
    wait_until(lambda: not runner.alive(), what="its end")
    site.ok("restart", SERVICE)
    assert "is open" in site.ok("status").out
    assert reasons_of(site, "update", SERVICE, "--any-time", code=7)[0]["code"] == "run-open"
    site.belay("resume", "--all")
    assert "ended, nothing changed" in site.ok("runs", SERVICE).out
    site.ok("update", SERVICE, "--any-time")
    site.assert_whole(version="1.1.0")


@pytest.mark.parametrize("args", [("--at", "2020-01-01"), ("--at", "25:00"), ("--at", "soon"), ("--at", "2026-02-30 01:00"),
                                  ("--at", "2h", "--in-window"), ("--any-time", "--in-window"), ("--at", "")])
def test_times_that_are_none(site, args):
    assert site.belay("update", SERVICE, *args).code == 2
    assert site.runs() == []


def test_no_window_to_wait_for(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    result = site.belay("update", SERVICE, "--in-window")
    assert result.code == 2 and "no windows" in result.err
