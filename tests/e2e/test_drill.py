"""belay drill: on copies, its own runner is killed at each step, and recovery is shown to work here."""
import json

import pytest

import crashlib
from belaytest import SERVICE, Release, wait_until
from production import MIGRATION, assert_untouched, production


@pytest.fixture
def site(make_site):
    """On a disk in memory, where one may be mounted: a drill writes much."""
    with crashlib.mounted("1g") as disk:
        site = make_site([Release("1.0.0"), Release("1.1.0", migrations={"01_note.sql": MIGRATION})], base=disk)
        site.start()
        with site.writer() as writer:
            writer.wait_for(20)
        yield site
        site.kill_all()


def nothing_left(site):
    assert not list(site.state.glob("drill-*"))
    assert not list(site.state.glob("backups/notes/*"))
    assert not [p for p in site.processes() if p.marked("BELAY_REHEARSAL")]
    assert site.leftovers() == []


def test_each_step_is_recovered_from(site):
    site.ok("lock", SERVICE, "-m", "stocktaking")       # of the service, not of a copy of it
    before = production(site)
    result = site.belay("drill", SERVICE, options=("--json",), timeout=240)
    assert result.code == 0, result
    told = json.loads(result.out)
    assert told["whole"] == told["total"] == len(told["attempts"])
    ends = {attempt["step"]: attempt["end"] for attempt in told["attempts"]}
    assert set(ends) >= {"fetch", "backup", "prove", "stop", "second-pass", "place", "migrate", "start", "verify",
                         "monitor", "record"}
    # Before ARM nothing was changed; a migration that had begun is taken back; after COMMIT it goes on. A short step
    # may be over when it is met.
    met = {attempt["step"] for attempt in told["attempts"] if attempt["killed_at"] == attempt["step"]}
    for step, end in (("backup", "ended, nothing changed"), ("migrate", "rolled back"), ("record", "updated")):
        assert step not in met or ends[step] == end
    assert ends["fetch"] == "ended, nothing changed"
    assert {"backup", "monitor"} <= met and len(met) >= len(ends) // 2, f"only {met} were met"
    assert_untouched(site, before)
    assert site.runs() == []
    nothing_left(site)


def test_an_update_that_does_not_succeed_is_no_drill(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health")])
    site.start()
    result = site.belay("drill", SERVICE, timeout=120)
    assert result.code == 1 and "already an update that nobody disturbs does not succeed" in result.err, result
    assert site.version() == "1.0.0"
    nothing_left(site)


def test_a_drill_that_is_killed_itself(site):
    before = production(site)
    child = site.belay_start("drill", SERVICE)
    wait_until(lambda: [p for p in site.processes() if p.marked("BELAY_REHEARSAL") and "noted" in p.command],
               30, what="a copy that runs")
    child.kill()
    child.communicate(timeout=20)
    wait_until(lambda: not [p for p in site.processes() if p.marked("BELAY_REHEARSAL")], 10,
               what="the end of the copy's processes")
    assert_untouched(site, before)
    # What it left on disk goes with the next one; here one that ends at once.
    site.manifest["checks"].append({"command": {"run": ["false"], "interval": "10ms", "threshold": "1 of 1"}})
    site.write_manifest()
    assert site.belay("drill", SERVICE, timeout=120).code == 1
    assert not list(site.state.glob("drill-*"))


def test_a_drill_that_nobody_reads_leaves_nothing(site):
    """As with `belay drill | head -1`: it ends at its next line, and takes the copies along."""
    child = site.belay_start("drill", SERVICE)
    assert "an update is made on copies" in child.stdout.readline()
    child.stdout.close()
    said = child.stderr.read()
    assert child.wait(120) == 130 and said.count("standard output could not be written") == 1, said
    nothing_left(site)


def test_what_cannot_be_copied_has_no_drill(site):
    with open(site.app / ".env", "a", encoding="utf-8") as env:
        env.write("QUEUE=amqp://queue\n")
    result = site.belay("drill", SERVICE)
    assert result.code == 6 and "its setting QUEUE leads to a amqp server" in result.err, result
    nothing_left(site)
