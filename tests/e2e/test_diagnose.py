"""diagnose and doctor: each cause is provoked for real and found by its code, with what to do."""
import contextlib
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading

import pytest

from belaytest import SERVICE, Release, figure, free_port, git, wait_until

# A service whose file 'fault' says what goes wrong with it.
APP = r'''
import http.server, json, os, sqlite3, sys
port = int(sys.argv[1])
fault = open("fault").read().strip() if os.path.exists("fault") else ""
print("begins", flush=True)
if fault == "import":
    import a_module_that_nobody_has
if fault == "memory":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
    held = [bytearray(16 << 20) for _ in range(100)]
if fault == "kill":
    os.kill(os.getpid(), 9)
if fault == "crash":
    os.kill(os.getpid(), 11)
if fault == "library":
    os.execv("./linked", ["./linked"])
if fault == "open":
    sqlite3.connect("nowhere/app.db").execute("SELECT 1")
if fault == "resolve":
    import socket
    socket.getaddrinfo("database.invalid", 5432)
if fault == "refused":
    import socket
    socket.create_connection(("127.0.0.1", 1))
if fault == "full":
    open("/dev/full", "w", buffering=1).write("x\n")
if fault == "permission":
    raise PermissionError(13, "Permission denied", "data/key")
if fault == "port":
    port = int(open("other").read())
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(fault) if fault.isdigit() else 200
        if fault == "column":
            try:
                sqlite3.connect("data/app.db").execute("SELECT owner FROM note")
            except sqlite3.Error as error:
                print(f"sqlite3.OperationalError: {error}", flush=True)
                status = 500
        body = json.dumps({"version": open("VERSION").read().strip()}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
'''


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0", files={"app.py": APP, ".gitignore": ".env\ndata/\nfault\nother\nlinked\n*.so\n"})])
    made.manifest["runtime"]["process"]["command"] = ["/usr/bin/python3", "app.py", "${port}"]
    made.manifest["runtime"]["process"]["restart"] = "never"
    made.manifest["backup"] = {"contents": [{"sqlite": "app/data/app.db"}]}
    made.manifest["migrations"] = []
    made.manifest["start"] = {"timeout": "3s"}
    made.manifest["checks"][0]["http"]["interval"] = "50ms"
    made.write_manifest()
    with contextlib.closing(sqlite3.connect(made.app / "data" / "app.db")) as db:
        db.executescript("CREATE TABLE note (n INTEGER); INSERT INTO note VALUES (1);")
    return made


def diagnose(site):
    """{code: diagnosis}"""
    result = site.belay("diagnose", SERVICE, options=("--json",))
    found = {one["code"]: one for one in json.loads(result.out)["found"]}
    assert result.code == (1 if found else 0), result
    for one in found.values():
        assert one["cause"] and one["remedy"] and "%s" not in one["remedy"]
    words = site.belay("diagnose", SERVICE)
    assert all(code in words.out for code in found) and words.code == result.code
    return found


def test_a_service_that_is_well(site):
    site.ok("start", SERVICE)
    assert diagnose(site) == {}
    assert "nothing wrong" in site.ok("diagnose", SERVICE).out


@pytest.mark.parametrize("fault, code", [
    ("import", "missing-dependency"), ("memory", "out-of-memory"), ("kill", "not-running"), ("crash", "not-running"),
    ("library", "missing-library"), ("open", "database-refused"), ("resolve", "name-not-resolved"),
    ("refused", "connection-refused"), ("full", "disk-full"), ("permission", "permission"), ("column", "missing-column"),
    ("500", "answers-500"), ("502", "answers-502"), ("503", "answers-503"),
])
def test_causes_by_what_is_said(site, fault, code):
    if fault == "library":
        (site.app / "library.c").write_text("int there(void) { return 0; }\n")
        (site.app / "linked.c").write_text("int there(void); int main(void) { return there(); }\n")
        for args in (["-shared", "-fPIC", "-o", "libthere.so", "library.c"], ["-o", "linked", "linked.c", "-L.", "-lthere"]):
            subprocess.run(["gcc", *args], cwd=site.app, check=True)
        for name in ("library.c", "linked.c", "libthere.so"):
            (site.app / name).unlink()
    (site.app / "fault").write_text(fault)
    assert site.belay("start", SERVICE).code == 1
    found = diagnose(site)
    assert code in found, found
    assert found[code].get("evidence") or found[code]["seen"]


