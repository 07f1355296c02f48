"""What a person asks of a run that is under way: it is done, it survives the runner, and it costs no more than it must."""
import signal
import time

from belaytest import Release, SERVICE, wait_until

WATCH = {"monitor": {"for": "20s", "every": "50ms"}}


def step_is(site, step, record="INTENT"):
    return any(kind == record and payload.get("step") == step for kind, payload in site.journal())


def end_of(site):
    kind, payload = site.journal()[-1]
    return (kind, payload.get("state"))


def test_ctrl_c_while_the_new_version_is_verified_is_130(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="slow-start:4")])
    site.start()
    child = site.belay_start("update", SERVICE, "1.1.0")
    wait_until(lambda: site.runs() and step_is(site, "verify"), 20, what="verify")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=40)
    assert child.returncode == 130, (out, err, site.journal()[-6:])
    assert end_of(site) == ("END", "rolled_back")
    site.assert_whole(version="1.0.0")


def test_cancel_in_the_watch_keeps_what_users_wrote(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest=WATCH)
    site.start()
    with site.writer() as writer:
        site.ok("update", SERVICE, "1.1.0", "--no-wait")
        writer.wait_for(20)
        assert site.belay("cancel").code == 3
    site.assert_whole(writer, version="1.0.0")


def test_an_inconclusive_watch_goes_back_without_taking_rows_away(make_site):
    """The old version can read what was written: nothing has to be put back."""
    check = {"command": {"run": ["./ask"], "interval": "20ms", "within": "1s"}}
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest=WATCH)
    del check
    site.start()
    with site.writer() as writer:
        site.ok("update", SERVICE, "1.1.0", "--no-wait")
        writer.wait_for(20)
    assert site.belay("cancel").code == 3
    site.assert_whole(writer, version="1.0.0")


def test_a_cancel_survives_its_runner(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest=WATCH)
    site.start()
    off = {"BELAY_NO_KEEPER_RESUME": "1"}
    site.ok("update", SERVICE, "1.1.0", "--no-wait", env=off)
    runner = next(p for p in site.processes() if p.command.endswith(" runner"))
    runner.kill(signal.SIGSTOP)
    child = site.belay_start("cancel", "--detach", env=off)
    assert child.wait(20) == 0
    runner.kill()
    wait_until(lambda: not runner.alive(), what="the runner's end")
    assert site.belay("resume").code == 3
    site.assert_whole(version="1.0.0")


def test_a_damaged_journal_of_an_open_run_stops_the_next(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0"), Release("1.2.0")], manifest=WATCH)
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait", env={"BELAY_NO_KEEPER_RESUME": "1"})
    runner = next(p for p in site.processes() if p.command.endswith(" runner"))
    runner.kill()
    wait_until(lambda: not runner.alive(), what="the runner's end")
    journal = site.state / "runs" / "1" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"ARM", b"ARN", 1))
    result = site.belay("update", SERVICE, "1.2.0")
    assert result.code == 4, result
    assert site.belay("stop", SERVICE).code == 4
    assert len(site.runs()) == 1
    assert site.version() == "1.1.0"
