"""kill -9 of everything that takes part in a run, at moments spread evenly over it.

Whatever is killed: the run ends, by itself or by `belay resume`, in one of its two ends, and all is whole.
"""
import collections
import dataclasses
import random
import signal
import time

import pytest

import crashlib
from belaytest import LONG, NOTED, SERVICE, Release, Site, figure, wait_until
from crashlib import FAILS, NO_KEEPER, ROLLBACK, SEED, UPDATE, told

# A migration of some length, so that it can be met: once more is no harm.
SCRIPT = """\
sleep 0.04
sqlite3 -cmd '.timeout 3000' data/notes.db "BEGIN IMMEDIATE;
  CREATE TABLE IF NOT EXISTS note(n INTEGER); INSERT INTO note SELECT n FROM row; {more} COMMIT;"
sleep 0.04
"""


@dataclasses.dataclass(frozen=True)
class Killed(crashlib.Scenario):
    """With a migration that is a program."""

    def site(self, **more):
        files = {"scripts/01_note.sh": SCRIPT.format(more="DELETE FROM row WHERE n % 3 = 0;" if self.behaviour else "")}
        manifest = {"monitor": {"for": "150ms", "every": "20ms"},
                    "migrations": [{"scripts": {"files": "scripts/*.sh", "run_with": ["sh"]}}]}
        return Site([Release("1.0.0"), Release("1.1.0", behaviour=self.behaviour, files=files)],
                    base=crashlib.scratch(), manifest=manifest, **more)


def killed(scenario):
    values = {field.name: getattr(scenario, field.name) for field in dataclasses.fields(scenario)}
    return Killed(**values)


GOES_WELL, GOES_BACK, TAKEN_BACK = killed(UPDATE), killed(FAILS), killed(ROLLBACK)
SHARES = {GOES_WELL: 0.4, GOES_BACK: 0.4, TAKEN_BACK: 0.2}
# Steps of which each must have been met by some kill, as long as there are enough of them.
MET = {GOES_WELL: {"migrate", "start", "verify", "monitor"}, GOES_BACK: {"migrate", "verify"},
       TAKEN_BACK: {"monitor"}}

VICTIMS = {
    "runner": lambda p: p.command.endswith(" runner"),
    "belay-exec": lambda p: "belay-exec" in p.command.split(" ")[0],
    "keeper": lambda p: " keeper " in p.command + " ",
    "service": lambda p: p.command.startswith(str(NOTED)),
    "migration": lambda p: "scripts/01_note.sh" in p.command and "belay-exec" not in p.command,
}
VICTIMS["all"] = lambda p: any(is_it(p) for name, is_it in VICTIMS.items() if name != "all")


def phase_of(site):
    """The step that is under way, as the journal says."""
    for kind, payload in reversed(crashlib.newest(site)):
        if kind == "INTENT":
            return ("undo of " if payload["undo"] else "") + payload["step"]
    return "before the run"


def wait_for_the_way_back(site, child, runs_before, pause):
    """The undos are short: every fourth kill is counted from their beginning."""
    while child.poll() is None and not any(kind == "ROLLBACK" for kind, _ in crashlib.newest(site, runs_before)):
        time.sleep(0.001)
    time.sleep(pause)


def kill_at(site, child, victim, part, length):
    """Waits for the moment, then for the first sight of the victim; (step, how many were killed)."""
    migration = victim == "migration"
    # belay-exec is there while git works or a migration runs: most of the first half.
    time.sleep(0 if migration else part * length * (0.5 if victim == "belay-exec" else 1))
    while child.poll() is None:
        step = phase_of(site)
        targets = [p for p in site.processes() if p.pid != child.pid and VICTIMS[victim](p)]
        if targets and migration:
            time.sleep(part * 0.06)     # it is short: its moments are counted from its start
        for process in targets:
            process.kill()
        if targets:
            return step, len(targets)
        if not migration:
            time.sleep(0.002)
    return None, 0


def end_it(site, runs_before, accept):
    """What a person types until the run has ended; what belay said."""
    said = []
    for _ in range(4):
        records = crashlib.newest(site, runs_before)
        if not records or crashlib.end_of(records):
            break
        waits = records[-1][0] == "WAIT"
        if waits and accept:    # only what runs can be accepted; its keeper is about to start it again
            wait_until(site.health, what="the new version, which waits to be accepted")
        verb = ("accept" if accept else "cancel") if waits else "resume"
        result = site.belay(verb, site.runs()[-1])
        said.append(f"{verb}: {told(result)}")
        assert result.code in (0, 3, 8, 9), said[-1]
    return said


def strike(site, scenario, item):
    """One run in which one kind of process is killed once. Returns (end, step)."""
    number, victim, part, length = item
    story = []
    try:
        with crashlib.begun(site) as writer:
            runs_before = len(site.runs())
            # Half of them as they come; where the keeper dies as well nobody waits for it.
            keeper = number % 2 == 0 and victim not in ("all", "keeper")
            child = site.belay_start(*scenario.command, env={} if keeper else NO_KEEPER)
            if scenario is GOES_BACK and number % 4 == 0 and victim != "migration":
                wait_for_the_way_back(site, child, runs_before, part * 0.08)
                length = 0
            step, n = kill_at(site, child, victim, part, length)
            out, err = child.communicate(timeout=60)
            story.append(f"killed: {victim} ({n}) in {step}; keeper's resume {keeper}; exit {child.returncode}\n{out}{err}")
            ended = crashlib.end_of(crashlib.newest(site, runs_before))
            story += end_it(site, runs_before, accept=number % 3 == 0 and victim not in ("all", "keeper"))
            end = crashlib.end_of(crashlib.newest(site, runs_before))
            if victim == "all" and (ended or end in (None, "aborted")) and not site.health():
                # Killed when the run was over, or before ARM: nobody is left who would start it again.
                story.append("start: " + told(site.belay("start", SERVICE)))
            return crashlib.judge(site, scenario, writer, runs_before), step
    except AssertionError as broken:
        records = "\n".join(f"  {kind} {payload}"[:220] for kind, payload in crashlib.newest(site)[1:][-16:])
        raise AssertionError(f"{broken}\n" + "\n".join(story) + f"\n{records}") from broken


