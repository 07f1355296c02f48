"""Deaths at every point, where something is made of a version before it can run: the same rules as in test_sweep."""
import dataclasses

import pytest

import crashlib
from belaytest import LONG
from crashlib import FAILS, ROLLBACK, SEED, UPDATE
from madelib import MadeSite, ReleasesSite

SECONDS = 20

MADE = dataclasses.replace(UPDATE, name="update with artifacts", kind=MadeSite)
FIRST = dataclasses.replace(UPDATE, name="first release", kind=ReleasesSite)
BACK = dataclasses.replace(ROLLBACK, name="release and back", kind=ReleasesSite)


def ids(scenario):
    return scenario.name.replace(" ", "-")


def sweep(scenario, seconds, least):
    points = crashlib.points_of(scenario)
    rules = crashlib.evenly(crashlib.deaths(points), SEED)
    results = crashlib.in_parallel(
        rules, lambda: crashlib.prepared(scenario),
        lambda site, rule: crashlib.attempt(site, scenario, rule), seconds=seconds, at_least=least)
    crashlib.tell(f"deaths of the runner, {scenario.name} ({len(points)} points)", results, len(rules))
    return {end for _, end in results}


@pytest.mark.parametrize("scenario", [MADE, FIRST], ids=ids)
def test_a_death_at_every_point(scenario):
    ends = sweep(scenario, None if LONG else SECONDS, 20)
    assert ends >= {"succeeded", "aborted"}, "not all phases were hit"


@pytest.mark.long
@pytest.mark.parametrize("kind", [MadeSite, ReleasesSite])
def test_a_death_at_every_point_of_one_that_fails(kind):
    scenario = dataclasses.replace(FAILS, name=f"failing update of a {kind.__name__}", kind=kind)
    assert sweep(scenario, None, 20) >= {"rolled_back", "aborted"}


@pytest.mark.long
def test_a_death_at_every_point_on_the_way_back_to_a_release():
    assert sweep(BACK, None, 20) >= {"succeeded", "aborted"}
