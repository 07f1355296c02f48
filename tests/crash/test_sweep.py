"""The runner dies at every point where it changes the world; `belay resume` must bring all to one of two ends.

In `make test-long` every point of every scenario; else as many as fit, spread evenly. Each attempt is a real
run of the real program on a real service, with a writer that posts numbered rows all the while.
"""
import random

import pytest

import crashlib
from belaytest import LONG
from crashlib import FAILS, REHEARSED, RESTORE, ROLLBACK, SCENARIOS, SEED, UPDATE

# Of the six minutes of this suite: seconds of trying for each scenario.
SECONDS = {UPDATE: 60, FAILS: 60, ROLLBACK: 45, RESTORE: 30}
PAIR_SECONDS = 12
REHEARSED_SECONDS = 20


def ids(scenario):
    return scenario.name.replace(" ", "-")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=ids)
def test_a_death_at_every_point(scenario):
    points = crashlib.points_of(scenario)
    rules = crashlib.evenly(crashlib.deaths(points), SEED)
    final = set(random.Random(SEED).sample(rules, len(rules) // 5))
    results = crashlib.in_parallel(
        rules, lambda: crashlib.prepared(scenario),
        lambda site, rule: crashlib.attempt(site, scenario, rule, final_check=rule in final),
        seconds=None if LONG else SECONDS[scenario], at_least=60)
    crashlib.tell(f"deaths of the runner, {scenario.name} ({len(points)} points)", results, len(rules))
    assert {end for _, end in results} >= {scenario.ends[0], "aborted"}, "not all phases were hit"


def test_a_death_at_every_point_of_a_rehearsal():
    """Only what the rehearsal adds: from its first point to that of what follows it."""
    points = crashlib.points_of(REHEARSED)
    its_own = [n for n, (_, detail) in enumerate(points, 1) if "/rehearsal" in detail or detail == "the rehearsal"]
    first, last = its_own[0] - 3, its_own[-1] + 3
    rules = crashlib.evenly(crashlib.deaths(points[first - 1:last], first), SEED)
    results = crashlib.in_parallel(
        rules, lambda: crashlib.prepared(REHEARSED),
        lambda site, rule: crashlib.attempt(site, REHEARSED, rule),
        seconds=None if LONG else REHEARSED_SECONDS, at_least=20)
    crashlib.tell(f"deaths of the runner in a rehearsal ({last - first} points)", results, len(rules))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=ids)
def test_a_death_with_the_keepers_own_resume(scenario):
    """After ARM nobody has to type anything: the keeper finishes the run, and the command follows it to its end."""
    points = crashlib.points_of(scenario)
    rules = crashlib.evenly(crashlib.deaths(points), SEED)
    results = crashlib.in_parallel(
        rules if LONG else rules[:12], lambda: crashlib.prepared(scenario),
        lambda site, rule: crashlib.attempt(site, scenario, rule, keeper=True))
    crashlib.tell(f"deaths of the runner, {scenario.name}, finished by the keeper", results, len(rules))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=ids)
def test_a_second_death_in_the_recovery(scenario):
    """Pairs: the runner dies, and what recovers dies as well; a sample of all pairs."""
    points = crashlib.points_of(scenario)
    dice = random.Random(SEED)
    firsts = crashlib.evenly(list(crashlib.deaths(points)), SEED)
    # A recovery passes fewer points than the run; where it has ended before the second, that is one death only.
    pairs = [(first, f"runner:{dice.choice(['die', 'after', 'torn'])}:{dice.randrange(1, len(points) * 2 // 3)}")
             for first in firsts * (20 if LONG else 1)]
    results = crashlib.in_parallel(
        pairs, lambda: crashlib.prepared(scenario),
        lambda site, pair: crashlib.attempt(site, scenario, pair[0], resumes=(pair[1],)),
        seconds=None if LONG else PAIR_SECONDS, at_least=10)
    crashlib.tell(f"pairs of deaths, {scenario.name}", results, len(pairs))
