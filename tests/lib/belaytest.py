"""What the Python tests share: a service of their own, a writer, the belay command, what must hold.

    def test_updates(make_site):
        site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"01_a.sql": "..."})])
        site.start()
        with site.writer() as writer:
            assert site.belay("update", "notes", "v1.1.0").code == 0
        site.assert_whole(writer, version="1.1.0")

A Site is one directory with everything in it: remote.git, app/ (a clone, where the service runs),
state/, belay.yaml. Every process that a test starts mentions that directory, and is ended with it.
"""
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import typing

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BELAY_BUILD") or ROOT / "build-fault").resolve()
BELAY = BUILD / "belay"
NOTED = BUILD / "tests" / "noted"
LONG = bool(os.environ.get("BELAY_LONG"))
SERVICE = "notes"

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@localhost",
    "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@localhost",
}


def figure(text):
    """A line that the test driver shows even when all is well: what a sweep has tried."""
    print(text)
    if os.environ.get("BELAY_FIGURES"):
        with open(os.environ["BELAY_FIGURES"], "a", encoding="utf-8") as out:
            out.write(text + "\n")


def port_range():
    """Each worker of pytest has its own ports: one that is free here may be given out, but not yet bound, there."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    share = 20000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return range(12000 + worker * share, 12000 + (worker + 1) * share)


PORTS = port_range()
ports_given = set()


def free_port():
    """Outside the kernel's own choice for clients: one that asks a port where nobody listens can be given that
    very port as its own, and would then talk to itself and keep the service from binding."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        if port in ports_given:
            continue
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            ports_given.add(port)
            if len(ports_given) > len(PORTS) // 2:      # those of long ago
                ports_given.clear()
            return port


def wait_until(question, timeout=10.0, every=0.01, what="it"):
    """The first true answer; fails the test after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what} did not come about within {timeout} s"
        time.sleep(every)


def git(directory, *args):
    done = subprocess.run(["git", "-C", str(directory), *args], env={**os.environ, **GIT_ENV},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stdout}"
    return done.stdout.strip()


@dataclasses.dataclass
class Release:
    """One tag of the remote: the words noted behaves by, and the files of its tree."""
    version: str
    behaviour: str = ""
    migrations: dict = dataclasses.field(default_factory=dict)  # name: text; later tags keep them
    files: dict = dataclasses.field(default_factory=dict)       # path: text; None removes it
    tag: typing.Optional[str] = None                            # default v<version>


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    def lines(self):
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    started: int        # field 22 of /proc/<pid>/stat: with the pid it names one process for ever
    command: str
    environment: typing.Tuple[str, ...] = dataclasses.field(compare=False)

    def marked(self, name):
        """The value of an environment variable, or None."""
        for entry in self.environment:
            if entry.startswith(name + "="):
                return entry[len(name) + 1:]
        return None

    def alive(self):
        return start_time(self.pid) == self.started

    def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(self.pid)
            try:
                if self.alive():
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)


def start_time(pid):
    """None: there is no such process, or it is a zombie."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else int(fields[19])


def processes_of(directory):
    """Every live process whose command line, environment or working directory is in `directory`."""
    found = []
    text = str(directory)
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        started = start_time(entry)
        try:
            command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace")
            environ = pathlib.Path(f"/proc/{entry}/environ").read_bytes().decode(errors="replace")
            cwd = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        if started is not None and (text in command or text in environ or (cwd + "/").startswith(text + "/")):
            found.append(Process(int(entry), started, command.replace("\0", " ").strip(),
                                 tuple(environ.split("\0"))))
    return found


