"""Data, databases and remotes as they should not be: rows of the catalogue (tests/catalogue.txt) on a whole service."""
import contextlib
import hashlib
import http.server
import json
import os
import resource
import shutil
import signal
import socket
import socketserver
import sqlite3
import subprocess
import threading
import time

import pytest

from belaytest import SERVICE, Release, git, rows_in_database, wait_until

PATH_TOO = {"backup": {"contents": [{"path": "app/data"}]}}
NO_MIGRATIONS = {"migrations": None}


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0"), Release("1.1.0")], manifest={**PATH_TOO, **NO_MIGRATIONS})
    made.start()
    return made


def newest_backup(site):
    return json.loads(site.ok("backup", "list", SERVICE, options=("--json",)).out)[0]


def tree_of(directory):
    return {str(p.relative_to(directory)): (p.lstat().st_ino, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in sorted(directory.rglob("*")) if p.is_file() and not p.is_symlink()}


# ---- files and directories

def test_what_cannot_be_read_is_no_backup(make_site):
    """P-01: never skipped in silence. As an ordinary user: root reads everything."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={**PATH_TOO, **NO_MIGRATIONS})
    (site.app / "data" / "closed").write_text("x")
    for path in [site.dir, *site.dir.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    (site.app / "data" / "closed").chmod(0)

    def as_user(*words):
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *site.command(*words)],
                              env=site.environment(), cwd=site.dir, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
    started = as_user("start", SERVICE)
    assert started.returncode == 0, started.stderr
    wait_until(site.health)
    for words in (["backup", "create", SERVICE], ["update", SERVICE, "1.1.0"]):
        done = as_user(*words)
        assert done.returncode in (1, 6) and "closed" in done.stderr, done
    assert site.version() == "1.0.0" and not list(site.state.glob("backups/*/2*"))
    (site.app / "data" / "closed").chmod(0o600)
    assert as_user("update", SERVICE, "1.1.0").returncode == 0
    assert site.version() == "1.1.0"
    assert as_user("rollback", SERVICE).returncode == 0
    assert site.version() == "1.0.0"


def test_a_limit_of_file_sizes_is_an_error_like_a_full_disk(site):
    """ulimit -f: no death without a word, nothing left behind; without the limit all is as before."""
    def limited(*args):
        return site.belay(*args, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))

    result = limited("backup", "create", SERVICE)
    assert result.code == 1 and "backing up notes" in result.err, result
    assert site.leftovers() == []
    assert limited("status").code == 0
    # Its journal cannot grow either: whoever cannot write that down stops there, before anything was touched.
    result = limited("update", SERVICE, "1.1.0")
    assert result.code == 7 and "interrupted" in result.err and site.version() == "1.0.0", result
    assert site.belay("resume").code == 3
    site.ok("update", SERVICE, "1.1.0")
    site.assert_whole(version="1.1.0")


def test_a_file_that_may_not_be_changed(site):
    """P-02: it is backed up; a restore leaves it whole, wherever it then is."""
    fixed = site.app / "data" / "fixed"
    fixed.write_text("stays")
    subprocess.run(["chattr", "+i", str(fixed)], check=True)
    try:
        site.ok("backup", "create", SERVICE)
        result = site.belay("backup", "restore", SERVICE)
        assert result.code in (0, 3, 6), result.err
        assert site.version() == "1.0.0" and fixed.read_text() == "stays"
        assert site.runs() == [] or site.journal()[-1][0] == "END"
    finally:
        for path in site.app.rglob("fixed"):
            subprocess.run(["chattr", "-i", str(path)], check=True)


def test_hard_links_across_contents(make_site):
    """P-07: each content has its own copy; a restore joins nothing that it should not."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={
        "backup": {"contents": [{"path": "app/one"}, {"path": "app/two"}]}, **NO_MIGRATIONS})
    for name in ("one", "two"):
        (site.app / name).mkdir()
    (site.app / "one" / "a").write_text("shared")
    os.link(site.app / "one" / "a", site.app / "two" / "a")
    os.link(site.app / "one" / "a", site.app / "one" / "b")
    site.start()
    site.ok("backup", "create", SERVICE)
    (site.app / "one" / "a").write_text("changed")
    site.ok("backup", "restore", SERVICE)
    assert [(site.app / p).read_text() for p in ("one/a", "one/b", "two/a")] == ["shared"] * 3
    assert (site.app / "one/a").stat().st_ino == (site.app / "one/b").stat().st_ino


