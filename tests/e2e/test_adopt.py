"""A service that runs already is taken over as it is: exactly that one, and never another."""
import json
import os
import shutil
import signal
import time

import pytest

from belaytest import free_port, git, processes_of, start_time, wait_until
from projects import SERVER

FILES = {"srv.py": SERVER, "Procfile": "web: python3 srv.py\n"}
COMMAND = ("python3", "srv.py")

# Serves, with a child in a session of its own that says nothing of whose it is, and outlives its parent.
FAMILY = '''
import os, subprocess, sys
subprocess.Popen(["/bin/sh", "-c", "exec sleep 3600"], start_new_session=True, env={"PATH": "/usr/bin:/bin"})
''' + SERVER


# The same, when it is asked for it.
LATER = '''
import os, subprocess, threading, time
def wait():
    while not os.path.exists("spawn"):
        time.sleep(0.02)
    subprocess.Popen(["/bin/sh", "-c", "exec sleep 3600"], start_new_session=True, env={"PATH": "/usr/bin:/bin"})
threading.Thread(target=wait, daemon=True).start()
''' + SERVER


@pytest.fixture
def project(make_project):
    made = make_project(FILES)
    made.environment_of = {"PORT": str(made.port)}
    return made


def known(project):
    project.belay("init")
    project.belay("add")


def start(project, code=0):
    done = project.belay("--json", "start", "shop", code=code)
    return json.loads(done.stdout)


def sleepers(project):
    return [p for p in processes_of(project.dir) if p.command == "sleep 3600"]


def keeper(project):
    return next(p for p in processes_of(project.dir) if " keeper " in p.command)


