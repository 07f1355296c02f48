"""What a person asks of a run that is under way: it is done, it survives the runner, and it costs no more than it must."""
import json
import pathlib
import signal
import time

import pytest

from belaytest import Release, SERVICE, git, wait_until

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


def test_a_person_goes_back_without_taking_rows_away(make_site):
    """It waits although the old version can read what was written: nothing has to be put back."""
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-later:1")],
                     manifest={**WATCH, "rollback": {"automatic": False}})
    site.start()
    with site.writer() as writer:
        assert site.belay("update", SERVICE, "1.1.0").code == 8
        writer.wait_for(20)
        assert site.belay("cancel").code == 3
    assert site.salvaged_databases() == []
    site.assert_whole(writer, version="1.0.0")


def test_what_does_not_serve_is_not_accepted(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="refuse-start")],
                     manifest={"rollback": {"automatic": False}})
    site.start()
    assert site.belay("update", SERVICE, "1.1.0").code == 8
    result = site.belay("accept")
    assert result.code == 6 and "does not run" in result.err and "belay cancel" in result.err
    assert site.belay("cancel").code == 3
    site.assert_whole(version="1.0.0")


def test_resume_answers_no_question_that_a_cancel_brought_up(make_site):
    """A cancel in the watch that would take data away asks first; going on with the run is no answer to that."""
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="change-schema")], manifest=WATCH)
    site.start()
    with site.writer() as writer:
        site.ok("update", SERVICE, "1.1.0", "--no-wait")
        writer.wait_for(20)
        assert site.belay("cancel").code == 8
        assert site.belay("resume").code == 8
        assert site.journal()[-1][0] == "WAIT"
        assert site.belay("cancel").code == 3
    site.assert_whole(writer, version="1.0.0", undone=("1.1.0",))


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
    assert "damaged" in result.err
    assert site.belay("resume").code == 4
    assert site.belay("resume", "--all").code == 4
    assert len(site.runs()) == 1
    assert site.version() == "1.1.0"


def test_back_at_what_was_never_well_it_is_looked_whether_it_runs(make_site):
    site = make_site([Release("1.0.0", behaviour="bad-health"), Release("1.1.0", behaviour="bad-health")],
                     manifest={"installed": None})
    site.belay("start", SERVICE)
    assert site.belay("update", SERVICE, "1.1.0", "--accept-unhealthy").code == 3
    seen = [payload["observed"] for kind, payload in site.journal()
            if kind == "DONE" and payload["step"] == "verify-old"]
    assert seen == [{"note": "it runs; no check passed before either"}]


def test_a_run_of_another_service_is_not_taken_back(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    journal = site.state / "runs" / "1" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"ARM", b"ARN", 1))   # damaged: only its plan is known
    assert site.belay("rollback", SERVICE, "--run", "1").code in (4, 6)
    (site.dir / "other").mkdir()
    text = (site.dir / "belay.yaml").read_text().replace("service: notes", "service: other")
    (site.dir / "other.yaml").write_text(text)
    result = site.belay("-f", site.dir / "other.yaml", "rollback", "--run", "1")
    assert result.code == 2 and "run #1 is one of notes" in result.err


def test_the_next_command_finds_no_lock(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "0s"}})
    site.start()
    for _ in range(5):
        site.ok("update", SERVICE, "1.1.0")
        site.ok("stop", SERVICE)
        site.ok("start", SERVICE)
        site.ok("rollback", SERVICE)
        site.ok("backup", "prune", SERVICE)