def test_very_many_and_very_deep(make_site):
    """P-10"""
    site = make_site([Release("1.0.0")], manifest={**PATH_TOO, **NO_MIGRATIONS})
    many = site.app / "data" / "many"
    many.mkdir()
    for n in range(5000):
        (many / f"{n}").write_bytes(b"")
    deep = site.app / "data"
    for _ in range(120):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "leaf").write_text("down here")
    site.start()
    site.ok("backup", "create", SERVICE)
    shutil.rmtree(many)
    site.ok("backup", "restore", SERVICE)
    assert len(list((site.app / "data" / "many").iterdir())) == 5000
    assert (deep / "leaf").read_text() == "down here"


def test_a_tree_deeper_than_belay_goes(make_site):
    """P-10: over the limit it is refused, not cut off."""
    site = make_site([Release("1.0.0")], manifest={**PATH_TOO, **NO_MIGRATIONS})
    at = os.open(site.app / "data", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    try:
        site.start()
        result = site.belay("backup", "create", SERVICE)
        assert result.code in (1, 6) and "deep" in result.err, result.err
        assert not list(site.state.glob("backups/*/2*"))
    finally:
        subprocess.run(["rm", "-rf", str(site.app / "data" / "d")], check=True)


def test_a_file_that_changes_while_it_is_read(make_site):
    """P-11: it is as it was at one moment, or the backup says that it could not be had."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={**PATH_TOO, **NO_MIGRATIONS})
    page = site.app / "data" / "page"
    page.write_bytes(b"0" * (4 << 20))
    end = threading.Event()

    def change():
        n = 0
        while not end.is_set():
            n = (n + 1) % 10
            with open(page, "r+b") as file:
                file.write(str(n).encode() * (4 << 20))
    site.start()
    worker = threading.Thread(target=change)
    worker.start()
    try:
        result = site.belay("backup", "create", SERVICE)
    finally:
        end.set()
        worker.join()
    assert result.code in (0, 1), result.err
    if result.code == 1:
        assert "page" in result.err
        return
    site.ok("backup", "verify", SERVICE)
    out = site.dir / "out"
    site.ok("backup", "restore", SERVICE, "--to", out)
    bytes_of = next(out.rglob("page")).read_bytes()
    assert len(bytes_of) == 4 << 20


def test_a_path_that_is_a_link_to_the_root(make_site):
    """Y-17"""
    site = make_site([Release("1.0.0")], manifest={"backup": {"contents": [{"path": "app/all"}]}, **NO_MIGRATIONS})
    (site.app / "all").symlink_to("/")
    for words in (["validate"], ["start", SERVICE], ["backup", "create", SERVICE], ["plan", SERVICE, "--reinstall"]):
        result = site.belay(*words)
        assert result.code == 2 and "leads to '/'" in result.err, result.err
    assert not list(site.state.glob("backups/*/2*"))


def test_a_manifest_replaced_while_it_is_read(make_site):
    """Y-25: what is run is exactly what was checked: a run has its own copy from the beginning."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    good = (site.dir / "belay.yaml").read_text()
    end = threading.Event()

    def replace():
        while not end.is_set():
            for text in (good, good.replace("for: 300ms", "for: 301ms"), "version: 1\n"):
                (site.dir / "next.yaml").write_text(text)
                os.replace(site.dir / "next.yaml", site.dir / "belay.yaml")
                time.sleep(0.001)
    worker = threading.Thread(target=replace)
    worker.start()
    try:
        codes = {site.belay("validate").code for _ in range(30)}
        done = [site.belay("update", SERVICE, v, "--allow-downgrade").code for v in ("1.1.0", "1.0.0", "1.1.0")]
    finally:
        end.set()
        worker.join()
        (site.dir / "belay.yaml").write_text(good)
    assert codes <= {0, 2} and set(done) <= {0, 2, 6, 9}, (codes, done)
    for run in site.runs():
        kept = (site.state / "runs" / str(run) / "undo" / "belay.yaml").read_text()
        assert kept in (good, good.replace("for: 300ms", "for: 301ms"))
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


# ---- state

def test_two_machines_with_one_state_directory(site):
    """J-12: of two copies of a state directory one changes the service, the other is told."""
    site.ok("update", SERVICE, "1.1.0")
    copy = site.dir / "copy"
    shutil.copytree(site.state, copy, symlinks=True, ignore=lambda d, names: [n for n in names if n.endswith("sock")])
    other = [c.replace(str(site.state), str(copy)) for c in site.command("status", options=("--json",))]
    shown = subprocess.run(other, env=site.environment(), cwd=site.dir, capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and '"1.1.0"' in shown.stdout
    holder = site.belay_start("update", SERVICE, "1.0.0", "--allow-downgrade")
    wait_until(lambda: len(site.runs()) == 2, 20)
    second = [c.replace(str(site.state), str(copy)) for c in site.command("update", SERVICE, "1.0.0", "--allow-downgrade")]
    refused = subprocess.run(second, env=site.environment(), cwd=site.dir, capture_output=True, text=True, check=False)
    holder.communicate(timeout=60)
    # Either it came while the first held the directory, or after it: never both at once.
    assert refused.returncode in (0, 5, 6), refused.stderr
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def give_owner(journal, **owner):
    """Writes another owner into a journal, with the checksum that Belay would have written."""
    lines = journal.read_bytes().split(b"\0")[0].decode().splitlines()
    for i, line in enumerate(lines):
        _, sequence, kind, text = line.split(" ", 3)
        if kind == "OWNER":
            rest = f"{sequence} {kind} {json.dumps({**json.loads(text), **owner}, separators=(',', ':'))}"
            lines[i] = f"{crc32c(rest.encode()):08x} {rest}"
    journal.write_text("\n".join(lines) + "\n")


def test_an_owner_of_another_boot_is_no_process_of_this_one(site):
    """J-12: its number and start time may be those of somebody here."""
    site.belay("update", SERVICE, "1.1.0", env={"BELAY_FAULT": "runner:die:60", "BELAY_NO_KEEPER_RESUME": "1"})
    here, = site.servers()
    journal = site.state / "runs" / "1" / "journal"
    give_owner(journal, pid=here.pid, start_time=here.started)
    assert site.belay("update", SERVICE, "1.1.0").code == 5     # of this boot it would be the runner
    give_owner(journal, boot_id="00000000-0000-4000-8000-000000000000")
    refused = site.belay("update", SERVICE, "1.1.0")
    assert refused.code == 7 and "[run-open]" in refused.err, refused
    site.belay("resume", "1")
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


# ---- databases

def put_directory(path):
    path.mkdir()


def put_fifo(path):
    os.mkfifo(path)


def put_empty(path):
    path.write_bytes(b"")


def put_picture(path):
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)


def put_encrypted(path):
    path.write_bytes(os.urandom(8192))


def put_only_wal(path):
    path.with_name(path.name + "-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\0" * 4000)


def put_damaged(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE t (a, b); CREATE INDEX i ON t (b);")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"text {n}") for n in range(2000)])
        db.commit()
    text = bytearray(path.read_bytes())
    for at in range(len(text) // 2, len(text) // 2 + 3000):
        text[at] ^= 0x5A
    path.write_bytes(text)


@pytest.mark.parametrize("put", [put_directory, put_fifo, put_empty, put_picture, put_encrypted, put_only_wal, put_damaged])
def test_what_is_no_database(make_site, put):
    """B-01, B-03: refused before anything is touched, and never waited for."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={
        "backup": {"contents": [{"sqlite": "app/other.db"}]}, **NO_MIGRATIONS})
    put(site.app / "other.db")
    (site.app / ".git" / "info" / "exclude").write_text("other.db*\n")
    site.start()
    empty = put is put_empty        # an empty file is an empty database to SQLite itself
    created = site.belay("backup", "create", SERVICE, timeout=30)
    assert created.code == 0 if empty else created.code in (1, 6), created.err
    updated = site.belay("update", SERVICE, "1.1.0", timeout=30)
    assert updated.code == 0 if empty else updated.code in (1, 6), updated.err
    if not empty:
        assert "other.db" in updated.err
        site.assert_whole(version="1.0.0") if put is put_directory else None
        assert site.version() == "1.0.0"


def test_a_hot_journal_and_a_living_writer(make_site):
    """B-02: rows that are in the -wal alone, or that a crash left half written, come out as SQLite has them."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={
        "backup": {"contents": [{"sqlite": "app/other.db"}]}, **NO_MIGRATIONS})
    path = site.app / "other.db"
    (site.app / ".git" / "info" / "exclude").write_text("other.db*\n")
    script = ("import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode=' + sys.argv[2]);"
              "db.execute('PRAGMA cache_size=2'); db.execute('CREATE TABLE IF NOT EXISTS row (n INTEGER)');"
              "db.executemany('INSERT INTO row VALUES (?)', [(n,) for n in range(500)]); db.commit();"
              "db.executemany('INSERT INTO row VALUES (?)', [(n,) for n in range(500, 5000)]); os._exit(0)")
    site.start()
    for mode in ("wal", "delete"):
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{path}{suffix}")
        subprocess.run(["/usr/bin/python3", "-c", script, str(path), mode], check=True)
        assert os.path.exists(f"{path}-wal" if mode == "wal" else f"{path}-journal")
        site.ok("backup", "create", SERVICE)
        copies = [p for p in site.state.glob("backups/*/2*/*.db")]
        assert rows_in_database(max(copies, key=lambda p: p.stat().st_mtime)) == set(range(500)), mode


@pytest.mark.long
def test_a_lock_that_is_never_given_back(make_site):
    """B-02: said, with the name of the database, and waited for no longer than half a minute."""
    site = make_site([Release("1.0.0")], manifest={"backup": {"contents": [{"sqlite": "app/other.db"}]}, **NO_MIGRATIONS})
    path = site.app / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE row (n INTEGER)")
    site.start()
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    result = site.belay("backup", "create", SERVICE, timeout=120)
    locked.close()
    assert result.code == 1 and "other.db" in result.err, result.err


@pytest.mark.parametrize("page_size", [512, 1024, 8192, 65536])
def test_all_kinds_of_databases(make_site, page_size):
    """B-03: and each comes back the same."""
    site = make_site([Release("1.0.0")], manifest={"backup": {"contents": [{"sqlite": "app/other.db"}]}, **NO_MIGRATIONS})
    path = site.app / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA page_size={page_size}; PRAGMA auto_vacuum=INCREMENTAL; VACUUM;"
                         "CREATE TABLE w (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; CREATE VIRTUAL TABLE f USING fts5(t);"
                         "CREATE TABLE g (a, b AS (a * 2) STORED); CREATE TABLE s (a INTEGER) STRICT;"
                         "CREATE VIEW v AS SELECT a FROM g; PRAGMA user_version=7; PRAGMA application_id=99;")
        db.executescript("BEGIN;" + "".join(f"CREATE TABLE t{n} (a);" for n in range(300)) + "COMMIT;")
        db.executemany("INSERT INTO w VALUES (?, ?)", [(f"k{n}", os.urandom(700)) for n in range(50)])
        db.execute("INSERT INTO f VALUES ('the quick brown fox')")
        db.execute("INSERT INTO g (a) VALUES (21)")
        db.commit()
        before = list(db.iterdump())
    site.start()
    site.ok("backup", "create", SERVICE)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("DELETE FROM w; DROP TABLE t7; PRAGMA user_version=8;")
    site.ok("backup", "restore", SERVICE)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA page_size").fetchone() == (page_size,)
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# ---- remotes

