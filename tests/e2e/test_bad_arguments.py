"""Arguments and surroundings as they should not be: rows C-01 to C-23 of the catalogue (tests/catalogue.txt).

Expected, if nothing else is said: exit 2, one clear message, no run, and the service as it was.
"""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from belaytest import BELAY, SERVICE, Release, wait_until

HOSTILE = ["$(id)", "`id`", ";reboot", "|", "&", "'", '"', "*", "~"]


@pytest.fixture(scope="module")
def shared(make_module_site):
    """One service for all that must change nothing; what it did change is found at the end."""
    site = make_module_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("backup", "create", SERVICE)
    before = site.servers()
    yield site
    assert site.servers() == before and site.version() == "1.0.0"
    assert site.runs() == []


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0"), Release("1.1.0")])
    made.start()
    return made


def refused(site, *args, code=2, **more):
    result = site.belay(*args, **more)
    assert result.code == code, f"{args!r:.100}: exit {result.code}\n{result.out:.500}\n{result.err:.500}"
    assert result.err.strip() and "\x1b" not in result.err and "\u202e" not in result.err
    assert all(len(line) < 5000 for line in result.err.splitlines())
    return result.err


@pytest.mark.parametrize("name", ["-rf", "--nothing", "--", "../../etc", "a/b", "", "a" * 64, "Notes", ".", "..",
                                  "a\nb", "a\rb", "a\x1b[31mb", "a\u202eb", *HOSTILE])
def test_names_of_services(shared, name):
    """C-01, C-02, C-03, C-04, C-05, C-06: nothing that cannot be a service's name gets further than that."""
    args = ("stop", name) if name != "--" else ("stop", "--", "-rf")
    said = refused(shared, *args)
    assert "\n" not in said.split("belay: ")[1].split("\n  ")[0], "the name broke the line"


def test_a_letter_among_letters_is_named(shared):
    """C-01"""
    assert "'-r'" in refused(shared, "status", "-rf")