class Writer(threading.Thread):
    """Posts rows 1, 2, 3, … without pause and notes which were acknowledged, when, by what version."""

    def __init__(self, port, first=1, pause=0.002):
        super().__init__(daemon=True)
        self.port, self.n, self.pause = port, first, pause
        self.acknowledged = {}      # n: (time.time(), version)
        self.failures = 0
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            n, self.n = self.n, self.n + 1
            try:
                status, body = request(self.port, "POST", f"/rows/{n}", timeout=5)
                if status == 201:
                    self.acknowledged[n] = (time.time(), body.get("version"))
                else:
                    self.failures += 1
            except (OSError, http.client.HTTPException, ValueError):
                self.failures += 1
            self._end.wait(self.pause)

    def wait_for(self, more, timeout=10):
        """Until `more` rows have been acknowledged from now on."""
        want = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= want, timeout, what=f"{more} more acknowledged rows")

    def stop(self):
        self._end.set()
        self.join(10)
        assert not self.is_alive(), "the writer hangs"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def request(port, method, path, body=None, timeout=5.0):
    """(status, JSON) of one request to loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


def rows_in_database(path, table="row"):
    """The numbers in a SQLite file, read from a copy, so that nothing of it changes."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "copy.db"
        for suffix in ("", "-wal", "-journal"):
            if os.path.exists(f"{path}{suffix}"):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        with contextlib.closing(sqlite3.connect(copy)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
            return {n for (n,) in db.execute(f"SELECT n FROM {table}")}


def is_database(path):
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def read_journal(path):
    """[(type, payload)] of a run's journal; a torn last line is left out. Checksums are Belay's to check."""
    records = []
    for line in pathlib.Path(path).read_bytes().split(b"\0")[0].decode(errors="replace").splitlines(True):
        parts = line.split(" ", 3)
        if len(parts) == 4 and line.endswith("\n"):
            records.append((parts[2], json.loads(parts[3])))
    return records


def _sockets(directory, names):
    return [name for name in names if pathlib.Path(directory, name).is_socket()]


class Site:
    def __init__(self, releases, *, base=None, manifest=None, journal="wal", installed=None, noted_args=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="belay-test-", dir=base)).resolve()
        self.remote, self.app, self.state = self.dir / "remote.git", self.dir / "app", self.dir / "state"
        self.database = self.app / "data" / "notes.db"
        self.port = free_port()
        self.releases = []
        self._saved = None
        git(self.dir, "init", "-q", "-b", "main", str(self.dir / "upstream"))
        git(self.dir, "init", "-q", "--bare", "-b", "main", str(self.remote))
        git(self.dir / "upstream", "remote", "add", "origin", str(self.remote))
        for release in releases:
            self.publish(release)
        git(self.dir, "clone", "-q", str(self.remote), str(self.app))
        git(self.app, "checkout", "-q", "--detach", installed or self.tag_of(releases[0]))
        self.database.parent.mkdir()
        (self.app / ".env").write_text("NOTES_LIMIT=100\n")
        self.manifest = self.default_manifest(journal, noted_args)
        for key, value in (manifest or {}).items():
            if value is None:
                self.manifest.pop(key, None)
            else:
                self.manifest[key] = value
        self.write_manifest()

    # ---- what is set up

    @staticmethod
    def tag_of(release):
        return release.tag or f"v{release.version}"

    def publish(self, release):
        """Commits and tags a release in the remote, like its developers would."""
        upstream = self.dir / "upstream"
        files = {"VERSION": release.version + "\n", "behaviour": release.behaviour + "\n",
                 ".gitignore": ".env\ndata/\n"}
        files.update({f"migrations/{name}": text for name, text in release.migrations.items()})
        files.update(release.files)
        for name, text in files.items():
            path = upstream / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(upstream, "add", "-A")
        git(upstream, "commit", "-q", "--allow-empty", "-m", f"Release {release.version}")
        git(upstream, "tag", self.tag_of(release))
        git(upstream, "push", "-q", "origin", "main", "--tags")
        self.releases.append(release)

    def commit_of(self, tag):
        return git(self.remote, "rev-parse", f"{tag}^{{commit}}")

    def default_manifest(self, journal, noted_args):
        url = f"http://127.0.0.1:{self.port}/health"
        return {
            "version": 1,
            "service": SERVICE,
            "runtime": {"process": {
                "command": [str(NOTED), "--port", "${port}", "--db", "data/notes.db",
                            "--journal", journal, *noted_args],
                "directory": "app", "port": self.port}},
            "source": {"git": {"directory": "app"}},
            "installed": {"http": url, "json": ".version"},
            "configuration": {"env_file": "app/.env"},
            "backup": {"contents": [{"sqlite": "app/data/notes.db"}]},
            "migrations": [{"sql": {"files": "migrations/*.sql", "database": "data/notes.db"}}],
            "start": {"timeout": "5s"},
            "stop": {"timeout": "2s"},
            "checks": [{"http": {"url": url, "json": {".version": "${version}"},
                                 "interval": "20ms", "within": "1s", "threshold": "2 of 3"}}],
            "monitor": {"for": "300ms", "every": "50ms"},
            "rehearse": "never",    # its tests say otherwise; the others are about something else
        }

    def write_manifest(self):
        (self.dir / "belay.yaml").write_text(yaml.safe_dump(self.manifest, sort_keys=False))

    def verify_slowly(self):
        """Long enough for a test to do something meanwhile, on any machine."""
        self.manifest["checks"][0]["http"].update(interval="1s", within="20s", threshold="5 of 5")
        self.write_manifest()

    # ---- belay

    def environment(self, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("BELAY_") and k != "NO_COLOR"}
        # root's registry is in /etc, whatever HOME says
        env.update({**GIT_ENV, "LC_ALL": "C.UTF-8", "HOME": str(self.dir),
                    "XDG_CONFIG_HOME": str(self.dir / "config"), "BELAY_CONFIG": str(self.dir / "config")})
        env.update({key: str(value) for key, value in (extra or {}).items()})
        return env

    def command(self, *args, options=("--yes",)):
        return [str(BELAY), "-f", str(self.dir / "belay.yaml"), "--state", str(self.state),
                *options, *[str(a) for a in args]]

    def belay_start(self, *args, env=None, options=("--yes",), **popen):
        """Starts belay without waiting for it; a session of its own, so that signals go where they should."""
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                 "text": True, "start_new_session": True, **popen}
        return subprocess.Popen(self.command(*args, options=options), env=self.environment(env),
                                cwd=self.dir, **given)

    def belay(self, *args, timeout=60, **more):
        child = self.belay_start(*args, **more)
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"belay {' '.join(map(str, args))} took over {timeout} s\n{out}\n{err}") from None
        return Result(child.returncode, out, err)

    def ok(self, *args, **more):
        """belay with exit 0, or the test fails with what it said."""
        result = self.belay(*args, **more)
        assert result.code == 0, f"belay {' '.join(map(str, args))}: exit {result.code}\n{result.out}\n{result.err}"
        return result

    def start(self):
        self.ok("start", SERVICE)
        wait_until(self.health, what="a healthy service")

    # ---- what is so

    def health(self):
        """The JSON of a good answer, or None."""
        try:
            status, body = request(self.port, "GET", "/health")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return body if status == 200 else None

    def version(self):
        return (self.health() or {}).get("version")

    def rows_live(self):
        status, body = request(self.port, "GET", "/rows")
        assert status == 200, body
        return set(body["rows"])

    def salvaged_databases(self):
        """What restores have replaced: beside the data, .<name>.salvage-<run>/."""
        return [path for path in self.app.glob("**/.*.salvage-*/**/*") if is_database(path)]

    def rows_in_salvage(self):
        return set().union(*(rows_in_database(path) for path in self.salvaged_databases()))

    def backed_up_databases(self):
        return [path for path in self.state.glob("backups/**/*") if is_database(path)]

    def writer(self, **more):
        return Writer(self.port, **more)

    def processes(self, marker=None):
        """Those of this site; with a marker only those that carry this environment variable."""
        return [p for p in processes_of(self.dir) if marker is None or p.marked(marker) is not None]

    def servers(self):
        return [p for p in self.processes() if p.command.startswith(str(NOTED))]

    def runs(self):
        return sorted(int(p.name) for p in self.state.glob("runs/*") if p.name.isdigit())

    def journal(self, run=None):
        """Of the newest run, unless one is named."""
        path = self.state / "runs" / str(run or self.runs()[-1]) / "journal"
        return read_journal(path) if path.exists() else []

    def checkout(self):
        """Where the files of the version are that is in place."""
        return self.app

    def leftovers(self):
        """Files in the checkout that neither git tracks nor the service's owner put there."""
        status = git(self.app, "status", "--porcelain", "--ignored", "--untracked-files=all")
        known = {".env", *(f"data/notes.db{s}" for s in ("", "-wal", "-shm", "-journal"))}
        strays = [line for line in status.splitlines() if line[3:] not in known
                  and ".backup." not in line[3:] and ".salvage-" not in line[3:]]
        strays += [str(p) for p in self.app.glob(".git/**/*.lock")]
        strays += [str(p) for p in self.state.glob("**/.partial-*")]
        strays += [str(p) for p in self.state.glob("runs/*/rehearsal")]
        return strays

    def assert_whole(self, writer=None, version=None, one_of=None, undone=()):
        """What must hold after every fault, once belay has said that it is done.

        undone: versions that were rolled back; rows that those acknowledged may be in salvage instead.
        """
        wanted = set(one_of or [version])
        health = wait_until(self.health, 10, what="a healthy service")
        assert health["version"] in wanted, f"{health['version']} serves, not one of {wanted}"
        assert git(self.checkout(), "rev-parse", "HEAD") == self.commit_of(self.tag(health["version"]))
        assert len(self.servers()) == 1, self.servers()
        for run in self.runs():
            records = self.journal(run)     # none: it died before its PLAN was written, so it never was
            assert not records or records[-1][0] == "END", f"run {run} is open: {records[-3:]}"
        # A supervisor may be on its way out still; it must not stay.
        wait_until(lambda: not self.run_processes(), 3, what=f"the end of {self.run_processes()}")
        assert self.leftovers() == []
        if writer:
            live = self.rows_live()
            lost = {n: ack for n, ack in writer.acknowledged.items() if n not in live}
            salvaged = self.rows_in_salvage() if lost else set()
            gone = {n: ack for n, ack in lost.items() if n not in salvaged or ack[1] not in undone}
            assert not gone, f"{len(gone)} acknowledged rows are gone: {sorted(gone.items())[:5]}"
        return health["version"]

    def tag(self, version):
        return next(self.tag_of(r) for r in reversed(self.releases) if r.version == version)

    def run_processes(self):
        """What belongs to a run and must have ended with it; the service and its keeper may not be here."""
        return [p for p in self.processes("BELAY_RUN") if not p.command.startswith(str(NOTED))]

    # ---- again and again, and the end

    def save(self):
        """Remembers the whole directory; nothing may run in it."""
        assert not self.processes(), self.processes()
        self._saved = self.dir.with_name(self.dir.name + ".saved")
        shutil.copytree(self.dir, self._saved, symlinks=True, ignore=_sockets)

    def reset(self):
        """Everything as it was at save(), all processes ended."""
        self.kill_all()
        shutil.rmtree(self.dir)
        shutil.copytree(self._saved, self.dir, symlinks=True)

    def kill_all(self):
        """Ends what mentions this directory until two looks find nothing: a keeper may just be forking."""
        clean = 0
        end = time.monotonic() + 10
        while clean < 2:
            found = processes_of(self.dir)
            clean = 0 if found else clean + 1
            for process in found:
                process.kill()
            assert time.monotonic() < end, f"these do not end: {found}"
            if found:
                time.sleep(0.005)

    def close(self):
        self.kill_all()
        shutil.rmtree(self.dir, ignore_errors=True)
        if self._saved:
            shutil.rmtree(self._saved, ignore_errors=True)