class Quiet(http.server.BaseHTTPRequestHandler):
    seen = None

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.answer()

    def log_message(self, *_):
        pass


class Redirects(Quiet):
    def answer(self):
        self.send_response(301)
        self.send_header("Location", f"http://127.0.0.1:{self.server.other}{self.path}")
        self.end_headers()


class Refuses(Quiet):
    def answer(self):
        self.send_response(404)
        self.end_headers()


@contextlib.contextmanager
def serve(handler, **more):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.seen = []
    for name, value in more.items():
        setattr(server, name, value)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_a_redirect_to_another_host_gets_no_password(make_site):
    """G-04"""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    with serve(Refuses) as other, serve(Redirects, other=other.server_address[1]) as first:
        git(site.app, "remote", "set-url", "origin", f"http://user:canary-7f3a@127.0.0.1:{first.server_address[1]}/x.git")
        result = site.belay("update", SERVICE, "1.1.0", timeout=60)
        assert result.code == 1 and "canary-7f3a" not in result.err + result.out, result.err
        assert not [h for _, h in other.seen if "Authorization" in h]
    assert not [p for p in site.state.rglob("*") if p.is_file() and b"canary-7f3a" in p.read_bytes()]
    site.assert_whole(version="1.0.0")


@pytest.mark.long
def test_a_large_tree(make_site):
    """G-08"""
    site = make_site([Release("1.0.0")])
    for n in range(20_000):
        path = site.dir / "upstream" / "many" / str(n % 100) / str(n)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{n}\n")
    (site.dir / "upstream" / "big").write_bytes(os.urandom(64 << 20))
    site.publish(Release("1.1.0"))
    site.start()
    site.ok("update", SERVICE, "1.1.0", timeout=300)
    site.assert_whole(version="1.1.0")
    assert (site.app / "big").stat().st_size == 64 << 20
    site.ok("rollback", SERVICE, timeout=300)
    site.assert_whole(version="1.0.0")