def test_bytes_that_are_no_text(shared):
    """C-05: invalid UTF-8 in every place that takes words."""
    for args in ([b"stop", b"\xff\xfe"], [b"update", SERVICE.encode(), b"1.\xff"], [b"show", b"\xff"],
                 [b"--state", b"/dev/null/\xff", b"status"], [b"-f", b"/nonexistent/\xff", b"plan"]):
        child = subprocess.run([*[c.encode() for c in shared.command()[:-1]], *args], cwd=shared.dir,
                               env=shared.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert child.returncode in (1, 2), (args, child.stderr)
        child.stderr.decode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_shell_text_in_every_option(shared, text):
    """C-06: no shell is there to read it."""
    for args in (("update", SERVICE, text), ("plan", SERVICE, text), ("rollback", SERVICE, "--to", text),
                 ("backup", "show", SERVICE, text), ("backup", "restore", SERVICE, "--only", text),
                 ("backup", "verify", SERVICE, "--level", text), ("logs", SERVICE, "--lines", text),
                 ("logs", "--run", text), ("update", SERVICE, "--wait-lock", text), ("show", text),
                 ("lock", SERVICE, "-m", "x", "--until", text), ("report", "1", "--format", text), (text,)):
        refused(shared, *args)


def test_a_backup_of_another_service(make_site, shared):
    """C-07: a backup is found by its own service only."""
    other = make_site([Release("1.0.0")], manifest={"service": "other"})
    other.ok("start", "other")
    wait_until(other.health)
    other.ok("backup", "create", "other")
    backups = json.loads(other.ok("backup", "list", "other", options=("--json",)).out)
    ids = [entry["id"] for entry in backups]
    refused(shared, "backup", "restore", SERVICE, ids[0])
    refused(shared, "backup", "show", SERVICE, f"../other/{ids[0]}")


def test_an_ambiguous_backup(site):
    """C-08: a beginning that fits two backups is not one of them."""
    for _ in range(2):
        site.ok("backup", "create", SERVICE)
    backups = json.loads(site.ok("backup", "list", SERVICE, options=("--json",)).out)
    common = os.path.commonprefix([entry["name"] for entry in backups])
    assert len(common) >= 4
    refused(site, "backup", "show", SERVICE, common)
    refused(site, "backup", "restore", SERVICE, common)


@pytest.mark.parametrize("number", ["-1", "0", "1e9", "9223372036854775808", "0x10", " 5", "5 ", "5;", "", "NaN", "+1"])
def test_numbers(shared, number):
    """C-09"""
    for args in (("show", number), ("logs", SERVICE, "--lines", number), ("resume", number), ("cancel", number),
                 ("backup", "verify", SERVICE, "--level", number), ("rollback", SERVICE, "--run", number)):
        refused(shared, *args)


@pytest.mark.parametrize("text", ["-5m", "5", "99999999h", "", "m", "5 m", "1e3s"])
def test_durations(shared, text):
    """C-10"""
    refused(shared, "update", SERVICE, "--wait-lock", text)
    refused(shared, "lock", SERVICE, "-m", "x", "--until", text)


@pytest.mark.parametrize("args", [
    ("rollback", SERVICE, "--revert", "--restore"), ("plan", SERVICE, "1.1.0", "1.0.0"),
    ("update", SERVICE, "--plan", "a", "--plan", "b"), ("report", "1", "--format", "md", "--format", "json"),
    ("--json", "report", "1", "--format", "html"), ("backup", "restore", SERVICE, "--to", "a\x1bb"),
])
def test_contradicting_flags(shared, args):
    """C-11"""
    refused(shared, *args)


@pytest.mark.parametrize("args", [
    ("plan", SERVICE, "--all"), ("update", SERVICE, "--re"), ("update", SERVICE, "--forc"), ("--js", "status"),
    ("rollback", SERVICE, "--rev"), ("update", SERVICE, "--wait=1s"), ("update", SERVICE, "--wait", "1s"),
])
def test_abbreviated_options(shared, args):
    """C-11: '--all' is not '--allow-downgrade', although getopt would take it for that."""
    assert "write it in full" in refused(shared, *args, options=())


def test_values_that_look_like_options(shared):
    """C-11: what an option takes as its value is no option, and is not looked at as one."""
    assert "is not a duration" in refused(shared, "update", SERVICE, "--wait-lock", "--all")
    assert "is not a duration" in refused(shared, "update", SERVICE, "--wait-lock=--all")


@pytest.mark.parametrize("args", [("update", "--plan"), ("rollback", "--to"), ("lock", "-m"), ("logs", "--lines"),
                                  ("backup", "show", SERVICE, "--store")])
def test_a_missing_value(shared, args):
    """C-12"""
    assert args[-1] in refused(shared, *args)


def test_very_many_and_very_long_arguments(shared):
    """C-13"""
    refused(shared, "status", *["x"] * 90_000)
    for args in (("stop", "x" * 120_000), ("update", SERVICE, "9" * 120_000), ("show", "9" * 120_000),
                 ("lock", SERVICE, "-m", "x" * 120_000), ("note", "1", "x" * 120_000),
                 ("backup", "show", SERVICE, "x" * 120_000)):
        refused(shared, *args)
    assert shared.belay("validate", "x" * 120_000).code in (1, 2)


def test_no_arguments_at_all(tmp_path):
    """C-14: not even a name of the program."""
    source = tmp_path / "run.c"
    source.write_text('#include <unistd.h>\nint main(int n, char **v) { char *none[] = {0}; (void)n;'
                      ' execv(v[1], none); return 99; }\n')
    subprocess.run(["gcc", "-o", tmp_path / "run", source], check=True)
    done = subprocess.run([tmp_path / "run", BELAY], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_closed_descriptors(site, closed):
    """C-15: what is opened first must not become standard output, nor a database the place of a message."""
    shut = " ".join(f"{n}<&-" for n in closed.split())
    child = subprocess.Popen(["sh", "-c", f'exec "$@" {shut}', "sh", *site.command("update", SERVICE, "1.1.0")],
                             env=site.environment(), cwd=site.dir)
    assert child.wait(60) in ((0, 1) if "1" in closed else (0,))
    wait_until(lambda: site.runs() and site.journal()[-1][0] == "END", 30)
    assert site.version() == "1.1.0"
    for name in ("journal", "events"):
        text = (site.state / "runs" / str(site.runs()[-1]) / name).read_bytes()
        assert b"belay:" not in text
    assert site.ok("backup", "verify", SERVICE)


def test_output_that_nobody_takes(site):
    """C-16: a closed pipe and a full disk are failures of the command; the run goes on."""
    for verb in ("status", "help", "list", "runs", "version"):
        with open("/dev/full", "w", encoding="ascii") as full:
            assert site.belay_start(verb, stdout=full).wait(20) == 1, verb
    child = site.belay_start("update", SERVICE, "1.1.0")
    child.stdout.close()
    child.stderr.close()
    child.wait(60)
    wait_until(lambda: site.runs() and site.journal()[-1][0] == "END", 30)
    assert site.version() == "1.1.0"


@pytest.mark.parametrize("name, value", [
    ("HOME", None), ("HOME", "/nonexistent"), ("HOME", "relative"), ("TZ", "../../etc/passwd"), ("TZ", ":/etc/shadow"),
    ("LANG", "x" * 5000), ("LC_ALL", "zz_ZZ.KOI8"), ("PATH", None), ("PATH", ""), ("TMPDIR", "/nonexistent"),
    ("TERM", "\x1b[31m"), ("COLUMNS", "-1"), ("NO_COLOR", ""), ("XDG_STATE_HOME", "relative"), ("GIT_DIR", "/nonexistent"),
    ("GIT_INDEX_FILE", "/nonexistent/x"), ("PYTHONHOME", "/nonexistent"), ("SQLITE_TMPDIR", "/nonexistent"),
])
def test_hostile_environment(site, name, value):
    """C-17: an update goes as ever, or is refused before anything is touched."""
    env = site.environment()
    env.pop(name, None)
    if value is not None:
        env[name] = value
    done = subprocess.run(site.command("update", SERVICE, "1.1.0"), env=env, cwd=site.dir, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1, 6), done
    site.assert_whole(version="1.1.0" if done.returncode == 0 else "1.0.0")


def test_a_deleted_directory(site):
    """C-18"""
    gone = site.dir / "gone"
    gone.mkdir()
    for words in (["status"], ["list"], ["check", SERVICE], ["validate"]):
        child = subprocess.run(["sh", "-c", 'mkdir -p gone && cd gone && rmdir ../gone && exec "$@"', "sh",
                                *site.command(*words)], env=site.environment(), cwd=site.dir, capture_output=True,
                               text=True, check=False)
        assert child.returncode in (0, 2), child


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_umask(make_site, umask):
    """C-19: what Belay writes is its owner's alone, and readable by it."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    child = subprocess.Popen(["sh", "-c", f'umask {umask:o}; belay=$1; shift; "$@" start && exec "$@" update notes 1.1.0',
                              "sh", "x", *site.command()], env=site.environment(), cwd=site.dir,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in site.state.rglob("*") if not p.is_symlink()}
    assert [oct(m) + " " + str(p) for p, m in modes.items() if m & 0o077 or not m & 0o400] == []


@pytest.mark.parametrize("kind", ["fifo", "directory", "zero", "loop", "socket", "world-writable"])
def test_manifests_that_are_no_files(site, kind):
    """C-20: answered at once, never waited for; a file that everybody may write is nobody's to trust."""
    path = site.dir / "odd.yaml"
    server = None
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to("odd.yaml")
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
    else:
        path.write_text((site.dir / "belay.yaml").read_text())
        path.chmod(0o666)
    for words in (["-f", str(path), "plan"], ["validate", str(path)], ["add", str(path)]):
        child = subprocess.run([str(BELAY), "--state", str(site.state), *words], env=site.environment(), cwd=site.dir,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
        assert child.returncode == 2, (words, child)
        assert str(path.name) in child.stderr
    if server:
        server.close()


def test_an_ordinary_user(make_site):
    """C-21: whoever may not is told so, and nothing is changed."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    os.chmod(site.dir, 0o755)
    env = {**site.environment(), "HOME": "/nonexistent"}
    for words in (["status"], ["update", SERVICE, "1.1.0"], ["stop", SERVICE], ["backup", "list", SERVICE]):
        child = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *site.command(*words)],
                               env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert child.returncode in (1, 2, 6), (words, child)
        assert re.search("ermission|belongs to|not allowed", child.stderr), child.stderr
    site.assert_whole(version="1.0.0")


@pytest.mark.parametrize("phase", ["backup", "stop", "place", "start", "verify"])
def test_ctrl_c_twice(make_site, phase):
    """C-22: the second one is no more than the first: the run still ends at one version."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    child = site.belay_start("update", SERVICE, "1.1.0")
    journal = site.state / "runs" / "1" / "journal"
    wait_until(lambda: journal.exists() and f'"{phase}"' in journal.read_text(errors="replace"), 20, every=0.001)
    for _ in range(2):
        if child.poll() is None:
            os.kill(child.pid, signal.SIGINT)
        time.sleep(0.02)
    child.communicate(timeout=60)
    assert child.returncode in (0, 3, 130, -signal.SIGINT)
    wait_until(lambda: site.journal() and site.journal()[-1][0] == "END", 30)
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


def test_a_restore_without_a_terminal_asks_nobody(site):
    """C-23"""
    site.ok("backup", "create", SERVICE)
    for words in (["backup", "restore", SERVICE], ["rollback", SERVICE], ["update", SERVICE, "1.1.0"]):
        assert site.belay(*words, options=()).code in (2, 6)
    assert site.runs() == [] and site.version() == "1.0.0"
    assert pathlib.Path(site.database).exists()
