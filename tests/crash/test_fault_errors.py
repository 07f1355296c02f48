"""Every write, sync, rename, spawn, … of the runner fails once; every git command fails once; the disk is full.

The run succeeds, or goes back, or is refused, and says so; it is never in between, and what it says is so.
"""

import pytest

import crashlib
from belaytest import LONG
from crashlib import FAILS, RESTORE, ROLLBACK, SEED, UPDATE

SECONDS = {UPDATE: 40, FAILS: 30, ROLLBACK: 15, RESTORE: 10}


@pytest.mark.parametrize("scenario", list(SECONDS), ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_every_call_fails_once(scenario):
    points = crashlib.points_of(scenario)
    rules = []
    for n, (call, _) in enumerate(points, 1):
        rules += [f"runner:error:{n}:{error}" for error in (["ETIMEDOUT", "EAGAIN"] if call == "spawn" else ["ENOSPC", "EIO"])]
        if call in ("write", "fallocate", "pwrite", "sqlite-write"):
            rules.append(f"runner:fails:{n}:ENOSPC")
    rules = crashlib.evenly(rules, SEED)
    results = crashlib.in_parallel(
        rules, lambda: crashlib.prepared(scenario),
        lambda site, rule: crashlib.endure(site, scenario, {"BELAY_FAULT": rule}),
        seconds=None if LONG else SECONDS[scenario], at_least=20)
    crashlib.tell(f"calls that fail, {scenario.name} ({len(points)} points)", results, len(rules))
