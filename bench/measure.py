"""What the benchmarks share: a probe of the service, a service of its own, figures."""
import os
import pathlib
import signal
import statistics
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BELAY_BUILD") or ROOT / "build").resolve()
os.environ["BELAY_BUILD"] = str(BUILD)      # what is measured is the release build, unless another is named
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import belaytest  # noqa: E402

NOTED = BUILD / "bench" / "noted"
belaytest.NOTED = NOTED
PYTHON = ["/usr/bin/python3", "-S", "-E"]


def say(text):
    print(text, file=sys.stderr, flush=True)


def middle(values):
    return statistics.median(values)


class Probe(threading.Thread):
    """Asks the service every millisecond, and writes a row every 25 ms.

    longest() is the longest time in seconds between two right answers with a refused one in between:
    a slow answer is not an absent service.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.rows = 0
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._begin()

    def _begin(self):
        self._last = None
        self._refused = False
        self._longest = 0.0

    def reset(self):
        """Forgets what was, and returns when the service has answered again."""
        with self._lock:
            self._begin()
        belaytest.wait_until(lambda: self._last is not None, what="an answer")

    def longest(self):
        with self._lock:
            return self._longest

    def _ask(self, method, path):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
            answer = s.recv(4096)
        return answer.split(b" ", 2)[1:2] in ([b"200"], [b"201"])

    def _note(self, good, began):
        with self._lock:
            if not good:
                self._refused = True
                return
            now = time.monotonic()
            if self._refused and self._last is not None:
                self._longest = max(self._longest, now - self._last)
            self._refused = False
            self._last = began

    def run(self):
        write_at = 0.0
        while not self._end.is_set():
            began = time.monotonic()
            try:
                if began >= write_at:
                    self.rows += 1
                    write_at = began + 0.025
                    good = self._ask("POST", f"/rows/{self.rows}")
                else:
                    good = self._ask("GET", "/health")
            except OSError:
                good = False
            self._note(good, began)
            time.sleep(0.001)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join(15)


class Bare:
    """The service without Belay: its program, started and stopped by hand."""

    def __init__(self, site):
        self.site = site
        command = site.manifest["runtime"]["process"]["command"]
        self.command = [word.replace("${port}", str(site.port)) for word in command]
        self.pidfile = site.dir / "bare.pid"
        self.child = None

    def start(self):
        self.child = subprocess.Popen(self.command, cwd=self.site.app, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pidfile.write_text(f"{self.child.pid}\n")

    def wait_ready(self):
        belaytest.wait_until(self.site.health, what="the bare service", every=0.002)

    def stop(self):
        self.child.terminate()
        self.child.wait(30)

    def stop_by_file(self):
        """Of what careful.sh started."""
        pid = int(self.pidfile.read_text())
        os.kill(pid, signal.SIGTERM)
        belaytest.wait_until(lambda: belaytest.start_time(pid) is None, what="the end of the service")


def migrate(site, script):
    subprocess.run([*PYTHON, script], cwd=site.app, check=True)
