"""Projects for tests of `belay init` and of taking over: an upstream with tags, a clone, what was started by hand."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import yaml

from belaytest import BELAY, GIT_ENV, free_port, git, processes_of, request, wait_until

# A web service of a few lines: its port from --port or PORT, its rows in SQLite, its version from a file.
SERVER = '''
import http.server, json, os, pathlib, sqlite3, sys
if "--port" in sys.argv:
    port = int(sys.argv[sys.argv.index("--port") + 1])
else:
    port = int(os.environ.get("PORT", "%(port)d"))
data = pathlib.Path("data")
data.mkdir(exist_ok=True)
database = sqlite3.connect(data / "shop.db", check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS item (n INTEGER)")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/healthz"
        body = json.dumps({"ok": known, "app": {"version": pathlib.Path("VERSION").read_text().strip()},
                           "mode": os.environ.get("SHOP_MODE"), "key": os.environ.get("SHOP_KEY")}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


class Project:
    """An upstream repository with two tags, a clone of it, and belay with a state of its own."""

    def __init__(self, files, name="shop", tags=("v1.0.0", "v1.1.0")):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="belay-init-")).resolve()
        self.port = free_port()
        self.upstream, self.app = self.dir / "upstream", self.dir / name
        git(self.dir, "init", "-q", "-b", "main", str(self.upstream))
        self.put({".gitignore": "data/\n.env\n__pycache__/\nbelay.yaml\n", **files})
        for tag in tags:
            self.put({"VERSION": tag.lstrip("v") + "\n"})
            self.publish(tag)
        git(self.dir, "clone", "-q", str(self.upstream), str(self.app))
        if tags:
            git(self.app, "checkout", "-q", "--detach", tags[0])

    def put(self, files, mode=0o644):
        for name, text in files.items():
            path = self.upstream / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text % {"port": self.port} if "%(port)d" in text else text)
            path.chmod(0o755 if text.startswith("#!") else mode)

    def publish(self, tag):
        git(self.upstream, "add", "-A")
        git(self.upstream, "commit", "-q", "--allow-empty", "-m", tag or "no version")
        if tag:
            git(self.upstream, "tag", tag)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("BELAY_")}
        env.update({**GIT_ENV, "LC_ALL": "C.UTF-8", "BELAY_STATE": str(self.dir / "state"),
                    "BELAY_CONFIG": str(self.dir / "config")})
        return env

    def belay(self, *args, cwd=None, code=0, **environment):
        done = subprocess.run([str(BELAY), *map(str, args)], cwd=cwd or self.app,
                              env={**self.environment(), **environment},
                              stdin=subprocess.DEVNULL, text=True, errors="replace", capture_output=True,
                              timeout=60, check=False)
        assert code in (None, done.returncode), f"belay {' '.join(map(str, args))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def run(self, *command, cwd=None, **environment):
        """Starts it as a person would, in a session of its own."""
        log = open(self.dir / "by-hand.log", "ab")
        with log:
            child = subprocess.Popen([str(word) for word in command], cwd=cwd or self.app, stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True,
                                     env={"PATH": "/usr/bin:/bin", **environment})
        return child

    def serve(self, *command, port=None, **more):
        child = self.run(*command, **more)
        wait_until(lambda: self.answer(port), what="an answer of what was started by hand")
        return child

    def answer(self, port=None, path="/healthz"):
        try:
            status, body = request(port or self.port, "GET", path)
        except (OSError, ValueError):
            return None
        return body if status == 200 else None

    def version(self, port=None):
        return (self.answer(port) or {}).get("app", {}).get("version")

    def manifest(self, where=None):
        return yaml.safe_load(((where or self.app) / "belay.yaml").read_text())

    def comments(self):
        lines = (self.app / "belay.yaml").read_text().splitlines()
        return " ".join(line.strip(" #") for line in lines if line.strip().startswith("#"))

    def status(self):
        return json.loads(self.belay("--json", "status").stdout)

    def close(self):
        clean = 0
        while clean < 2:
            found = processes_of(self.dir)
            clean = 0 if found else clean + 1
            for process in found:
                process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
