"""What the sweeps, the kills and the faults share: scenarios, one attempt at them, and many in parallel.

    site = crashlib.prepared(scenario)                 # saved, nothing runs in it
    crashlib.attempt(site, scenario, "runner:die:17")  # back to the start, dies, recovers, must be whole

A scenario is something that Belay is asked to do and that may end in two ways: done (version `new`
serves) or as before (version `old` serves).
"""
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import queue
import random
import subprocess
import tempfile
import time
import traceback
import typing

from belaytest import (Release, SERVICE, Site, Writer, figure, wait_until)

SEED = int(os.environ.get("BELAY_SEED") or random.SystemRandom().randrange(1, 10 ** 6))
WORKERS = int(os.environ.get("BELAY_WORKERS") or (os.cpu_count() or 2) + 1)
NO_KEEPER = {"BELAY_NO_KEEPER_RESUME": "1"}
# A death after these is another world than a death before the next point.
AFTER = {"spawn", "kill", "rename", "exchange", "link", "sql_commit"}
TORN = {"write", "pwrite", "sqlite-write"}
ENDS = {"succeeded": 0, "rolled_back": 3, "aborted": 3}

MIGRATION = """\
ALTER TABLE row ADD COLUMN note TEXT;
UPDATE row SET note = 'migrated', version = version || ' (migrated)';
DELETE FROM row WHERE n % 3 = 0;
"""
GENTLE = "ALTER TABLE row ADD COLUMN note TEXT;\nUPDATE row SET note = 'migrated';\n"


# Programs that are there on every machine and do nothing: what counts is that each is a step.
AROUND = {"busy": {"command": ["true"]},
          "hooks": {name: ["true"] for name in ("before-quiesce", "after-place", "before-rollback", "after-rollback")}}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    command: typing.Tuple[str, ...]
    old: str
    new: str
    behaviour: str = ""                     # of 1.1.0
    migration: str = GENTLE                 # of 1.1.0
    around: bool = False                    # with hooks, and the question whether it is busy
    before: typing.Callable = lambda site, writer: None
    ends: typing.Tuple[str, ...] = ("succeeded",)   # what it comes to when nothing dies
    rehearse: str = "never"
    kind: type = Site

    def site(self, **more):
        manifest = {"monitor": {"for": "60ms", "every": "20ms"}, "rehearse": self.rehearse,
                    **(AROUND if self.around else {}), **more.pop("manifest", {})}
        return self.kind([Release("1.0.0"),
                          Release("1.1.0", behaviour=self.behaviour, migrations={"01_note.sql": self.migration})],
                         base=scratch(), manifest=manifest, **more)


def _updated(site, writer):
    site.ok("update", SERVICE, "v1.1.0")
    writer.wait_for(5)


def _backed_up(site, writer):
    site.backed_up = None
    before = set(writer.acknowledged)
    site.ok("backup", "create", SERVICE)
    site.backed_up = before
    writer.wait_for(5)


UPDATE = Scenario("update", ("update", SERVICE, "v1.1.0"), "1.0.0", "1.1.0")
FAILS = Scenario("update that is rolled back", ("update", SERVICE, "v1.1.0"), "1.0.0", "1.1.0",
                 behaviour="bad-health", migration=MIGRATION, ends=("rolled_back",), around=True)
ROLLBACK = Scenario("rollback", ("rollback", SERVICE, "--restore"), "1.1.0", "1.0.0", before=_updated)
RESTORE = Scenario("restore", ("backup", "restore", SERVICE), "1.0.0", "1.0.0", before=_backed_up)
# A scenario of its own: the others are about what happens after ARM.
REHEARSED = Scenario("update with rehearsal", ("update", SERVICE, "v1.1.0"), "1.0.0", "1.1.0", rehearse="always")
SCENARIOS = [UPDATE, FAILS, ROLLBACK, RESTORE]


# ---- a fast disk of the tests' own