def test_update_and_rollback_go_on_from_it(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    assert start(project)["pid"] == hand.pid
    project.belay("--yes", "update", "shop", "1.1.0", "--no-wait", "--no-rehearsal")
    assert hand.wait(timeout=10) is not None
    assert project.version() == "1.1.0"
    project.belay("accept")
    project.belay("--yes", "rollback", "shop", "--no-wait")
    assert project.version() == "1.0.0"


def test_its_crash_is_seen_and_it_is_started_again(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    start(project)
    hand.kill()
    hand.wait()
    wait_until(project.answer, what="the service after its crash")
    now = start(project)
    assert now["pid"] != hand.pid and now["running"] and not now["adopted"]


def test_what_it_starts_later_goes_with_it_when_it_crashes(make_project, monkeypatch):
    monkeypatch.setenv("BELAY_LOG_LIMIT", "1000000 50")         # the keeper looks every 50 ms
    project = make_project({**FILES, "srv.py": LATER})
    shell = project.serve("sh", "-c", "python3 srv.py; true", PORT=str(project.port))
    known(project)
    main = start(project)["pid"]
    (project.app / "spawn").touch()
    wait_until(lambda: sleepers(project), what="the child")
    child = sleepers(project)[0].pid
    record = next((project.dir / "state").glob("services/*/keeper.json"))
    wait_until(lambda: child in [m["pid"] for m in json.loads(record.read_text()).get("members", [])], 20,
               what="the keeper's note of it")
    (project.app / "spawn").unlink()
    os.kill(main, signal.SIGKILL)
    shell.wait(timeout=10)
    wait_until(project.answer, 30, what="the service after its crash")
    assert not sleepers(project)


@pytest.mark.parametrize("keeper_dies", [False, True], ids=["", "keeper killed"])
def test_a_stop_ends_all_that_descends_from_it(make_project, keeper_dies):
    project = make_project({**FILES, "srv.py": FAMILY})
    # Not the leader of its group: only what was recorded says which processes were its own.
    shell = project.serve("sh", "-c", "python3 srv.py; true", PORT=str(project.port))
    known(project)
    main = start(project)["pid"]
    assert main != shell.pid
    assert len(sleepers(project)) == 1
    if keeper_dies:
        keeper(project).kill()
    project.belay("stop", "shop")
    assert start_time(main) is None
    assert not sleepers(project) and not project.answer()
    shell.wait(timeout=10)


def test_the_death_of_the_keeper_changes_nothing(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    start(project)
    old = keeper(project)
    old.kill()
    wait_until(lambda: not old.alive(), what="the end of the keeper")
    assert start(project) == {"service": "shop", "version": "1.0.0", "pid": hand.pid, "running": True,
                              "adopted": True}
    assert keeper(project).pid != old.pid


def test_a_restart_takes_it_over_first(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    project.belay("restart", "shop")
    assert hand.wait(timeout=10) is not None
    assert project.version() == "1.0.0"
    assert not start(project)["adopted"]


# -- never another

@pytest.mark.parametrize("what", ["command", "directory", "port"])
def test_what_differs_is_another_service(project, what):
    project.serve(*COMMAND, **project.environment_of).kill()
    known_port = project.port
    (project.app / ".env").write_text(f"PORT={known_port}\n")
    known(project)
    elsewhere = project.app / "elsewhere"    # below it: only the directory itself is meant
    elsewhere.mkdir()
    (elsewhere / "srv.py").write_text(SERVER % {"port": known_port})
    (elsewhere / "VERSION").write_text("1.0.0\n")
    wait_until(lambda: not project.answer(), what="a free port")
    if what == "command":
        other = project.serve("python3", "-B", "srv.py", **project.environment_of)
    elif what == "directory":
        other = project.serve(*COMMAND, cwd=elsewhere, **project.environment_of)
    else:
        elsewhere_port = free_port()
        other = project.serve(*COMMAND, port=elsewhere_port, PORT=str(elsewhere_port))
    if what == "port":
        assert start(project)["pid"] != other.pid
    else:
        assert "is taken by python3" in start(project, code=1)["error"]["message"]
    assert other.poll() is None
    assert not json.loads(project.belay("--json", "start", "shop", code=0 if what == "port" else 1).stdout).get("adopted")
    other.kill()


def test_of_several_none_is_taken(make_project):
    project = make_project({"Procfile": "web: ./job\n", "job": "#!/bin/sh\nexec sleep 3600\n"})
    known(project)
    several = [project.run("sleep", "3600") for _ in range(2)]
    text = (project.app / "belay.yaml").read_text().replace("[./job]", "[sleep, \"3600\"]")
    (project.app / "belay.yaml").write_text(text)
    error = start(project, code=6)["error"]
    assert all(str(child.pid) in error["message"] for child in several)
    several[0].kill()
    several[0].wait()
    assert start(project)["pid"] == several[1].pid


def test_what_somebody_else_would_start_again_is_left_to_them(project):
    (project.dir / "supervisord").symlink_to("/usr/bin/python3")
    loop = "import subprocess\nwhile True:\n    subprocess.call(['python3', 'srv.py'])\n"
    project.serve(project.dir / "supervisord", "-c", loop, **project.environment_of)
    made = json.loads(project.belay("--json", "init").stdout)
    assert made["running"]["held_by"].startswith("supervisord") and not made["running"]["can_be_adopted"]
    project.belay("add")
    assert "supervisord" in start(project, code=6)["error"]["message"]
    assert project.version() == "1.0.0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_process_of_another_user_is_not_the_service(project):
    project.dir.chmod(0o755)
    (project.app / "data").mkdir(exist_ok=True)
    (project.app / "data").chmod(0o777)
    other = project.serve("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *COMMAND,
                          **project.environment_of)
    (project.app / ".env").write_text(f"PORT={project.port}\n")
    (project.app / "Procfile").unlink()
    project.belay("init")
    manifest = (project.app / "belay.yaml").read_text()
    assert "user: nobody" in manifest
    # As the owner of the directory, which is the default, it is somebody else's.
    (project.app / "belay.yaml").write_text(manifest.replace("user: nobody", "user: root"))
    project.belay("add")
    assert "is taken by python3" in start(project, code=1)["error"]["message"]
    (project.app / "belay.yaml").write_text(manifest)
    assert start(project)["pid"] == other.pid
    project.belay("stop", "shop")


# -- which version it is

def move_checkout(project):
    time.sleep(1.1)     # the log of references counts in seconds
    git(project.app, "fetch", "-q", "--tags")
    git(project.app, "checkout", "-q", "--detach", "v1.1.0")


def test_one_that_is_older_than_its_checkout_must_name_its_version(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    text = (project.app / "belay.yaml").read_text()
    asks = text
    silent = text.replace('      json: { .app.version: "${version}" }\n', "")
    assert silent != asks
    # The app reads its version anew each time, so that one that is asked says 1.1.0.
    move_checkout(project)
    (project.app / "belay.yaml").write_text(silent)
    error = start(project, code=6)["error"]
    assert "which version runs is not known" in error["message"] and str(hand.pid) in error["hint"]
    (project.app / "belay.yaml").write_text(asks)
    assert start(project)["version"] == "1.1.0"


def test_one_that_is_not_well_is_not_taken_over(project):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    (project.app / "VERSION").write_text("0.9.0\n")
    git(project.app, "update-index", "--assume-unchanged", "VERSION")
    error = start(project, code=1)["error"]
    assert "was not taken over" in error["message"]
    assert hand.poll() is None
    assert not [p for p in processes_of(project.dir) if " keeper " in p.command]


# -- whatever dies meanwhile

@pytest.mark.long
@pytest.mark.parametrize("role", ["command", "keeper"])
def test_a_death_at_any_point_leaves_it_running_and_the_next_start_takes_it_over(project, role):
    hand = project.serve(*COMMAND, **project.environment_of)
    known(project)
    text = (project.app / "belay.yaml").read_text()
    (project.app / "belay.yaml").write_text(text.replace("      json:", "      interval: 20ms\n      json:"))
    before = {p.pid for p in processes_of(project.dir)}
    trace = project.dir / "trace"
    for n in range(1, 200):
        trace.unlink(missing_ok=True)
        project.belay("start", "shop", code=None, BELAY_FAULT=f"{role}:die:{n}", BELAY_FAULT_TRACE=str(trace))
        points = [line for line in trace.read_text().splitlines() if line.startswith(role)]
        assert hand.poll() is None, f"point {n} ended the service"
        now = start(project)
        assert (now["pid"], now["running"], now["adopted"]) == (hand.pid, True, True), f"point {n}"
        if len(points) < n:
            break
        for process in processes_of(project.dir):
            if process.pid not in before:
                process.kill()
        wait_until(lambda: {p.pid for p in processes_of(project.dir)} <= before, what="the end of the keeper")
        shutil.rmtree(project.dir / "state")
    assert n > 2, "no point was passed"
    project.belay("stop", "shop")
    assert hand.wait(timeout=10) is not None
