"""Belay's own reader of time zones against another implementation: what Python's zoneinfo says, at and
around every change of every zone (a sample of them in CI), and in the years that only the rule at the end of a
file knows (Z03, Z10)."""
import bisect
import datetime
import random
import subprocess
import zoneinfo

import pytest

from belaytest import BUILD, LONG

ZONES = BUILD / "tests" / "zones"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
NAIVE = datetime.datetime(1970, 1, 1)
# Half an hour of summer time, +5:45, a day that was left out, Ramadan, negative summer time, two hours at once, the
# sign of Etc, a change at the turn of the year, 2024, +13:45.
ODD = ["Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati", "Africa/Casablanca",
       "Europe/Dublin", "Antarctica/Troll", "America/Scoresbysund", "Etc/GMT+5", "Africa/Monrovia",
       "Pacific/Chatham", "America/Sao_Paulo", "Asia/Gaza", "Europe/Berlin", "America/New_York", "UTC"]


def shown(zone, instant):
    """Local time counted as if it were UTC."""
    local = (EPOCH + datetime.timedelta(seconds=instant)).astimezone(zone)
    return int((local.replace(tzinfo=None) - NAIVE).total_seconds())


def first_instant(zone, local):
    """By fold 0, which is the earlier of two; in a gap the instant of the jump, found by halving."""
    wall = (NAIVE + datetime.timedelta(seconds=local)).replace(tzinfo=zone)
    instant = int((wall - EPOCH).total_seconds())
    if shown(zone, instant) == local:
        return instant
    low, high = int((wall.replace(fold=1) - EPOCH).total_seconds()), instant
    offset = shown(zone, low) - low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shown(zone, middle) - middle == offset else (low, middle)
    return high


def changes(zone, begin, end):
    """Instants at which the offset changes, to the second."""
    found, step = [], 86400 * 5
    offset = shown(zone, begin) - begin
    for at in range(begin, end, step):
        now = shown(zone, at + step) - at - step
        if now != offset:
            steps = range(at, at + step + 1)
            found.append(at + bisect.bisect_left(steps, True, key=lambda s: shown(zone, s) - s != offset))
            offset = now
    return found


def questions(name):
    zone = zoneinfo.ZoneInfo(name)
    year = 31556952
    instants = [random.randrange(-80 * year, 230 * year) for _ in range(40)]
    for change in changes(zone, -30 * year if LONG else 40 * year, 120 * year if LONG else 80 * year):
        instants += [change - 1, change, change + 1, change + random.randrange(-90000, 90000)]
        instants += [change - 3600, change + 3600]
    asked = [f"Z {name}"]
    answers = ["ok"]
    for instant in instants:
        local = shown(zone, instant)
        asked += [f"L {instant}", f"I {local}", f"I {local + 1800}"]
        answers += [local, first_instant(zone, local), first_instant(zone, local + 1800)]
    return asked, answers


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_all_zones_are_read_as_python_reads_them(part):
    compare(sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})[part::8])


def test_zones_are_read_as_python_reads_them():
    names = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
    compare(ODD + random.sample(names, 6))


def compare(names):
    asked, answers = [], []
    for name in names:
        more = questions(name)
        asked += more[0]
        answers += more[1]
    done = subprocess.run([str(ZONES)], input="\n".join(asked) + "\n", text=True, stdout=subprocess.PIPE, check=True)
    said = done.stdout.splitlines()
    assert len(said) == len(answers)
    name = None
    for question, answer, belay in zip(asked, answers, said):
        name = question if question.startswith("Z") else name
        assert str(answer) == belay, f"{name}: {question}: zoneinfo says {answer}, Belay {belay}"


@pytest.mark.parametrize("name", ["Mars/Phobos", "../../etc/passwd", ":/etc/x", "/etc/localtime", "right/UTC",
                                  "posix/UTC", "Europe", "europe/berlin", "Europe/Berlin\t", "", "-v", "x" * 70,
                                  "Europe/../UTC", "zone.tab", "Europe//Berlin", "posixrules", "tzdata.zi"])
def test_no_zone(name):
    done = subprocess.run([str(ZONES)], input=f"Z {name}\n", text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() and done.stdout.strip() != "ok"