_scratch = None


def scratch():
    """A tmpfs when we may mount one (thousands of synced writes), else None: the usual temporary directory."""
    return _scratch


@contextlib.contextmanager
def mounted(size="2g"):
    """A new tmpfs of this size, unmounted at the end; None when this is not allowed."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="belay-tmpfs-"))
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "belay-test", str(directory)],
                          stderr=subprocess.DEVNULL, check=False)
    try:
        yield directory if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(directory)], check=False)
        directory.rmdir()


@contextlib.contextmanager
def scratch_for_all():
    global _scratch
    with mounted() as directory:
        _scratch = directory
        yield
        _scratch = None


# ---- one attempt

def prepared(scenario, **more):
    """A site at the beginning of the scenario, saved, nothing running. `known`: rows acknowledged so far."""
    site = scenario.site(**more)
    site.start()
    with site.writer(pause=0.004) as writer:
        writer.wait_for(12)
        scenario.before(site, writer)
    site.known = dict(writer.acknowledged)
    site.kill_all()
    site.save()
    return site


@contextlib.contextmanager
def begun(site):
    """The site back at its beginning, serving, with a writer."""
    site.reset()
    site.ok("start", SERVICE, env=NO_KEEPER)
    wait_until(site.health, what="a healthy service")
    writer = Writer(site.port, first=max(site.known, default=0) + 1, pause=0.004)
    writer.acknowledged.update(site.known)
    with writer:
        writer.wait_for(3)
        yield writer


def newest(site, runs_before=0):
    """The records of the newest run since there were `runs_before`, or []."""
    for run in reversed(site.runs()[runs_before:]):
        records = site.journal(run)
        if records:
            return records
    return []


def end_of(records):
    """The END record's state, None while the run is open or when there is no run."""
    return records[-1][1]["state"] if records and records[-1][0] == "END" else None


def is_open(site, runs_before=0):
    records = newest(site, runs_before)
    return bool(records) and end_of(records) is None