def strike_for_sure(site, scenario, item):
    """A kill that came when all was over is none: earlier, then."""
    number, victim, part, length = item
    for _ in range(6):
        end, step = strike(site, scenario, (number, victim, part, length))
        if step:
            break
        part *= 0.7
    return end, step


def length_of(scenario):
    """Seconds that the run takes here, when nobody is killed; the median of three."""
    site = crashlib.prepared(scenario)
    times = []
    try:
        for _ in range(3):
            with crashlib.begun(site) as writer:
                start = time.monotonic()
                site.belay(*scenario.command)
                times.append(time.monotonic() - start)
                writer.stop()
    finally:
        site.close()
    return sorted(times)[1]


@pytest.mark.parametrize("scenario", [GOES_WELL, GOES_BACK, TAKEN_BACK],
                         ids=["update", "rolled-back", "rollback"])
def test_kills_of_everything_everywhere(scenario):
    count = int((1000 if LONG else 200) * SHARES[scenario])
    length = length_of(scenario)
    dice = random.Random(SEED)
    names = [name for name in VICTIMS if scenario is not TAKEN_BACK or name != "migration"]
    # Each kind has its own moments, spread over the whole run.
    rounds = -(-count // len(names))
    items = [(number, names[number % len(names)], (number // len(names) + dice.random()) / rounds, length)
             for number in range(count)]
    dice.shuffle(items)
    results = crashlib.in_parallel(items, lambda: crashlib.prepared(scenario),
                                   lambda site, item: strike_for_sure(site, scenario, item), at_least=count)
    ends = collections.Counter(end or "no run" for _, (end, _) in results)
    steps = collections.Counter(step for _, (_, step) in results)
    victims = collections.Counter(item[1] for item, (_, step) in results if step)
    figure(f"kill -9 in {scenario.name}: {len(results)} good ends {dict(ends)}; killed {dict(victims)}; "
           f"in {dict(steps)}; seed {SEED}")
    assert sum(victims.values()) >= count * 0.95, "too many came too late"
    assert MET[scenario] <= set(steps), f"only {sorted(step for step in steps if step)} were met"
    if scenario is GOES_BACK:
        assert any(step and (step.startswith("undo of") or step.endswith("-old")) for step in steps), steps


# ---- a migration that does not want to end

DEAF = """\
import os, signal, sqlite3, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        n = -1
        while True:     # goes on writing to the data, for ever
            try:
                db = sqlite3.connect("data/notes.db", timeout=5)
                db.execute("INSERT INTO row VALUES(?, 'deaf')", (n,))
                db.commit()
                db.close()
            except sqlite3.Error:
                pass
            n -= 1
            time.sleep(0.005)
    os._exit(0)
time.sleep(600)
"""


def deaf_site(make_site, timeout):
    return make_site(
        [Release("1.0.0"), Release("1.1.0", files={"scripts/01_deaf.py": DEAF})], base=crashlib.scratch(),
        manifest={"migrations": [{"scripts": {"files": "scripts/*.py", "run_with": ["/usr/bin/python3"],
                                              "timeout": timeout}}]})


def deaf_processes(site):
    return [p for p in site.processes() if "01_deaf.py" in p.command]


def assert_deaf_is_gone(site, writer):
    assert not deaf_processes(site), deaf_processes(site)
    writer.wait_for(5)
    writer.stop()
    site.assert_whole(writer, version="1.0.0")
    assert min(site.rows_live()) > 0, "the migration wrote to the data after it was restored"


def test_a_deaf_migration_is_ended_at_its_limit(make_site):
    site = deaf_site(make_site, "1s")
    site.start()
    with site.writer() as writer:
        writer.wait_for(5)
        result = site.belay("update", SERVICE, "v1.1.0")
        assert result.code == 3, told(result)
        assert_deaf_is_gone(site, writer)


@pytest.mark.parametrize("victim", ["runner", "belay-exec", "all"])
def test_a_deaf_migration_is_ended_when_its_supervisors_are_killed(make_site, victim):
    site = deaf_site(make_site, "60s")
    site.start()
    with site.writer() as writer:
        writer.wait_for(5)
        child = site.belay_start("update", SERVICE, "v1.1.0", env=NO_KEEPER)
        wait_until(lambda: len(deaf_processes(site)) >= 2, what="the migration and its child")
        if victim == "all":
            for process in site.processes():
                if process.pid != child.pid and any(
                        VICTIMS[name](process) for name in ("runner", "belay-exec", "keeper", "service")):
                    process.kill(signal.SIGKILL)
        else:
            for process in site.processes():
                if VICTIMS[victim](process):
                    process.kill(signal.SIGKILL)
        child.communicate(timeout=60)
        if crashlib.is_open(site):
            result = site.belay("resume")
            assert result.code == 3, told(result)
        assert_deaf_is_gone(site, writer)