def test_a_remote_that_hangs_is_left(make_site):
    """G-11: Ctrl-C ends the wait at once, nothing stays behind, nothing was changed."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    silent = socket.create_server(("127.0.0.1", 0))
    git(site.app, "remote", "set-url", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")
    child = site.belay_start("update", SERVICE, "1.1.0")
    connection, _ = silent.accept()
    os.kill(child.pid, signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode in (1, 130, -signal.SIGINT)
    connection.close()
    silent.close()
    wait_until(lambda: not [p for p in site.processes() if "git" in p.command.split(" ")[0]], 15, what="the end of git")
    assert site.version() == "1.0.0" and site.runs() == []


class SpeaksNoHttp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"\x16\x03 this is not what you think it is \xff\n" * 40)


def test_a_remote_that_speaks_no_http_is_no_forbidden_address(site):
    """Belay could not look (1); the address is of an allowed kind, so that is not what the answer is about."""
    with serve(SpeaksNoHttp) as server:
        git(site.app, "remote", "set-url", "origin", f"http://127.0.0.1:{server.server_address[1]}/x.git")
        result = site.belay("update", SERVICE, "1.1.0", timeout=60)
    assert result.code == 1 and "does not speak HTTP" in result.err and "not allowed:" not in result.err, result
    site.assert_whole(version="1.0.0")


def test_a_remote_that_names_a_bundle(make_site):
    """G-13: what a server says where bundles are is not followed."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    with serve(Refuses) as other:
        address = f"http://127.0.0.1:{other.server_address[1]}/evil.bundle"
        for name, value in (("uploadpack.advertiseBundleURIs", "true"), ("bundle.version", "1"), ("bundle.mode", "all"),
                            ("bundle.evil.uri", address)):
            git(site.remote, "config", name, value)
        git(site.app, "config", "transfer.bundleURI", "true")
        site.ok("update", SERVICE, "1.1.0")
        assert other.seen == []
    site.assert_whole(version="1.1.0")


def test_a_run_that_died_before_it_began(make_site):
    """J-02: a journal without a record is a run that never was; to look at it is no error of the program."""
    site = make_site([Release("1.0.0")], manifest=NO_MIGRATIONS)
    directory = site.state / "runs" / "1"
    directory.mkdir(parents=True)
    (directory / "journal").write_bytes(b"")
    (directory / "notes").write_bytes(b"- note\x1b[31m \xff\n")
    for words, options in ((["show", "1"], ()), (["show", "1"], ("--json",)), (["report", "1"], ()), (["runs"], ()),
                           (["report", "1", "--format", "html"], ()), (["report", "1", "--format", "json"], ()),
                           (["status"], ()), (["runs"], ("--json",)), (["resume", "1"], ())):
        done = site.belay(*words, options=options)
        assert done.code in (0, 1, 6), (words, done)
        assert "\x1b" not in done.out + done.err and "\ufffd" not in done.out
