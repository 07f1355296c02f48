"""Death while a run goes on that needed a person: it is an interrupted run like any other."""
import random

import crashlib
from belaytest import LONG, SERVICE, Release, figure, git, wait_until
from crashlib import NO_KEEPER, told

DROPS = {"01_drop.sql": "DROP TABLE row; CREATE TABLE row(n INTEGER PRIMARY KEY, extra TEXT);"}


def needs_a_person(make_site):
    """The data was migrated, the rollback met an edit, and the edit has been taken back since."""
    site = make_site([Release("1.0.0"), Release("1.1.0", "slow-start:1 bad-health", migrations=DROPS)],
                     base=crashlib.scratch())
    site.ok("start", SERVICE, env=NO_KEEPER)
    wait_until(site.health, what="a healthy service")
    with site.writer() as writer:
        writer.wait_for(20)
    update = site.belay_start("update", SERVICE, "v1.1.0", env=NO_KEEPER)
    wait_until(lambda: site.runs() and any(kind == "DONE" and fields.get("step") == "start"
                                           for kind, fields in site.journal()), what="the start of 1.1.0")
    (site.app / "VERSION").write_text("mine\n")
    out, err = update.communicate(timeout=30)
    assert update.returncode == 4, out + err
    git(site.app, "checkout", "-q", "VERSION")
    site.kill_all()
    site.save()
    return site, writer


def points(site):
    trace = site.dir / "trace"
    assert site.belay("resume", "1", "--try-again", env={**NO_KEEPER, "BELAY_FAULT_TRACE": trace}).code == 3
    numbers = [int(line.split()[1]) for line in trace.read_text().splitlines() if line.startswith("runner ")]
    site.reset()
    return max(numbers)


def test_death_at_any_point_of_going_on(make_site):
    site, writer = needs_a_person(make_site)
    last = points(site)
    chosen = range(1, last + 1) if LONG else sorted(random.sample(range(1, last + 1), 8))
    for n in chosen:
        result = site.belay("resume", "1", "--try-again", env={**NO_KEEPER, "BELAY_FAULT": f"runner:die:{n}"})
        ended = site.journal(1)[-1][0] == "END"
        # It had ended already, or died before it had begun: then a person says so once more.
        again = ["--try-again"] if ended else []
        for _ in range(4):
            result = site.belay("resume", "1", *again, env=NO_KEEPER)
            if result.code == 3:
                break
        assert result.code == 3, f"at {n}: {told(result)}"
        site.assert_whole(writer, version="1.0.0", undone=["1.1.0"])
        site.reset()
    figure(f"going on with a run that needed a person: {len(chosen)} of {last} points")
