"""Required stops, gone through; breaking, guides and settings as release data names them."""
import json
import os
import shutil
import time

import pytest

from belaytest import LONG, SERVICE, Release, wait_until
from releaselib import DAY, stamp

VERSIONS = ("1.2.0", "1.6.0", "2.1.0")
STOP = {"version": "1.6.0", "stop": True, "notes": "Stop here"}


@pytest.fixture
def way_site(make_site, server):
    """1.2.0 runs, and 2.1.0 is to be come to by way of 1.6.0."""
    def make(releases=None, said=(STOP, {"version": "2.1.0", "breaking": True}), **more):
        site = make_site(releases or [Release(v) for v in VERSIONS], **more)
        site.manifest["releases"] = {"feed": server.feed(*said)}
        site.write_manifest()
        site.start()
        return site
    return make


def plan_of(site, *args):
    return json.loads(site.belay("plan", SERVICE, *args, options=("--json",)).out)


def versions_of(site):
    plans = [site.journal(run)[0][1] for run in site.runs()]
    return [(plan["from"]["version"], plan["to"]["version"]) for plan in plans]


def test_the_way_is_planned_and_gone_by_itself(way_site):
    site = way_site()
    plan = plan_of(site, "2.1.0", "--accept-breaking")
    assert [hop["version"] for hop in plan["path"]] == ["1.6.0", "2.1.0"]
    assert plan["path"][0]["why"] == "a required stop" and plan["to"]["version"] == "1.6.0"
    said = site.ok("plan", SERVICE, "2.1.0", "--accept-breaking").out
    assert "The way: 1.2.0 → 1.6.0 → 2.1.0, 2 updates" in said and "1.6.0: a required stop" in said
    assert f"belay update {SERVICE} 2.1.0 --plan {plan['plan']}" in said
    # What only the second would be refused for is said before the first.
    blocked = site.belay("update", SERVICE, "2.1.0")
    assert blocked.code == 6 and "1.6.0 to 2.1.0 may break what uses it: the notes of 2.1.0 say so" in blocked.err
    assert site.runs() == []
    with site.writer() as writer:
        result = site.ok("update", SERVICE, "2.1.0", "--accept-breaking", "--plan", plan["plan"])
        writer.wait_for(20)
    assert "It was a stop: on the way to 2.1.0 the next update begins." in result.out
    assert versions_of(site) == [("1.2.0", "1.6.0"), ("1.6.0", "2.1.0")]
    site.assert_whole(writer, version="2.1.0")
    assert "nothing to resume" in site.ok("resume").out


def test_a_stop_that_fails_ends_the_way(way_site):
    site = way_site([Release("1.2.0"), Release("1.6.0"), Release("2.1.0", "bad-health")])
    result = site.belay("update", SERVICE, "2.1.0", "--accept-breaking")
    assert result.code == 3, result.out + result.err
    assert "notes 1.6.0 serves again" in result.out
    site.assert_whole(version="1.6.0")
    assert "nothing to resume" in site.ok("resume").out


def test_the_first_that_fails_ends_it_too(way_site):
    site = way_site([Release("1.2.0"), Release("1.6.0", "bad-health"), Release("2.1.0")])
    assert site.belay("update", SERVICE, "2.1.0", "--accept-breaking").code == 3
    assert len(site.runs()) == 1
    site.assert_whole(version="1.2.0")
    # A stop that proved bad is no way any more.
    again = site.belay("update", SERVICE, "2.1.0", "--accept-breaking")
    assert again.code == 6 and "[no-way]" in again.err


def test_a_version_that_cannot_be_come_to(way_site):
    site = way_site(said=({"version": "2.1.0", "requires_from": ">=1.8"}, {"version": "1.6.0"}))
    result = site.belay("update", SERVICE, "2.1.0", "--accept-breaking")
    assert result.code == 6 and "2.1.0 must be updated from >=1.8" in result.err and site.runs() == []
    plan = plan_of(site, "2.1.0")
    assert plan["blocked"] and plan["reasons"][0]["code"] == "no-way"


