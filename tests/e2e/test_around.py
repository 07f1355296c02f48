"""Hooks around the phases, and a service that says that it is busy."""
import fcntl
import json
import os
import subprocess
import sys

import pytest

from belaytest import BELAY, SERVICE, Release, wait_until

JSON = ("--yes", "--json")
# Writes what it was told, then does what `does` says.
HOOK = """#!/bin/sh
cd "$BELAY_STATE/.." || exit 1
{ echo "$BELAY_HOOK $BELAY_PHASE $BELAY_KIND $BELAY_SERVICE $BELAY_RUN_ID $BELAY_PREVIOUS_VERSION $BELAY_VERSION"; } >> hooks.txt
cat >> hooks.json; echo >> hooks.json
echo "said by $1"
"""


def with_hooks(make_site, hooks, script=HOOK, **manifest):
    site = make_site([Release("1.0.0"), Release("1.1.0"), Release("1.2.0", behaviour="bad-health")], manifest=manifest)
    path = site.dir / "hook.sh"
    path.write_text(script)
    path.chmod(0o755)
    site.manifest["hooks"] = {key: [str(path), *value] if isinstance(value, list) else value
                              for key, value in hooks.items()}
    site.write_manifest()
    site.start()
    return site


def hook(*words):
    return list(words)


def lines(site):
    path = site.dir / "hooks.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


ALL = [f"{when}-{phase}" for phase in ("preflight", "fetch", "backup", "quiesce", "place", "start", "verify",
                                       "monitor", "finish") for when in ("before", "after")]


def test_hooks_run_around_every_phase_and_know_what_is_done(make_site):
    hooks = {name: hook("${version}") for name in [*ALL, "before-migrate", "before-rollback", "after-rollback"]}
    site = with_hooks(make_site, hooks)
    planned = json.loads(site.ok("plan", SERVICE, "1.1.0", options=JSON).out)["steps"]
    names = [step["name"] for step in planned]
    assert names.index("before-quiesce") + 1 == names.index("stop")
    assert names.index("after-migrate" if "after-migrate" in names else "after-place") < names.index("start")
    site.ok("update", SERVICE, "1.1.0")
    site.assert_whole(version="1.1.0")
    told = lines(site)
    assert [line[0] for line in told] == ALL            # none of a phase without a step, none of going back
    assert told[0] == ["before-preflight", "preflight", "update", SERVICE, "1", "1.0.0", "1.1.0"]
    first = json.loads((site.dir / "hooks.json").read_text().splitlines()[0])
    assert first["hook"] == "before-preflight" and first["run_id"] == 1 and first["state"] == str(site.state)
    assert first["reference"] == site.commit_of("v1.1.0") and first["previous_version"] == "1.0.0"
    said = site.ok("logs", "--run", "1").out
    assert "== before-quiesce\nsaid by 1.1.0" in said and "== after-finish" in said
    parts = json.loads(site.ok("logs", "--run", "1", options=JSON).out)
    assert parts["run"] == 1 and {p["step"]: p["text"] for p in parts["output"]}["before-quiesce"] == "said by 1.1.0\n"
    records = [r for kind, r in site.journal() if kind == "ARM" or r.get("step") == "before-quiesce"]
    assert records[-1].get("step") is None              # ARM comes behind the hook


def test_not_now_before_the_stop_is_75_and_changes_nothing(make_site):
    site = with_hooks(make_site, {"before-quiesce": hook()}, script="#!/bin/sh\necho a sale is on >&2\nexit 75\n")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 75 and "a sale is on" in result.err + result.out, result
    site.assert_whole(version="1.0.0")
    assert all(kind != "ARM" for kind, _ in site.journal())
    assert "a sale is on" in site.ok("logs", "--run", "1").out


def test_a_failure_before_the_stop_ends_the_run(make_site):
    site = with_hooks(make_site, {"after-backup": hook()}, script="#!/bin/sh\necho no ticket\nexit 3\n")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 1 and "after-backup exited with 3: no ticket" in result.err + result.out, result
    site.assert_whole(version="1.0.0")