def test_a_port_that_is_taken(site):
    with socket.create_server(("127.0.0.1", site.port)):
        assert site.belay("start", SERVICE).code == 1
        found = diagnose(site)
    assert f"port {site.port} is held by" in found["port-taken"]["cause"]
    assert f"pid {os.getpid()}" in found["port-taken"]["cause"] and found["port-taken"]["seen"]


def test_a_wrong_port(site):
    other = free_port()
    (site.app / "fault").write_text("port")
    (site.app / "other").write_text(str(other))
    assert site.belay("start", SERVICE).code == 1
    found = diagnose(site)
    assert f"listens on port {other}, and is asked on port {site.port}" in found["wrong-port"]["cause"]


def test_stopped_and_unwatched(site):
    site.ok("start", SERVICE)
    keepers = [p for p in site.processes() if " keeper" in p.command]
    assert keepers
    for keeper in keepers:
        keeper.kill()
    wait_until(lambda: not any(k.alive() for k in keepers))
    assert set(diagnose(site)) == {"keeper-missing"}
    site.ok("start", SERVICE)
    assert diagnose(site) == {}
    site.ok("stop", SERVICE)
    assert set(diagnose(site)) == {"stopped"}


def test_databases(site):
    site.ok("start", SERVICE)
    path = site.app / "data" / "app.db"
    good = path.read_bytes()
    path.write_bytes(good[:100] + b"\x5a" * 12 + good[112:])
    found = diagnose(site)
    assert found["database-damaged"]["seen"] and str(path) in found["database-damaged"]["cause"]
    path.write_bytes(good)
    assert diagnose(site) == {}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        found = diagnose(site)
    assert "database-locked" in found and "fuser" in found["database-locked"]["remedy"]


def test_a_database_of_somebody_else(make_site):
    site = make_site([Release("1.0.0")], manifest={"migrations": None})
    for path in (site.dir, site.app):
        path.chmod(0o755)
    site.manifest["runtime"]["process"]["user"] = "nobody"
    site.write_manifest()
    with contextlib.closing(sqlite3.connect(site.database)) as db:
        db.execute("CREATE TABLE row (n INTEGER)")
    found = diagnose(site)
    assert found["database-readonly"]["seen"] and "chown nobody" in found["database-readonly"]["remedy"]