def test_what_comes_in_between_can_end_the_way(way_site, server):
    """The second run is refused when it is about to begin: exit 6, at the stop, and nothing is left open."""
    site = way_site(manifest={"monitor": {"for": "1s", "every": "50ms"}})
    update = site.belay_start("update", SERVICE, "2.1.0", "--accept-breaking")
    wait_until(lambda: site.version() == "1.6.0", 20, what="the stop")
    (site.app / "behaviour").write_text("mine\n")
    out, err = update.communicate(timeout=60)
    assert update.returncode == 6, out + err
    assert "the way to 2.1.0 ends here" in err and "[local-changes]" in err
    assert [kind for kind, _ in site.journal()][-2:] == ["END", "NOTE"] and site.version() == "1.6.0"
    assert "nothing to resume" in site.ok("resume").out


def points_after_end(trace):
    """The numbers of the first runner's fault points after its last record, from a trace of a whole way."""
    numbers, ended = [], False
    for line in trace.read_text().splitlines():
        role, number, _, detail = line.split(" ", 3)
        if role != "runner":
            continue
        if numbers and int(number) <= numbers[-1]:
            break               # the second runner counts for itself
        ended = ended or detail.endswith("/report.md") or "/.report.md" in detail
        if ended:
            numbers.append(int(number))
    return numbers


def test_killed_between_two_runs(way_site, tmp_path):
    site = way_site()
    site.ok("stop", SERVICE)
    wait_until(lambda: not site.processes(), what="nothing that runs")
    site.save()
    site.start()
    site.ok("update", SERVICE, "2.1.0", "--accept-breaking", env={"BELAY_FAULT_TRACE": tmp_path / "trace"})
    points = points_after_end(tmp_path / "trace")
    assert len(points) >= 3, (tmp_path / "trace").read_text()
    tries = [("resume --all", points[0]), ("cancel", points[-1]), ("rollback", points[0])]
    for word, point in tries + [("resume", point) for point in points if LONG]:
        site.reset()
        site.start()
        result = site.belay("update", SERVICE, "2.1.0", "--accept-breaking", env={"BELAY_FAULT": f"runner:die:{point}"})
        assert result.code == 7 and len(site.runs()) == 1, result.out + result.err
        assert "the rest of the way to 2.1.0 is still to go" in result.err and site.version() == "1.6.0"
        assert "the way to 2.1.0 has come as far as 1.6.0" in site.ok("status").out
        site.ok(*word.split())
        assert site.version() == {"cancel": "1.6.0", "rollback": "1.2.0"}.get(word, "2.1.0")
        assert "2.1.0" not in site.ok("resume", "1").out or word == "cancel"     # it has ended, and that is all
        assert "nothing to resume" in site.ok("resume").out and "has come as far" not in site.ok("status").out
        site.kill_all()


def test_killed_within_the_first_run(way_site):
    """Its recovery goes on along the way, whoever starts it."""
    site = way_site([Release("1.2.0"), Release("1.6.0", "slow-start:1"), Release("2.1.0")])
    update = site.belay_start("update", SERVICE, "2.1.0", "--accept-breaking", env={"BELAY_NO_KEEPER_RESUME": "1"})
    wait_until(lambda: site.runs() and any(kind == "INTENT" and fields.get("step") == "verify"
                                           for kind, fields in site.journal()), 20, what="verify")
    next(p for p in site.processes() if p.command.rstrip().endswith(" runner")).kill()
    out, err = update.communicate(timeout=30)
    assert update.returncode == 7, out + err
    site.ok("resume")
    assert versions_of(site) == [("1.2.0", "1.6.0"), ("1.6.0", "2.1.0")]
    site.assert_whole(version="2.1.0")


def test_the_guide_is_confirmed_and_settings_are_made(way_site):
    said = {"version": "1.6.0", "migrations": "manual", "migration_guide": "Turn the *big* wheel.", "settings": [
        {"name": "EXPORT_KEY", "secret": True, "bytes": 24, "as": "base64", "required": True},
        {"name": "NOTES_LIMIT", "required": True}, {"name": "COLOUR"}]}
    site = way_site(said=(said,))
    shown = site.ok("plan", SERVICE, "1.6.0").out
    assert "Migration guide of 1.6.0 (yours to follow" in shown and "│ Turn the *big* wheel." in shown
    assert "1.6.0 needs EXPORT_KEY: it is made, once (24 bytes, base64)" in shown
    result = site.belay("update", SERVICE, "1.6.0")
    assert result.code == 8 and "follow the migration guide of 1.6.0" in result.out + result.err
    assert site.version() == "1.6.0"
    site.ok("accept", "1")
    lines = (site.app / ".env").read_text().splitlines()
    assert lines[0] == "NOTES_LIMIT=100" and [line[:11] for line in lines[1:]] == ["EXPORT_KEY="]
    assert len(lines[1]) == len("EXPORT_KEY=") + 32 and lines[1].split("=", 1)[1] not in result.out + result.err
    site.assert_whole(version="1.6.0")