def fingerprint(site):
    """Everything that a resume which has nothing to do must leave alone."""
    files = {}
    for root in (site.state, site.app):
        for path in root.glob("**/*"):
            if path.is_file() and "data" not in path.parts and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    files[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    # The keeper's own log and record change with the service's life, locks name who looked last.
    for path in list(files):
        if "/locks/" in path or path.endswith((".log", ".lock")) or "/.git/" in path:
            del files[path]
    return files


class Broken(AssertionError):
    pass


def told(result):
    return f"exit {result.code}\n{result.out}{result.err}"


def recover(site, runs_before, faults=()):
    """`belay resume` until the run has ended; with faults the first resumes die. Returns the last result."""
    last = None
    for fault in (*faults, None):
        if not is_open(site, runs_before):
            break
        env = {**NO_KEEPER, **({"BELAY_FAULT": fault} if fault else {})}
        last = site.belay("resume", env=env)
        if fault and is_open(site, runs_before):
            assert last.code in (1, 7), f"the resume died and said {told(last)}"
    return last


def unsaid(site, strays):
    """Those left-overs of which the journals do not say that they could not be removed, or what is in them."""
    said = " ".join(str(payload) for run in site.runs() for kind, payload in site.journal(run)
                    if kind in ("NOTE", "END", "FAILED") or "warning" in payload.get("observed", {}))
    return [stray for stray in strays if not any(word in said for word in names_of(stray))]


def names_of(stray):
    """A path as git or we name it, and a partial backup's id."""
    path = stray[3:] if stray[:2] in ("??", "!!") else stray
    names = {path.rstrip("/").split("/")[-1]}
    return {name.replace(".partial-", "") for name in names}


def judge(site, scenario, writer, runs_before, final_check=False, said=False):
    """After everything: the state that the run says it ended in is the state that is so."""
    records = newest(site, runs_before)
    end = end_of(records)
    assert not records or end, f"the run is still open: {records[-2:]}"
    assert end in (None, *ENDS), f"the run ended as '{end}'"
    wanted = scenario.new if end == "succeeded" else scenario.old
    if scenario.ends != ("succeeded",):
        assert end != "succeeded", "a version whose health is bad was kept"
    other = {scenario.new, scenario.old} - {wanted} or {wanted}
    wait_until(site.health, what="a healthy service after all")
    writer.wait_for(3)
    writer.stop()
    if said:
        site.leftovers = lambda: unsaid(site, Site.leftovers(site))
    try:
        site.assert_whole(writer, version=wanted, undone=other)
    finally:
        site.__dict__.pop("leftovers", None)
    live = site.rows_live()
    must = set(site.known) if end != "succeeded" else set(getattr(site, "backed_up", None) or ())
    assert must <= live, f"rows {sorted(must - live)[:5]} that were there before are gone"
    before = fingerprint(site), site.servers()
    again = site.belay("resume")
    assert again.code == 0, f"a resume with nothing to do: {told(again)}"
    if records and final_check:
        again = site.belay("resume", site.runs()[-1])
        assert again.code == ENDS[end], f"a resume of an ended run: {told(again)}"
    assert (fingerprint(site), site.servers()) == before, "a resume with nothing to do did something"
    if final_check and list((site.state / "backups").glob("*/2*")):
        site.ok("backup", "verify", SERVICE)
    return end


def attempt(site, scenario, fault=None, *, resumes=(), keeper=False, final_check=False, env=None):
    """One run with a death in it and all that must hold afterwards. Returns how the run ended, None: no run."""
    story = []
    try:
        with begun(site) as writer:
            runs_before = len(site.runs())
            given = {**({} if keeper else NO_KEEPER), **({"BELAY_FAULT": fault} if fault else {}), **(env or {})}
            result = site.belay(*scenario.command, env=given)
            story.append(f"{' '.join(scenario.command)}: {told(result)}")
            if is_open(site, runs_before):
                if keeper:
                    armed = any(kind == "ARM" for kind, _ in newest(site, runs_before))
                    assert not armed, "the keeper left an armed run open"
                # 1: it died before it could tell the number of its run; nothing was changed.
                begun_well = any(kind == "OWNER" for kind, _ in newest(site, runs_before))
                assert result.code == 7 or (result.code == 1 and not begun_well), \
                    f"its runner died and the command said {told(result)}"
                again = recover(site, runs_before, resumes)
                story.append(f"resume: {told(again)}")
                wanted = ENDS.get(end_of(newest(site, runs_before)))
                assert again.code == wanted, f"the resume should say {wanted}: {told(again)}"
            elif newest(site, runs_before):
                wanted = ENDS.get(end_of(newest(site, runs_before)))
                assert result.code == wanted, f"it should say {wanted}: {told(result)}"
            return judge(site, scenario, writer, runs_before, final_check)
    except AssertionError as broken:
        records = "\n".join(f"  {kind} {payload}"[:220] for kind, payload in newest(site)[1:][-16:])
        raise Broken(f"{scenario.name}, {fault} {resumes}: {broken}\n" + "\n".join(story) +
                     f"\n{records}") from broken


def endure(site, scenario, env, finish=lambda: None):
    """One run under `env` in which something fails. It may succeed, go back, be refused or be left open, but not
    lie about it; finish() takes the cause away before the resume. Returns how the run ended, None: no run."""
    story = []
    try:
        with begun(site) as writer:
            runs_before = len(site.runs())
            result = site.belay(*scenario.command, env={**NO_KEEPER, **env})
            story.append(f"{env} {' '.join(scenario.command)}: {told(result)}")
            finish()
            end = end_of(newest(site, runs_before))
            if is_open(site, runs_before):
                assert result.code in (1, 7), f"the run is open and it said {told(result)}"
                again = recover(site, runs_before)
                story.append(f"resume: {told(again)}")
                end = end_of(newest(site, runs_before))
                assert again.code in allowed(end), f"the resume should say {allowed(end)}: {told(again)}"
            else:
                assert result.code in allowed(end), f"it ended as {end} and said {told(result)}"
                assert result.code == 0 or result.err, f"it failed without a word: {told(result)}"
            return judge(site, scenario, writer, runs_before, said=True)
    except AssertionError as broken:
        records = "\n".join(f"  {kind} {payload}"[:220] for kind, payload in newest(site)[1:][-16:])
        raise Broken(f"{scenario.name}, {env}: {broken}\n" + "\n".join(story) + f"\n{records}") from broken


def allowed(end):
    """What belay may say of a run that ended so, when something failed on the way. None: there was no run."""
    return {"succeeded": (0, 9), "rolled_back": (3,), "aborted": (1, 3, 6), None: (1, 6)}.get(end, ())


def trace(site, scenario, env=None, fault=None):
    """[(call, detail)] of the points that the runner passes when nothing dies; [n - 1] is point n."""
    with tempfile.NamedTemporaryFile(prefix="belay-trace-") as file:
        attempt(site, scenario, fault, env={"BELAY_FAULT_TRACE": file.name, **(env or {})})
        lines = pathlib.Path(file.name).read_text(encoding="utf-8").splitlines()
    points = [line.split(" ", 3) for line in lines if line.startswith("runner ")]
    assert [int(n) for _, n, _, _ in points] == list(range(1, len(points) + 1)), "more than one runner passed"
    return [(call, detail) for _, _, call, detail in points]


def points_of(scenario):
    """The same, of a site of its own."""
    site = prepared(scenario)
    try:
        return trace(site, scenario)
    finally:
        site.close()


def deaths(points, start=1):
    """The rules of every single death at these points."""
    for n, (call, _) in enumerate(points, start):
        yield f"runner:die:{n}"
        if call in AFTER:
            yield f"runner:after:{n}"
        if call in TORN:
            yield f"runner:torn:{n}"


def evenly(items, seed):
    """The same items in an order of which every beginning is spread evenly over the whole."""
    items = list(items)
    bits = max(1, (len(items) - 1).bit_length())
    turn = random.Random(seed).randrange(len(items) or 1)
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(2 ** bits)]
    return [items[(i + turn) % len(items)] for i in order if i < len(items)]