@pytest.mark.parametrize("status", [3, 75])
def test_a_failure_behind_the_stop_rolls_back_and_blames_no_version(make_site, status):
    script = HOOK + f'test "$BELAY_HOOK" != after-verify || exit {status}\n'
    site = with_hooks(make_site, {name: hook() for name in ("after-verify", "before-rollback", "after-rollback")}, script)
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 3, result.err
    site.assert_whole(version="1.0.0")
    assert [line[0] for line in lines(site)] == ["after-verify", "before-rollback", "after-rollback"]
    assert json.loads(site.ok("check", SERVICE, "--all", options=JSON).out)["update_available"]
    site.manifest.pop("hooks")
    site.write_manifest()
    site.ok("update", SERVICE, "1.1.0")


def test_hooks_have_no_say_while_it_goes_back_nor_after_commit(make_site):
    hooks = {name: hook() for name in ("before-rollback", "after-rollback", "after-finish")}
    site = with_hooks(make_site, hooks, script="#!/bin/sh\nexit 9\n")
    result = site.belay("update", SERVICE, "1.2.0")
    assert result.code == 3, result.err
    site.assert_whole(version="1.0.0")
    done = site.belay("update", SERVICE, "1.1.0")
    assert done.code == 9 and "after-finish" in done.out + done.err, done
    site.assert_whole(version="1.1.0")


def test_a_hook_has_a_time_limit_and_leaves_nothing(make_site):
    site = with_hooks(make_site, {"before-backup": hook(), "timeout": "300ms"},
                      script="#!/bin/sh\nsleep 60 &\necho begun\nsleep 60\n")
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 1 and "before-backup" in result.err + result.out, result
    assert not [p for p in site.processes() if p.command.startswith("sleep")]
    site.assert_whole(version="1.0.0")


def test_secrets_stay_out_of_what_is_kept(make_site):
    site = with_hooks(make_site, {"before-backup": hook()}, script="#!/bin/sh\necho $API_TOKEN\necho password=hunter2\n",
                      configuration={"env_file": "app/.env", "secrets": {"API_TOKEN": {"bytes": 16, "as": "hex"}}})
    with open(site.app / ".env", "a", encoding="utf-8") as file:
        file.write("API_TOKEN=0123456789abcdef0123\n")
    site.ok("update", SERVICE, "1.1.0")
    said = site.ok("logs", "--run", "1").out
    assert "[secret]" in said and "0123456789abcdef0123" not in said and "hunter2" not in said


def test_a_secret_of_several_lines_and_one_of_the_manifest(make_site):
    """Output is kept line by line: each line of a key is a secret, and so is what the manifest sets in clear."""
    site = with_hooks(make_site, {"before-backup": hook()},
                      script="#!/bin/sh\ngrep 4567 .env\necho it is in-clear-0123\n")
    with open(site.app / ".env", "a", encoding="utf-8") as file:
        file.write('SIGNING_KEY="-----BEGIN KEY-----\nMIIabcdef0123\nMIIabcdef4567\n-----END KEY-----"\n')
    site.manifest["runtime"]["process"]["environment"] = {"MAIL_PASSWORD": "in-clear-0123"}
    site.write_manifest()
    site.ok("update", SERVICE, "1.1.0")
    said = site.ok("logs", "--run", "1").out
    assert said.count("[secret]") == 2 and "MIIabc" not in said and "in-clear" not in said, said
    found = json.loads(site.ok("logs", "--run", "1", options=("--json",)).out)
    assert found["run"] == 1 and [(part["step"], part["text"].count("[secret]")) for part in found["output"]] == [
        ("before-backup", 2)]


# ---- busy


