#!/usr/bin/python3
"""Which lines and branches the tests ran, of the build `tools/build.sh coverage`.

    tools/coverage.py rooms      runs the unit tests and the sweep of the engine; asserts what the rooms
                                 that must not be wrong are to reach (in make test)
    tools/coverage.py whole      the same with the contracts and e2e, and the whole (in make test-long)
    tools/coverage.py clear      forgets what was counted
    tools/coverage.py report     what was counted since, whatever ran
    tools/coverage.py show ROOM  the lines and branches of src/ROOM that nothing ran

Not counted is what stands for an assertion: a line with abort(), assert() or ERR_BUG, what belongs to
the same statement, and the branch of a condition that leads to such a line alone. Memory that is refused
ends in abort(), too. Branches that gcc makes where the source has none are left out by gcovr.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-coverage"
INVARIANT = re.compile(r"\babort\(\)|\bassert\(|\bERR_BUG\b|out of memory")

# What, which files, lines and branches to reach in percent.
WHOLE = ("the whole", r"src/", 90, 0)
ROOMS = [
    ("base", r"src/base/", 99, 95),
    ("journal", r"src/journal/(?!index)", 99, 95),
    # A copy of what the journals say, that recovery does not use: an error of its file is "read the journals".
    ("the index of runs", r"src/journal/index", 95, 85),
    ("engine", r"src/engine/", 99, 95),
    ("check evaluation", r"src/check/check_eval\.c", 99, 95),
    ("retention", r"src/backup/retention\.c", 99, 95),
]


class File:
    """One source file: the lines that count, and of each the branches."""

    def __init__(self, data):
        self.name = data["file"]
        self.text = (ROOT / self.name).read_text(errors="replace").splitlines()
        self.lines = {line["line_number"]: line for line in data["lines"]
                      if not line.get("gcovr/noncode")}
        for number in [n for n in self.lines if self.is_invariant(n)]:
            self.forgive(number)

    def statement(self, number):
        """The line and those that it is continued on."""
        text = self.text[number - 1]
        for following in self.text[number:number + 5]:
            if text.rstrip().endswith((";", "{", "}")):
                break
            text += following
        return text

    def is_invariant(self, number):
        return bool(INVARIANT.search(self.statement(number))) and not re.match(
            r"\s*(if|for|while|switch|return \w+ [&|]{2})\b", self.text[number - 1])

    def forgive(self, number):
        if self.lines[number]["count"] != 0:
            return
        del self.lines[number]
        # The condition before it: of its branches one that was not taken leads here.
        for above in range(number - 1, max(number - 5, 0), -1):
            line = self.lines.get(above)
            if line is None:
                if self.text[above - 1].rstrip().endswith(";"):
                    return
                continue
            untaken = [b for b in line.get("branches", []) if b["count"] == 0]
            if untaken:
                line["branches"].remove(untaken[0])
            elif line["count"] == 0:
                self.forgive(above)
            return

    def counts(self):
        branches = [b for line in self.lines.values() for b in line.get("branches", [])]
        return (len(self.lines), sum(line["count"] > 0 for line in self.lines.values()),
                len(branches), sum(b["count"] > 0 for b in branches))

    def missing(self):
        for number, line in sorted(self.lines.items()):
            untaken = [b for b in line.get("branches", []) if b["count"] == 0]
            if line["count"] == 0:
                yield number, "line", self.text[number - 1]
            elif untaken:
                yield number, f"{len(untaken)}/{len(line['branches'])}", self.text[number - 1]


def files():
    done = subprocess.run(
        ["gcovr", "-r", str(ROOT), "--object-directory", str(BUILD), "-f", "src/", "-e", "src/exec/",
         "--exclude-unreachable-branches", "--json", "-o", "-", "-j", "2",
         str(BUILD / "libbelay.a.p"), str(BUILD / "belay.p")],
        cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return [File(data) for data in json.loads(done.stdout)["files"]]


def percent(part, whole):
    return 100.0 if whole == 0 else 100.0 * part / whole


def report(figures):
    missed = 0
    counted = files()
    for what, which, lines, branches in figures:
        sums = [sum(n) for n in zip(*(f.counts() for f in counted if re.match(which, f.name)))]
        if not sums or not sums[1]:
            print(f"coverage.py: nothing was counted of {what}: were its tests run?", file=sys.stderr)
            return 1
        got = percent(sums[1], sums[0]), percent(sums[3], sums[2])
        print(f"figure: coverage of {what}: {got[0]:.1f} % of {sums[0]} lines, "
              f"{got[1]:.1f} % of {sums[2]} branches")
        if got[0] < lines or got[1] < branches:
            missed += 1
            print(f"coverage.py: {what} is to reach {lines} % and {branches} %; "
                  f"tools/coverage.py show ROOM says what is missing", file=sys.stderr)
    return 1 if missed else 0


def show(room):
    for one in sorted(files(), key=lambda f: f.name):
        missing = list(one.missing()) if one.name.startswith(f"src/{room}") else []
        if missing:
            print(f"== {one.name}")
        for number, what, text in missing:
            print(f"{number:5} {what:5} {text}")
    return 0


def clear():
    for path in BUILD.rglob("*.gcda"):
        path.unlink()
    return 0


def run(programs):
    """Programs of the tests, two at a time; what fails here is the business of their own suite."""
    env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        list(pool.map(lambda command: subprocess.run(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=600, check=False), programs))


def rooms():
    clear()
    tests = BUILD / "tests"
    programs = [[str(p)] for glob in ("unit-*", "contract-test_check*", "contract-test_monitor*")
                for p in sorted(tests.glob(glob)) if p.is_file() and os.access(p, os.X_OK)]
    run([[str(tests / "crash-test_engine_sweep"), "test_singles"], *programs])
    return report(ROOMS)


def whole():
    tests = BUILD / "tests"
    status = rooms()
    run([[str(p)] for p in sorted(tests.glob("contract-*")) if p.is_file() and os.access(p, os.X_OK)])
    subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-c", "tests/pytest.ini", "--rootdir", "tests",
                    "-n", "3", "tests/e2e"], cwd=ROOT, env={**os.environ, "BELAY_BUILD": str(BUILD)}, check=False,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return report([WHOLE, *ROOMS]) or status


def main(arguments):
    if arguments == ["clear"]:
        return clear()
    if arguments == ["rooms"]:
        return rooms()
    if arguments == ["whole"]:
        return whole()
    if arguments == ["report"]:
        return report([WHOLE, *ROOMS])
    if len(arguments) == 2 and arguments[0] == "show":
        return show(arguments[1])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