def test_what_was_agreed_to_is_done_however_long_the_lock_is_waited_for(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    plan = json.loads(site.ok("plan", SERVICE, "1.1.0", options=("--json",)).out)["plan"]
    site.ok("update", SERVICE, "1.1.0", "--plan", plan, "--wait-lock", "1m")


def test_what_a_rollback_would_go_to_stays_after_a_failed_update(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0"), Release("1.2.0"), Release("1.3.0", behaviour="bad-health")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    site.ok("update", SERVICE, "1.2.0")
    assert site.belay("update", SERVICE, "1.3.0").code == 3
    kept = git(site.app, "for-each-ref", "--format=%(objectname)", "refs/belay").split()
    assert site.commit_of("v1.1.0") in kept


def test_a_secret_of_the_manifest_is_one_by_any_name(make_site):
    """Made by Belay, called APP_SALT, printed by a migration: what is kept of that does not show it."""
    script = "#!/bin/sh\necho \"salt is $APP_SALT\"\n"
    site = make_site([Release("1.0.0"), Release("1.1.0", files={"migrations/01_salt.sh": script})], manifest={
        "configuration": {"env_file": "app/.env", "secrets": {"APP_SALT": {"bytes": 32}}},
        "migrations": [{"scripts": {"files": "migrations/*.sh", "run_with": ["/bin/sh"]}}]})
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    salt = next(line for line in (site.app / ".env").read_text().splitlines() if line.startswith("APP_SALT="))[9:]
    outputs = [path.read_text() for path in (site.state / "runs" / "1" / "output").iterdir()]
    assert any("salt is" in text for text in outputs)
    assert not any(salt in text for text in outputs)


def test_a_secret_in_clear_in_the_manifest_is_shown_nowhere_else(make_site):
    """validate warns of it; what its value is stands in no report. An address that is no secret does."""
    script = {"say.sh": "echo token is t0ps3cret-words; exit 3\n"}
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health", files=script)])
    site.manifest["runtime"]["process"]["environment"] = {"API_TOKEN": "t0ps3cret-words", "BASE_URL": "http://127.0.0.1"}
    site.manifest["hooks"] = {"after-start": ["sh", "say.sh"]}
    site.write_manifest()
    site.start()
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 3 and "token is [secret]" in result.err, result
    kept = [path.read_text(errors="replace") for path in (site.state / "runs" / "1").rglob("*")
            if path.is_file() and path.name != "belay.yaml"]
    assert not any("t0ps3cret-words" in text for text in kept)
    site.manifest.pop("hooks")
    site.write_manifest()
    assert "http://127.0.0.1" in site.belay("update", SERVICE, "1.1.0").err


def test_ctrl_c_at_any_moment_ends_at_one_version(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"01_a.sql": "CREATE TABLE extra (n);"})])
    site.save()
    ends = set()
    for moment in range(12):
        site.reset()
        site.start()
        child = site.belay_start("update", SERVICE, "1.1.0")
        if moment % 2:
            wait_until(site.runs, what="the run")       # the others count from before it
        time.sleep(0.04 * moment)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=40)
        ends.add(child.returncode)
        if child.returncode == 0:
            site.ok("resume")
        # Before the run has begun, the signal ends the command as any other; nothing is begun then.
        assert child.returncode in (0, 130, -signal.SIGINT), (moment, child.returncode, out, err)
        wait_until(lambda: not [p for p in site.processes() if p.command.endswith(" runner")], what="the runner's end")
        site.assert_whole(version="1.1.0" if child.returncode == 0 else "1.0.0")
    assert 130 in ends


