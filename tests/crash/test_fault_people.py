"""What people and other programs do to a run: two at once, a lost terminal, Ctrl-C, edits, a clock that jumps."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import crashlib
from belaytest import SERVICE, Release, figure, processes_of, wait_until
from crashlib import NO_KEEPER, told

SLOW = "sleep 0.4\n"
SECRET = "canary-7c1f2e9b40d8"


def site_of(make_site, *, behaviour="", monitor="150ms", files=None, first=None, migrations=None, **manifest):
    """1.0.0 serves; 1.1.0 is to come, with a migration that takes 0.4 s."""
    files = {"scripts/01_slow.sh": SLOW, **(files or {})}
    site = make_site(
        [Release("1.0.0", files=first or {}), Release("1.1.0", behaviour=behaviour, files=files)],
        base=crashlib.scratch(), manifest={
            "monitor": {"for": monitor, "every": "20ms"},
            "migrations": [{"scripts": {"files": "scripts/*.sh", "run_with": ["sh"]}}], **manifest})
    site.start()
    return site


def wait_for_step(site, step, kind="INTENT"):
    def is_there():
        return any(k == kind and p.get("step") == step for k, p in (site.journal() if site.runs() else []))
    wait_until(is_there, 20, every=0.002, what=f"{kind} of {step}")


def finished(child, timeout=60):
    out, err = child.communicate(timeout=timeout)
    return child.returncode, out, err


# ---- two at once

@pytest.mark.parametrize("other_state", [False, True], ids=["same-state", "another-state"])
def test_two_updates_at_once(make_site, other_state):
    site = site_of(make_site)
    first = site.belay_start("update", SERVICE, "v1.1.0")
    wait_for_step(site, "migrate")
    command = site.command("update", SERVICE, "v1.1.0")
    if other_state:
        command[command.index(str(site.state))] = str(site.dir / "other-state")
    second = subprocess.run(command, env=site.environment(), cwd=site.dir, text=True, capture_output=True,
                            stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert second.returncode == 5, second.stdout + second.stderr
    assert re.search(r"since \d{4}-\d\d-\d\d|since \d\d:\d\d|\d+(\.\d+)? ?m?s", second.stderr), second.stderr
    assert re.search(r"\bpid \d+|process \d+|run #?\d+", second.stderr), second.stderr
    code, out, err = finished(first)
    assert code == 0, out + err
    site.assert_whole(version="1.1.0")
    assert site.runs() == [1]


def test_a_second_one_waits_for_the_lock(make_site):
    site = site_of(make_site)
    first = site.belay_start("update", SERVICE, "v1.1.0")
    wait_for_step(site, "migrate")
    second = site.belay("update", SERVICE, "v1.1.0", "--wait-lock", "30s")
    assert second.code == 0, told(second)
    code, out, err = finished(first)
    assert code == 0, out + err
    site.assert_whole(version="1.1.0")


# ---- the terminal, Ctrl-C

def test_a_lost_terminal_ends_no_run(make_site):
    site = site_of(make_site)
    with site.writer() as writer:
        child = site.belay_start("update", SERVICE, "v1.1.0")
        wait_for_step(site, "migrate")
        os.killpg(child.pid, signal.SIGHUP)
        child.communicate(timeout=20)
        wait_until(lambda: site.journal()[-1][0] == "END", 20, what="the end of the run")
        assert site.journal()[-1][1]["state"] == "succeeded"
        writer.wait_for(3)
        writer.stop()
        site.assert_whole(writer, version="1.1.0")


# What each step of the run means for Ctrl-C; those that last are met for certain, the others when they can be.
@pytest.mark.parametrize("step", ["fetch", "backup", "stop", "migrate", "start", "verify"])
def test_ctrl_c_until_verify_has_passed(make_site, step):
    site = site_of(make_site, behaviour="slow-start:0.3")
    if step == "verify":
        site.verify_slowly()
    with site.writer() as writer:
        child = site.belay_start("update", SERVICE, "v1.1.0")
        wait_for_step(site, step)
        os.killpg(child.pid, signal.SIGINT)
        code, out, err = finished(child)
        assert code == 130, out + err
        records = site.journal()
        assert records[-1][1]["state"] in ("rolled_back", "aborted"), records[-1]
        writer.wait_for(3)
        writer.stop()
        site.assert_whole(writer, version="1.0.0", undone=["1.1.0"])


def test_ctrl_c_when_the_run_has_begun_but_its_command_was_not_told_yet(make_site):
    site = site_of(make_site, behaviour="slow-start:0.3")
    child = site.belay_start("update", SERVICE, "v1.1.0")
    wait_until(lambda: any(" runner" in p.command for p in processes_of(site.dir)), 20, every=0.001, what="a runner")
    child.send_signal(signal.SIGSTOP)
    wait_for_step(site, "fetch")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGCONT)
    code, out, err = finished(child)
    assert code == 130, out + err
    assert site.journal()[-1][1]["state"] in ("rolled_back", "aborted")


def test_ctrl_c_during_the_watch_only_stops_following(make_site):
    site = site_of(make_site, monitor="1s")
    child = site.belay_start("update", SERVICE, "v1.1.0")
    wait_for_step(site, "monitor")
    wait_until(lambda: "verify" in (site.state / "runs/1/events").read_text(), what="the event of verify")
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    code, out, err = finished(child, 5)
    assert code == 0 and "goes on" in out, out + err
    assert site.journal()[-1][0] != "END"
    result = site.belay("resume", 1)
    assert result.code == 0, told(result)
    site.assert_whole(version="1.1.0")


# ---- the user's own files

def test_an_untracked_env_is_not_overwritten(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", files={".env": "NOTES_LIMIT=1\n", ".gitignore": "data/\n"})],
                     base=crashlib.scratch())
    site.start()
    mine = (site.app / ".env").read_bytes()
    result = site.belay("update", SERVICE, "v1.1.0")
    assert result.code == 6 and ".env" in result.err, told(result)
    assert (site.app / ".env").read_bytes() == mine
    site.assert_whole(version="1.0.0")


def test_an_env_that_was_edited_during_the_watch_keeps_the_edit(make_site):
    site = site_of(make_site, behaviour="bad-later:0.6", monitor="5s",
                   configuration={"env_file": "app/.env", "set": {"NOTES_LIMIT": "200"}})
    child = site.belay_start("update", SERVICE, "v1.1.0")
    wait_for_step(site, "monitor")
    path = site.app / ".env"
    assert "NOTES_LIMIT=200" in path.read_text()
    path.write_text(path.read_text() + "MINE=kept\n")
    code, out, err = finished(child)
    assert code == 3, out + err
    text = path.read_text()
    assert "MINE=kept" in text, text
    assert "NOTES_LIMIT=100" in text and "200" not in text, text
    site.assert_whole(version="1.0.0")


# ---- the clock

def assert_only_pruning_is_left(result, codes=(0,)):
    """Nothing is removed by age when a backup seems to be of tomorrow; that is said, with exit 9."""
    future = result.code == 9 and "taken in the future: nothing is removed" in result.out
    assert result.code in codes or (future and result.out.count("Left to do") == 1), told(result)


@pytest.mark.parametrize("hours", [-24 * 400, -2, 2, 24 * 400])
def test_the_clock_jumps(make_site, hours):
    """Between start, update and rollback the clock is another; limits are counted by one that does not jump."""
    site = site_of(make_site)
    moved = {"BELAY_CLOCK_OFFSET_MS": str(hours * 3600 * 1000)}
    site.ok("update", SERVICE, "v1.1.0", env=moved)
    site.assert_whole(version="1.1.0")
    site.ok("backup", "verify", SERVICE)
    backups = len(list(site.state.glob("backups/notes/2*")))
    result = site.belay("rollback", SERVICE, "--restore")
    assert_only_pruning_is_left(result)
    assert len(list(site.state.glob("backups/notes/2*"))) >= backups
    site.assert_whole(version="1.0.0")


def test_the_clock_jumps_while_a_run_is_interrupted(make_site):
    site = site_of(make_site)
    result = site.belay("update", SERVICE, "v1.1.0", env={**NO_KEEPER, "BELAY_FAULT": "runner:die:200"})
    assert result.code == 7, told(result)
    result = site.belay("resume", env={"BELAY_CLOCK_OFFSET_MS": str(-3 * 3600 * 1000)})
    assert_only_pruning_is_left(result, (0, 3))
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


# ---- what belay starts, and what it tells

SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"}


def programs_started(trace):
    """[(who started it, what)] from what strace saw: the program that a process was before, and what it became."""
    text = trace.read_text(errors="replace")
    parent = {child: pid for pid, child in re.findall(
        r"^(\d+) +(?:<\.\.\. )?(?:clone3?|v?fork)\b.* = (\d+)$", text, re.M)}
    image, begun, found = {}, {}, []
    for pid, call in re.findall(r"^(\d+) +(.*)$", text, re.M):
        path = re.match(r'execve\("([^"]+)"', call)
        if path:
            begun[pid] = os.path.basename(path.group(1))
        if not ("execve" in call and call.endswith(" = 0")):
            continue
        ancestor = pid
        while ancestor in parent and ancestor not in image:
            ancestor = parent[ancestor]
        found.append((image.get(ancestor, "the test"), begun[pid]))
        image[pid] = begun[pid]
    return found


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_belay_starts_no_shell(make_site):
    """In a start and a whole update, by command, runner, keeper or belay-exec. (git starts one for a local remote.)"""
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"01_a.sql": crashlib.GENTLE})],
                     base=crashlib.scratch(), manifest={"monitor": {"for": "60ms", "every": "20ms"}})
    found = []
    for number, verb in enumerate((["start", SERVICE], ["update", SERVICE, "v1.1.0"])):
        trace = site.dir / f"trace-{number}"
        # -D: what stays, the keeper, keeps its tracer, and this test does not wait for either.
        command = ["strace", "-D", "-f", "-qq", "-s", "300", "-e", "trace=execve,clone,clone3,fork,vfork", "-o", str(trace)]
        done = subprocess.run([*command, *site.command(*verb)], env=site.environment(), cwd=site.dir, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              timeout=120, check=False)
        assert done.returncode == 0, verb
    site.assert_whole(version="1.1.0")
    time.sleep(0.2)
    for number in range(2):
        found += programs_started(site.dir / f"trace-{number}")
    ours = [(who, what) for who, what in found if who in ("belay", "belay-exec")]
    assert {"git", "noted", "belay-exec"} <= {what for _, what in ours}, found
    assert not [one for one in ours if one[1] in SHELLS], found
    figure(f"no shell among the {len(ours)} programs that belay started in a start and an update")


def test_a_secret_is_told_to_nobody(make_site):
    """A value of the env file: in no log, journal, report, event or command line, also when all goes wrong."""
    site = site_of(make_site, files={"scripts/02_tell.sh": 'echo "the key is $API_KEY"; echo "$API_KEY" >&2; exit 1\n'})
    (site.app / ".env").write_text(f"NOTES_LIMIT=100\nAPI_KEY={SECRET}\n")
    seen = []
    child = site.belay_start(
        "update", SERVICE, "v1.1.0", options=("--yes", "--json"))
    while child.poll() is None:
        seen += [p.command for p in site.processes() if SECRET in p.command]
        time.sleep(0.01)
    out, err = child.communicate()
    assert child.returncode == 3, out + err
    said = [("the command", out + err)]
    for verb in (["status"], ["show", "1"], ["report", "1"], ["logs", "--run", "1"], ["runs"], ["plan", SERVICE, "v1.1.0", "--explain"]):
        result = site.belay(*verb)
        said.append((" ".join(verb), result.out + result.err))
    told_by = [who for who, text in said if SECRET in text]
    assert not told_by and not seen, (told_by, seen)
    # The backup holds the file itself, as it must; nothing else does.
    for path in [p for p in site.state.glob("**/*") if p.is_file() and "backups" not in p.relative_to(site.state).parts]:
        allowed = "undo" in path.parts and path.name in ("env", ".env")
        assert allowed or SECRET.encode() not in path.read_bytes(), path
    for path in site.state.glob("backups/**/*"):
        if path.is_file() and path.suffix in (".json", ".txt", ".log"):
            assert SECRET.encode() not in path.read_bytes(), path
    site.assert_whole(version="1.0.0")