# ---- many attempts

def in_parallel(items, make, work, *, seconds=None, at_least=1, workers=WORKERS, failures_max=6):
    """work(site, item) for the items in turn, on several sites of make(); until the time is over.

    A slow machine goes on until at_least were tried. Returns [(item, result)]. Fails with what was found broken.
    """
    todo = queue.SimpleQueue()
    for item in items:
        todo.put(item)
    end = time.monotonic() + seconds if seconds else None
    results, failures = [], []

    def worker():
        site = make()
        try:
            while len(failures) < failures_max and (end is None or time.monotonic() < end
                                                    or len(results) < at_least):
                try:
                    item = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    results.append((item, work(site, item)))
                except AssertionError as broken:
                    failures.append(f"{item}: {broken}")
                except Exception:       # noqa: BLE001 - the test must name the item
                    failures.append(f"{item}: {traceback.format_exc()}")
        finally:
            site.close()

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(worker) for _ in range(workers)]:
            done.result()
    assert not failures, f"{len(failures)} of {len(results) + len(failures)} broken (seed {SEED}):\n\n" + \
        "\n\n".join(failures)
    return results


def tell(what, results, total):
    """The figures of a sweep: how many points, how they ended."""
    ends = {}
    for _, end in results:
        ends[end or "no run"] = ends.get(end or "no run", 0) + 1
    how = ", ".join(f"{n} {end}" for end, n in sorted(ends.items()))
    figure(f"{what}: {len(results)} of {total} tried, all whole ({how}); seed {SEED}")