def test_ctrl_c_before_the_runner_has_signed_its_journal(make_site):
    """The command knows the run's number an instant before the journal names its runner."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    # Stopped at OWNER: the journal was made, PLAN written and synced; the lock and the first event follow.
    child = site.belay_start("update", SERVICE, "1.1.0", env={"BELAY_FAULT": "runner:stop:3:/journal:5"})
    wait_until(lambda: site.runs() and [kind for kind, _ in site.journal()] == ["PLAN"], 20, what="a run")
    runner = next(p for p in site.processes() if p.command.endswith(" runner"))
    wait_until(lambda: "(stopped)" in pathlib.Path(f"/proc/{runner.pid}/status").read_text(), what="a stopped runner")
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    runner.kill(signal.SIGCONT)
    out, err = child.communicate(timeout=40)
    assert child.returncode == 130 and err.count("Ctrl-C") == 1, (out, err)
    site.assert_whole(version="1.0.0")


def test_what_contradicts_itself_is_wrong_usage(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    for args in (("rollback", SERVICE, "--to", "1.0.0", "--run", "1"), ("resume", "--all", "--try-again"),
                 ("logs", SERVICE, "-f", "--run", "1")):
        assert site.belay(*args).code == 2, args
    assert site.belay("logs", SERVICE, "-f", options=("--json",)).code == 2
    assert site.version() == "1.1.0" and site.runs() == [1]


def test_a_run_that_is_not_followed_is_named(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest=WATCH)
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait")
    assert json.loads(site.ok("resume", "--detach", options=("--json",)).out) == {"run": 1}
    assert "run #1 goes on by itself" in site.ok("accept", "--detach").out
    wait_until(lambda: end_of(site) == ("END", "succeeded"), 20, what="the end")


def test_what_has_succeeded_is_not_cancelled(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    result = site.belay("cancel", "1")
    assert result.code == 6 and "belay rollback notes" in result.err
    site.assert_whole(version="1.1.0")


def test_what_a_migration_wrote_that_failed(make_site):
    script = "#!/bin/sh\necho one; echo two >&2; exit 3\n"
    site = make_site([Release("1.0.0"), Release("1.1.0", files={"migrations/01_no.sh": script})], manifest={
        "migrations": [{"scripts": {"files": "migrations/*.sh", "run_with": ["/bin/sh"]}}]})
    site.start()
    result = site.belay("update", SERVICE, "1.1.0", "--no-rehearsal")
    assert result.code == 3 and "belay logs --run 1" in result.err, result
    said = site.ok("logs", "--run", "1").out
    assert "== migrate scripts:migrations/01_no.sh\none\n" in said and "two" in said
    told = json.loads(site.ok("logs", "--run", "1", options=("--json",)).out)
    assert told["run"] == 1 and told["output"][0]["step"] == "migrate"
    assert "one\n" in told["output"][0]["text"]


def test_verify_says_in_json_what_it_says_in_words(make_site):
    """The checks pass, and it is another version that answers them."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.manifest["installed"] = {"command": ["echo", "0.9.0"]}
    site.write_manifest()
    good = site.belay("verify", SERVICE)
    told = site.belay("verify", SERVICE, options=("--json",))
    assert good.code == told.code == 1 and "says that it is version 0.9.0" in good.err, good
    found = json.loads(told.out)
    assert found["verdict"] == "pass" and "says that it is version 0.9.0" in found["error"]["message"]
    assert "belay diagnose notes" in good.err


def test_notes_that_cannot_be_read_are_not_written_over(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    site.ok("note", "1", "first")
    notes = site.state / "runs" / "1" / "notes"
    with notes.open("a") as text:
        text.write("x" * (9 * 1024 * 1024))
    size = notes.stat().st_size
    assert site.belay("note", "1", "second").code == 1 and notes.stat().st_size == size


def test_a_damaged_record_of_versions_does_not_stop_the_way_back(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0"), Release("1.2.0", behaviour="bad-health")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    (site.state / "services" / SERVICE / "installed.json").write_text("{broken")
    result = site.belay("update", SERVICE, "1.2.0")
    assert result.code == 3 and site.version() == "1.1.0", result


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGINT], ids=["terminal-lost", "ctrl-c"])
def test_a_restart_that_is_left_in_the_middle_starts_again(make_site, how):
    """Between stop and start nobody else would."""
    site = make_site([Release("1.0.0", behaviour="ignore-term")], manifest={"stop": {"timeout": "1s"}})
    site.start()
    before, = site.servers()
    child = site.belay_start("restart", SERVICE)
    record = site.state / "services" / SERVICE / "keeper.json"
    wait_until(lambda: json.loads(record.read_text())["wanted"] == "stopped", 10, what="a stop that has begun")
    child.send_signal(how)
    child.communicate(timeout=30)
    wait_until(site.health, 10, what="the service, started again")
    now, = site.servers()
    assert now != before