def test_a_full_disk(make_site, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    try:
        site = make_site([Release("1.0.0")], base=place)
        with contextlib.suppress(OSError), open(place / "fill", "wb") as fill:
            while True:
                fill.write(b"x" * 65536)
                fill.flush()
        found = diagnose(site)
        assert found["disk-full"]["seen"] and str(place) in found["disk-full"]["cause"]
        (place / "fill").unlink()
        site.close()
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_the_checkout(site):
    site.ok("start", SERVICE)
    git(site.app, "config", "remote.origin.fetch", "+refs/heads/none:refs/remotes/origin/none")
    found = diagnose(site)
    assert "refspec" in found and "--fix" in found["refspec"]["remedy"]
    os.rename(site.app / ".git", site.app / "git-moved")
    assert "checkout" in diagnose(site)


def make_certificate(directory):
    """One that nobody but itself has signed."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
                    "-keyout", directory / "key.pem", "-out", directory / "cert.pem"], check=True, capture_output=True)
    return directory / "cert.pem", directory / "key.pem"


def test_a_certificate_that_is_not_trusted(site, tmp_path):
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with contextlib.suppress(OSError):
                    context.wrap_socket(plain, server_side=True).close()
    threading.Thread(target=serve, daemon=True).start()
    site.ok("start", SERVICE)
    site.manifest["checks"] = [{"http": {"url": f"https://localhost:{listener.getsockname()[1]}/", "within": "2s"}}]
    site.write_manifest()
    found = diagnose(site)
    listener.close()
    assert "certificate" in found, found


def test_a_name_that_a_check_asks(site):
    site.ok("start", SERVICE)
    site.manifest["checks"] = [{"http": {"url": "http://shop.invalid:8000/", "within": "2s"}}]
    site.write_manifest()
    assert "name-not-resolved" in diagnose(site)


def test_a_secret_that_changed(site):
    (site.app / ".env").write_text("SESSION_SECRET=canary-one-7f3a\nCOLOUR=red\n")
    site.ok("start", SERVICE)
    site.ok("backup", "create", SERVICE)
    assert diagnose(site) == {}
    (site.app / ".env").write_text("SESSION_SECRET=canary-two-7f3a\nCOLOUR=blue\n")
    found = diagnose(site)
    assert "SESSION_SECRET" in found["secret-changed"]["cause"] and "COLOUR" not in found["secret-changed"]["cause"]
    assert "canary" not in json.dumps(found)


def test_an_interrupted_run(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    child = site.belay_start("update", SERVICE, "1.1.0", env={"BELAY_NO_KEEPER_RESUME": "1"})
    wait_until(lambda: any(t == "ARM" for t, _ in site.journal()) if site.runs() else False, 20, every=0.001)
    for process in site.processes():
        if " runner" in process.command:
            process.kill()
    child.communicate(timeout=30)
    found = diagnose(site)
    assert "belay resume 1" in found["run-open"]["remedy"]
    assert site.belay("resume", "1").code in (0, 3)
    assert "run-open" not in diagnose(site)


def test_what_was_said_once_is_no_news(site):
    """The log of yesterday does not count for a service that is well today."""
    (site.app / "fault").write_text("import")
    site.belay("start", SERVICE)
    (site.app / "fault").unlink()
    site.ok("restart", SERVICE)
    assert diagnose(site) == {}


# ---- doctor

def doctor(site, **more):
    result = site.belay("doctor", options=("--json",), **more)
    report = json.loads(result.out)
    assert result.code == (1 if report["worst"] == "wrong" else 0), result
    return {(p.get("service"), p["code"]): p for p in report["points"]}


def test_doctor(site):
    site.ok("add")
    points = doctor(site)
    assert points[(None, "git")]["found"].startswith("git version")
    for code in ("kernel", "belay-exec", "http", "clock", "state-rights", "state-writable", "journals"):
        if code != "belay-exec":
            assert points[(None, code)]["level"] == "good", points[(None, code)]
    assert points[(SERVICE, "service")]["found"] == "is stopped"
    assert points[(SERVICE, "store")]["level"] == "warning"
    # The boot unit of this user and this state directory is meant, as `enable` says it.
    enabled = json.loads(site.ok("enable", SERVICE, options=("--json",)).out)
    assert points[(None, "boot")]["remedy"] == enabled["missing"]
    site.ok("disable", SERVICE)
    figure("doctor: " + ", ".join(sorted({p["code"] + "=" + p["level"] for p in points.values()})))
    site.state.chmod(0o755)
    assert doctor(site)[(None, "state-rights")]["level"] == "wrong"
    site.state.chmod(0o700)
    os.remove(site.dir / "belay.yaml")
    assert doctor(site)[(SERVICE, "manifest")]["level"] == "wrong"
    site.write_manifest()
    # In a place where git is no program.
    without = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind /dev/null "$(command -v git)" && exec "$@"', "sh",
                              *site.command("doctor", options=("--json",))], env=site.environment(), cwd=site.dir,
                             capture_output=True, text=True, check=False)
    assert without.returncode == 1, without
    assert {p["code"]: p["level"] for p in json.loads(without.stdout)["points"]}["git"] == "wrong"
    assert doctor(site, env={"BELAY_EXEC": "/nonexistent"})[(None, "belay-exec")]["level"] == "wrong"
    words = site.belay("doctor")
    assert "✔" in words.out and "!" in words.out and words.code == 0


def test_doctor_finds_what_a_dead_runner_left(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    child = site.belay_start("update", SERVICE, "1.1.0", env={"BELAY_NO_KEEPER_RESUME": "1"})
    wait_until(lambda: any(t == "ARM" for t, _ in site.journal()) if site.runs() else False, 20, every=0.001)
    for process in site.processes():
        if " runner" in process.command:
            process.kill(signal.SIGKILL)
    child.communicate(timeout=30)
    assert "resume --all" in doctor(site)[(None, "journals")]["remedy"]
    assert site.belay("resume", "--all").code in (0, 3)
    journal = site.state / "runs" / "1" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"ARM", b"ARN", 1))
    assert doctor(site)[(None, "journals")]["level"] == "wrong"


def test_a_run_that_waits_is_a_persons(make_site):
    """`resume --all` leaves it alone, so it is not what is recommended."""
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health")],
                     manifest={"rollback": {"automatic": False}})
    site.start()
    assert site.belay("update", SERVICE, "1.1.0", "--no-rehearsal").code == 8
    found = doctor(site)[(None, "journals")]
    assert found["level"] == "warning" and "1 of 1 runs wait for a person" in found["found"]
    said = {one["code"]: one for one in json.loads(site.belay("diagnose", SERVICE, options=("--json",)).out)["found"]}
    assert "belay accept 1" in said["run-waits"]["remedy"] and "run-open" not in said
    assert site.belay("cancel", "1").code == 3
