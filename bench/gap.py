"""Time without service, as somebody outside sees it: a Belay update, a careful script, and what the service
itself needs to stop, migrate and start."""
import dataclasses
import os
import pathlib
import sqlite3
import subprocess
import threading
import time

from measure import Bare, Probe, belaytest, middle, migrate, say
from measure import PYTHON, ROOT

MB = 1 << 20


@dataclasses.dataclass
class Case:
    name: str
    kind: str           # path | sqlite
    journal: str        # wal | delete
    megabytes: int


@dataclasses.dataclass
class Figures:
    case: Case
    belay: list = dataclasses.field(default_factory=list)       # seconds
    bare: list = dataclasses.field(default_factory=list)
    careful: list = dataclasses.field(default_factory=list)
    whole: list = dataclasses.field(default_factory=list)       # of the update, first look to last file

    def added(self):
        """What Belay adds to what the service itself needs."""
        return middle(self.belay) - middle(self.bare)


def cases(small, large):
    return [
        Case(f"path {small} MB", "path", "wal", small),
        Case(f"path {large} MB", "path", "wal", large),
        Case(f"SQLite {large} MB, WAL", "sqlite", "wal", large),
        Case(f"SQLite {large} MB, rollback journal", "sqlite", "delete", large),
    ]


def make_files(directory, megabytes):
    directory.mkdir(parents=True)
    for n in range(megabytes):
        (directory / f"{n:05}.bin").write_bytes(os.urandom(MB))


def make_database(path, journal, megabytes):
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = off")
    db.execute("PRAGMA synchronous = off")
    db.execute("CREATE TABLE bulk(id INTEGER PRIMARY KEY, bytes BLOB)")
    for _ in range(megabytes):
        db.execute("INSERT INTO bulk(bytes) VALUES(randomblob(?))", (MB - 100,))
    db.commit()
    db.close()
    # The mode is the file's own: set after what fills it.
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.close()
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def script(column):
    return (f"import sqlite3\ndb = sqlite3.connect('data/notes.db', timeout=10)\n"
            f"db.execute('ALTER TABLE row ADD COLUMN {column} TEXT')\ndb.commit()\ndb.close()\n")


def make_site(case, base, repeat):
    contents = [{"sqlite": "app/data/notes.db"}]
    if case.kind == "path":
        contents.append({"path": "app/data/files"})
    releases = [belaytest.Release("1.0.0")]
    for n in range(1, repeat + 1):
        releases.append(belaytest.Release(f"1.{n}.0", migrations={f"{n:02}.py": script(f"c{n}")}))
    site = belaytest.Site(releases, base=base, journal=case.journal, manifest={
        "backup": {"contents": contents, "keep": {"last": 1}},
        "migrations": [{"scripts": {"files": "migrations/*.py", "run_with": PYTHON, "run": "once"}}],
        "monitor": {"for": "0s"},
    })
    if case.kind == "path":
        make_files(site.app / "data" / "files", case.megabytes)
    else:
        make_database(site.database, case.journal, case.megabytes)
    return site


def settle(site):
    """What the last step wrote is not to slow the next down."""
    belaytest.wait_until(site.health, 60, what="the service")
    os.sync()
    time.sleep(0.3)


def measure_belay(site, probe, figures, version):
    settle(site)
    probe.reset()
    began = time.monotonic()
    site.ok("update", belaytest.SERVICE, version, timeout=1800)
    figures.whole.append(time.monotonic() - began)
    time.sleep(0.05)
    figures.belay.append(probe.longest())


def measure_bare(site, probe, figures, n):
    """Stop, migration, start, nothing else; the migration is one more like the release's."""
    own = site.dir / "bare.py"
    own.write_text(script(f"bare{n}"))
    bare = Bare(site)
    bare.start()
    bare.wait_ready()
    settle(site)
    probe.reset()
    bare.stop()
    migrate(site, own)
    bare.start()
    bare.wait_ready()
    time.sleep(0.05)
    figures.bare.append(probe.longest())
    bare.stop()


def measure_careful(site, probe, figures, case, n):
    site.publish(belaytest.Release(f"1.{n}.0", migrations={f"{n:02}.py": script(f"c{n}")}))
    contents = ["data/notes.db"] if case.kind == "sqlite" else ["data/notes.db", "data/files"]
    bare = Bare(site)
    bare.start()
    bare.wait_ready()
    settle(site)
    probe.reset()
    # Somebody must wait for what the script stops: a process that has ended is there until then.
    threading.Thread(target=bare.child.wait, daemon=True).start()
    subprocess.run([ROOT / "bench" / "careful.sh", site.app, f"v1.{n}.0", str(site.port),
                    site.dir / f"careful-{n}", bare.pidfile, f"migrations/{n:02}.py", *contents, "--",
                    *bare.command], check=True, timeout=1800)
    time.sleep(0.05)
    figures.careful.append(probe.longest())
    bare.stop_by_file()
    subprocess.run(["rm", "-rf", site.dir / f"careful-{n}"], check=True)


def run_case(case, base, repeat):
    say(f"-- {case.name}: making it")
    figures = Figures(case)
    site = make_site(case, base, repeat)
    try:
        site.start()
        with Probe(site.port) as probe:
            for n in range(1, repeat + 1):
                measure_belay(site, probe, figures, f"1.{n}.0")
                site.ok("stop", belaytest.SERVICE)
                measure_bare(site, probe, figures, n)
                say(f"   {n} of {repeat}: update {figures.belay[-1] * 1000:.0f} ms without service "
                    f"({figures.whole[-1]:.1f} s in all), bare {figures.bare[-1] * 1000:.0f} ms")
                if n < repeat:
                    site.ok("start", belaytest.SERVICE)
            for n in range(repeat + 1, repeat * 2 + 1):
                measure_careful(site, probe, figures, case, n)
                say(f"   careful script {figures.careful[-1] * 1000:.0f} ms without service")
    finally:
        site.close()
    return figures


def run(options):
    base = pathlib.Path(options.directory)
    return [run_case(case, base, options.repeat) for case in cases(options.small_mb, options.large_mb)]