def test_a_setting_that_nobody_can_make(way_site):
    site = way_site(said=({"version": "1.6.0", "settings": [{"name": "REGION", "required": True}]},))
    result = site.belay("update", SERVICE, "1.6.0")
    assert result.code == 6 and "[setting-missing]" in result.err and "'REGION'" in result.err
    with (site.app / ".env").open("a") as env:
        env.write("REGION=north\n")
    site.ok("plan", SERVICE, "1.6.0")


def test_too_young_is_refused_until_it_lifts(way_site, server):
    site = way_site(said=({"version": "1.6.0", "released": stamp(2 * DAY)},))
    site.manifest["cooldown"] = "7d"
    site.write_manifest()
    reason = plan_of(site, "1.6.0")["reasons"][0]
    assert (reason["code"], reason["hard"]) == ("cooldown", False)
    assert abs(reason["lifts_at"] / 1000 - (time.time() + 5 * DAY)) < 120
    result = site.belay("update", SERVICE, "1.6.0")
    assert result.code == 6 and "1.6.0 is too young: released 2 d ago" in result.err and site.runs() == []
    # With no version named there is nothing that would be offered.
    server.feed({"version": "1.6.0", "released": stamp(2 * DAY)}, {"version": "2.1.0", "released": stamp(DAY)},
                etag='"2"')
    site.ok("check", SERVICE)
    assert "2.1.0 waits until" in site.ok("update", SERVICE).out and site.runs() == []
    server.feed({"version": "1.6.0", "released": stamp(2 * DAY), "security": True},
                {"version": "2.1.0", "released": stamp(DAY)}, etag='"3"')
    site.ok("check", SERVICE)
    site.ok("update", SERVICE)
    site.assert_whole(version="1.6.0")
    # Going back is not held up.
    site.ok("rollback", SERVICE)
    assert site.version() == "1.2.0"


def test_the_way_needs_no_terminal_and_what_a_later_leg_lacks_is_said_first(way_site):
    site = way_site(said=(STOP, {"version": "2.1.0", "breaking": False, "settings": [
        {"name": "REGION", "required": True}, {"name": "KEY", "required": True, "secret": True}]}))
    result = site.belay("update", SERVICE, "2.1.0")
    assert result.code == 6 and "2.1.0 needs the setting 'REGION'" in result.err and site.runs() == []
    with (site.app / ".env").open("a") as env:
        env.write("REGION=north\n")
    site.ok("update", SERVICE, "2.1.0", "--detach")
    wait_until(lambda: site.version() == "2.1.0", 30, what="2.1.0")
    site.ok("resume")           # follows what goes on, or finds nothing
    wait_until(lambda: site.journal()[-1][0] == "END", 20, what="the end")
    assert versions_of(site) == [("1.2.0", "1.6.0"), ("1.6.0", "2.1.0")]
    assert "\nKEY=" in (site.app / ".env").read_text()
    site.assert_whole(version="2.1.0")


def test_following_the_way_as_json(way_site):
    site = way_site(said=(STOP,))
    result = site.ok("update", SERVICE, "2.1.0", "--accept-breaking", "--no-wait", options=("--json", "--yes"))
    events = result.lines()
    results = [event for event in events if event.get("kind") == "result"]
    nexts = [event for event in events if event.get("kind") == "next"]
    assert [event["path"]["rest"] for event in results] == [["2.1.0"]]
    assert [(event["target"], event["next"]) for event in nexts] == [("2.1.0", 2)]
    assert events[-1]["run"] == 2 and events[-1]["state"] == "running"      # --no-wait is about the last
    site.ok("resume", "2")
    site.assert_whole(version="2.1.0")