def with_busy(make_site, **busy):
    """Asked is busy.sh, which says what the file `busy` holds."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    path = site.dir / "busy.sh"
    path.write_text('#!/bin/sh\ncd "$(dirname "$0")"\necho asked >> asked\ntest -e busy || exit 0\n'
                    "echo a payment is under way; exit $(cat busy)\n")
    path.chmod(0o755)
    if "lock_file" not in busy:
        busy.setdefault("command", [str(path)])
    site.manifest["busy"] = busy
    site.write_manifest()
    site.start()
    return site


def test_a_busy_service_is_asked_again_until_it_is_not(make_site):
    site = with_busy(make_site, every="100ms", **{"for": "30s"})
    busy = site.dir / "busy"
    busy.write_text("75")
    plan = site.belay("plan", SERVICE, options=JSON)
    found = plan.lines()[0]
    assert plan.code == 0 and found["blocked"] is False
    assert [(r["code"], r["hard"]) for r in found["reasons"]] == [("busy", False)]
    assert "a payment is under way" in site.ok("plan", SERVICE).out
    child = site.belay_start("update", SERVICE)
    asked = site.dir / "asked"
    before = len(asked.read_text().splitlines())
    wait_until(lambda: len(asked.read_text().splitlines()) > before + 3, what="questions")
    assert site.version() == "1.0.0" and all(kind != "ARM" for kind, _ in site.journal())
    busy.unlink()
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, out + err
    assert "a payment is under way" in err
    site.assert_whole(version="1.1.0")


def test_who_stays_busy_is_75(make_site):
    site = with_busy(make_site, every="50ms", **{"for": "200ms"})
    (site.dir / "busy").write_text("75")
    result = site.belay("update", SERVICE)
    assert result.code == 75 and "a payment is under way" in result.err + result.out, result
    site.assert_whole(version="1.0.0")
    assert site.journal()[-1][1]["exit"] == 75


def test_waiting_for_a_busy_service_can_be_cancelled(make_site):
    site = with_busy(make_site, every="10m", **{"for": "30m"})
    (site.dir / "busy").write_text("75")
    site.ok("update", SERVICE, "--detach")
    wait_until(lambda: any(r.get("step") == "busy" for _, r in site.journal()), what="the question")
    site.belay("cancel", "1")
    wait_until(lambda: site.journal()[-1][0] == "END", what="the end")
    site.assert_whole(version="1.0.0")


def test_another_answer_is_an_error(make_site):
    site = with_busy(make_site, )
    (site.dir / "busy").write_text("3")
    result = site.belay("update", SERVICE)
    assert result.code == 1 and "exited with 3" in result.err and "75 (busy)" in result.err
    missing = with_busy(make_site, command=["./nothing.sh"])
    assert missing.belay("plan", SERVICE).code == 1


def test_a_lock_file_says_busy_while_somebody_living_holds_it(make_site):
    site = with_busy(make_site, lock_file="busy.lock", every="50ms", **{"for": "0s"})
    lock = site.dir / "busy.lock"

    def reasons():
        return json.loads(site.ok("plan", SERVICE, options=JSON).out)["reasons"]

    assert reasons() == []
    lock.write_text("")
    assert reasons() == []                              # nobody holds it
    with open(lock, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert f"pid {os.getpid()}" in reasons()[0]["message"]
    with open(lock, "r+", encoding="utf-8") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert f"pid {os.getpid()}" in reasons()[0]["message"]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sleeper:
        lock.write_text(f"{sleeper.pid}\n")
        assert str(sleeper.pid) in reasons()[0]["message"]
        assert site.belay("update", SERVICE).code == 75
        sleeper.communicate(b"\n")
    assert reasons() == []                              # whoever wrote it is dead
    site.ok("update", SERVICE)


def test_belay_inside_a_hook_does_not_wait_for_itself(make_site):
    script = """#!/bin/sh
cd "$BELAY_STATE/.." || exit 1
say() { echo "$? $1" >> codes.txt; }
"$1" status >/dev/null; say status
"$1" runs >/dev/null; say runs
"$1" plan notes >/dev/null; say plan
"$1" --yes update notes --wait-lock 10m 2>> said.txt; say update
"$1" resume 1 2>> said.txt; say resume
"$1" --yes rollback notes 2>> said.txt; say rollback
"$1" stop notes 2>> said.txt; say stop
"$1" --yes boot 2>> said.txt; say boot
"""
    site = with_hooks(make_site, {"before-backup": hook(str(BELAY)), "timeout": "20s"}, script=script)
    # The hook finds the service as a person would: by the manifest above its directory.
    site.ok("update", SERVICE, "1.1.0", env={"BELAY_CONFIG": site.dir / "config"})
    codes = dict(reversed(line.split()) for line in (site.dir / "codes.txt").read_text().splitlines())
    assert codes == {"status": "0", "runs": "0", "plan": "5", "update": "5", "resume": "5", "rollback": "5", "stop": "5",
                     "boot": "5"}
    assert (site.dir / "said.txt").read_text().count("run #1 of notes is what calls this") == 4
    site.assert_whole(version="1.1.0")