def test_what_a_release_needs_survives_a_dead_runner(way_site):
    """Recovery reads no release data: the secret is made and the guide waited for, as the plan said."""
    said = {"version": "1.6.0", "migrations": "manual", "migration_guide": "Turn it.",
            "settings": [{"name": "EXPORT_KEY", "secret": True, "required": True}]}
    site = way_site([Release("1.2.0", "ignore-term"), Release("1.6.0")], said=(said,))
    update = site.belay_start("update", SERVICE, "1.6.0", env={"BELAY_NO_KEEPER_RESUME": "1"})
    wait_until(lambda: site.runs() and any(kind == "INTENT" and fields.get("step") == "stop"
                                           for kind, fields in site.journal()), 20, what="the stop")
    next(p for p in site.processes() if p.command.rstrip().endswith(" runner")).kill()
    out, err = update.communicate(timeout=30)
    assert update.returncode == 7, out + err
    (site.state / "services" / SERVICE / "releases.json").unlink()
    result = site.belay("resume", "1")
    assert result.code == 8 and "follow the migration guide of 1.6.0" in result.out + result.err, result.err
    assert "\nEXPORT_KEY=" in (site.app / ".env").read_text()
    site.ok("accept", "1")
    site.assert_whole(version="1.6.0")


def test_a_schema_that_the_old_version_reads_stays(way_site):
    """The watch fails after users wrote under a changed schema: said to be compatible, the data stays, and nobody is asked."""
    site = way_site([Release("1.2.0"), Release("1.6.0", "change-schema bad-later:0.7")],
                    said=({"version": "1.6.0", "compatible_schema": True},),
                    manifest={"monitor": {"for": "10s", "every": "50ms"}})
    with site.writer() as writer:
        writer.wait_for(20)
        result = site.belay("update", SERVICE, "1.6.0")
        assert result.code == 3, result.out + result.err
        writer.wait_for(5)
    assert "said to run on the new schema" in site.ok("report", "1").out
    site.assert_whole(writer, version="1.2.0")


def test_a_guide_is_followed_in_a_window_too(way_site):
    """When the time has come all is looked at again, and what the release needs is not needed twice."""
    site = way_site(said=({"version": "1.6.0", "migrations": "manual", "migration_guide": "Turn it."},))
    result = site.belay("update", SERVICE, "1.6.0", "--at", "1s")
    assert result.code == 8 and "follow the migration guide of 1.6.0" in result.out + result.err, result
    site.ok("accept", "1")
    site.assert_whole(version="1.6.0")


def test_a_stop_that_was_gone_on_from_is_not_cancelled(way_site):
    site = way_site()
    site.ok("update", SERVICE, "2.1.0", "--accept-breaking")
    before = site.journal(1)
    result = site.belay("cancel", "1")
    assert result.code == 6 and "belay rollback notes" in result.err, result
    assert site.journal(1) == before and site.version() == "2.1.0"


def test_a_way_that_is_cancelled_while_it_goes_on(way_site):
    """The runner of the first run lives until the second has begun: nobody else writes to its journal."""
    site = way_site()
    site.ok("update", SERVICE, "2.1.0", "--accept-breaking", "--detach")
    wait_until(lambda: site.journal(1)[-1][0] == "END", 30, what="the end of the first run")
    result = site.belay("cancel", "1")
    assert result.code in (0, 6), result
    wait_until(lambda: site.journal()[-1][0] in ("END", "NOTE"), 30, what="the end")
    wait_until(lambda: not [p for p in site.processes() if p.command.endswith(" runner")], what="the runners' end")
    assert site.version() == ("1.6.0" if result.code == 0 else "2.1.0")
    assert "damaged" not in site.ok("runs", SERVICE).out and "nothing to resume" in site.ok("resume").out


def test_the_time_that_a_person_named_is_that_of_the_first(way_site):
    """Whether a window is open is asked for each of its updates, when it begins."""
    site = way_site()
    site.ok("update", SERVICE, "2.1.0", "--accept-breaking", "--at", "1s")
    assert "at_ms" in site.journal(1)[0][1]["options"] and "at_ms" not in site.journal(2)[0][1]["options"]
    assert site.version() == "2.1.0"


def test_a_remote_that_goes_away_is_no_missing_way(way_site):
    """It answers once, what 2.1.0 is, and then not any more: that is exit 1, and not that there is no way."""
    site = way_site()
    tools, count = site.dir / "tools", site.dir / "asked"
    tools.mkdir()
    (tools / "git").write_text(f"""#!/bin/sh
case " $* " in *" ls-remote "*)
    echo x >> {count}
    [ $(wc -l < {count}) -le 1 ] || {{ echo "fatal: Could not read from remote repository." >&2; exit 128; }} ;;
esac
exec {shutil.which("git")} "$@"
""")
    (tools / "git").chmod(0o755)
    result = site.belay("plan", SERVICE, "2.1.0", "--accept-breaking", env={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert result.code == 1 and "no-way" not in result.out + result.err, result
