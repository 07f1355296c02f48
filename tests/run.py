#!/usr/bin/python3
"""Runs the test suites in order; the last line is "N passed, N failed".

    tests/run.py test              all suites (make test)
    tests/run.py check             the quick ones (make check)
    tests/run.py long              all, with the tests marked long (make test-long)
    tests/run.py long sweep kills  only these suites of `long`
    tests/run.py unit e2e -k TEXT  these suites, only programs or tests whose name has TEXT

A suite that goes over its minutes is ended and counts as failed. A suite without tests is absent.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
JOBS = os.cpu_count() or 2

# name, minutes, kind, where, in `make check`, only in `make test-long`
# kinds: tools   commands; each is one test
#        cmocka  programs of a build directory with this prefix
#        pytest  files below tests/ that match
SUITES = [
    ("lint", 3, "tools", {
        "layers": ["tools/check_layers.py"],
        "sizes": ["tools/check_sizes.py"],
        "headers": ["tools/check_headers.sh"],
        "rows of the catalogue": ["tools/list_coverage.py", "--check"],
        "format": ["tools/check_format.sh"],
        "scripts": ["tools/check_scripts.sh"],
        "spelling": ["tools/check_spelling.sh"],
    }, True, False),
    ("build", 5, "tools", {"gcc, warnings are errors": ["tools/build.sh", "fault"]}, True, False),
    ("build-all", 8, "tools", {
        "gcc, release": ["tools/build.sh", "release"],
        "clang, sanitizers, warnings are errors": ["tools/build.sh", "asan"],
    }, False, False),
    ("static", 4, "tools", {
        "cppcheck": ["tools/check_cppcheck.sh"],
        "one unit": ["tools/check_unit.sh"],
        "clang-tidy": ["tools/check_tidy.sh"],
    }, False, False),
    ("coverage", 4, "tools", {
        "coverage build": ["tools/build.sh", "coverage"],
        "rooms": ["tools/coverage.py", "rooms"],
    }, False, False),
    ("coverage-whole", 4, "tools", {"whole": ["tools/coverage.py", "whole"]}, False, True),
    ("unit", 2, "cmocka", ["build-fault/tests/unit-*"], True, False),
    ("contract", 3, "cmocka", ["build-fault/tests/contract-*"], True, False),
    ("fuzz", 5, "tools", {
        "replay": ["tools/fuzz.sh", "replay"],
        "60 s each": ["tools/fuzz.sh", "run", "60"],
    }, False, False),
    ("sanitizers", 5, "cmocka", ["build-asan/tests/unit-*", "build-asan/tests/contract-*"], False, False),
    ("memory", 2, "pytest", ["memory/test_*.py"], False, False),
    ("valgrind", 2, "tools", {"a sample": ["tools/check_valgrind.sh", "sample"]}, False, False),
    ("valgrind-all", 30, "tools", {"all": ["tools/check_valgrind.sh", "all"]}, False, True),
    ("power", 2, "cmocka", ["build-fault/tests/crash-test_power_*"], False, False),
    ("engine-sweep", 9, "cmocka", ["build-fault/tests/crash-test_engine_*"], False, False),
    ("helpers", 1, "pytest", ["helpers/test_*.py"], False, False),
    ("e2e", 6, "pytest", ["e2e/test_*.py"], False, False),
    ("sweep", 6, "pytest", ["crash/test_sweep*.py"], False, False),
    ("sweep-made", 2, "pytest", ["crash/test_made*.py"], False, False),
    ("kills", 5, "pytest", ["crash/test_kill*.py"], False, False),
    ("boot", 5, "pytest", ["boot/test_*.py"], False, False),
    ("faults", 4, "pytest", ["crash/test_fault*.py"], False, False),
]
# What takes longer than the rest of `make check` together: sweeps within contract suites.
SLOW = ("_stops", "_keeper", "_crash", "_bits", "_writers", "_trees", "test_child", "test_migrate")
# These wait more than they compute: run by more workers than there are cores.
WORKERS = {"e2e/test_*.py": 3}
LONG_FACTOR = 40    # how much more time a suite has in `make test-long`


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def say(text):
    print(text, flush=True)


def run(command, until, env=None):
    """(exit status or None when the time is over, both outputs); ends the whole process group."""
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
                             errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = child.communicate(timeout=max(0.1, until - time.monotonic()))
        return child.returncode, out
    except subprocess.TimeoutExpired:
        # As Ctrl-C first: pytest then runs its fixtures' clean-up.
        for number, grace in ((signal.SIGINT, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(child.pid, number)
                out, _ = child.communicate(timeout=grace)
                return None, out
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        return None, "(its output is still held open by a process that it left)"


def failure(name, status, out, lines=60):
    why = "over its time" if status is None else f"exit status {status}"
    say(f"--- {name}: {why}")
    say("\n".join("    " + line for line in out.splitlines()[-lines:]))


def run_tools(tools, until, _options):
    counts = Counts()
    for name, command in tools.items():
        status, out = run(command, until)
        if status == 0 and " warning: " not in out:
            counts.passed += 1
            for line in re.findall(r"^figure: (.*)", out, re.M):
                say("  " + line)
        else:
            counts.failed += 1
            failure(name, status, out)
    return counts


def is_slow(program):
    return any(slow in program.name for slow in SLOW)


def run_cmocka(patterns, until, options):
    programs = sorted((p for pattern in patterns for p in ROOT.glob(pattern)
                       if p.is_file() and os.access(p, os.X_OK) and (options.k or "") in p.name
                       and not (options.check and is_slow(p))),
                      key=lambda p: (not is_slow(p), p.name))     # long ones first: none is left alone at the end
    env = {
        "CMOCKA_MESSAGE_OUTPUT": "TAP",
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "BELAY_LONG": "1" if options.long else "",
    }
    counts = Counts()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for program, (status, out) in zip(programs, pool.map(
                lambda p: run([str(p)], until, env), programs)):
            one = Counts()
            for line in out.splitlines():
                if re.match(r"(not )?ok \d+.*# *SKIP", line):     # cmocka 1.1.5 says "not ok" of these
                    one.skipped += 1
                elif re.match(r"ok \d+", line):
                    one.passed += 1
                elif re.match(r"not ok \d+", line):
                    one.failed += 1
            planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", out, re.M))
            ended_early = one.passed + one.failed + one.skipped < max(planned, 1)
            if one.failed == 0 and (status != 0 or ended_early):
                one.failed = 1      # it crashed, leaked, or ran nothing
            if one.failed:
                failure(program.name, status, out)
            counts.add(one)
    return counts


def run_pytest(patterns, until, options):
    files = sorted(str(p) for pattern in patterns for p in (ROOT / "tests").glob(pattern))
    if not files:
        return Counts()
    command = [PYTHON, "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", "tests"]
    command += [] if options.long else ["-m", "not long"]
    command += ["-n", str(WORKERS[patterns[0]])] if patterns[0] in WORKERS else []
    command += ["-k", options.k] if options.k else []
    figures = tempfile.NamedTemporaryFile(prefix="belay-figures-", delete=False)
    status, out = run(command + files, until, {
        "BELAY_FIGURES": figures.name,
        "BELAY_BUILD": os.environ.get("BELAY_BUILD", str(ROOT / "build-fault")),
        "BELAY_LONG": "1" if options.long else "",
        "PYTHONDONTWRITEBYTECODE": "1",
    })
    counts = Counts()
    for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)\b",
                                   out.splitlines()[-1] if out.strip() else ""):
        counts.add(Counts(**{{"error": "failed", "errors": "failed"}.get(word, word): int(number)}))
    ended_early = status == 0 and counts.passed + counts.skipped == 0
    if counts.failed == 0 and (status not in (0, 5) or ended_early):
        counts.failed = 1
    with open(figures.name, encoding="utf-8") as lines:     # what a sweep says it tried
        for line in lines:
            say("  " + line.rstrip())
    os.unlink(figures.name)
    if counts.failed:
        failure("pytest", status, out, lines=150)
    return counts


KINDS = {"tools": run_tools, "cmocka": run_cmocka, "pytest": run_pytest}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="+", help="test, check, long, or names of suites")
    parser.add_argument("-k", help="only programs or tests whose name has this")
    options = parser.parse_args()
    options.long = "long" in options.what
    options.check = options.what == ["check"]
    names = {suite[0] for suite in SUITES}
    unknown = set(options.what) - names - {"test", "check", "long"}
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")

    all_of_long = options.long and not names & set(options.what)
    total = Counts()
    for name, minutes, kind, where, quick, only_long in SUITES:
        wanted = (name in options.what or all_of_long or ("test" in options.what and not only_long)
                  or ("check" in options.what and quick))
        if not wanted:
            continue
        begun = time.monotonic()
        until = begun + 60 * minutes * (LONG_FACTOR if options.long else 1)
        counts = KINDS[kind](where, until, options)
        if counts.passed + counts.failed + counts.skipped:
            say(f"{name:<13} {counts}  ({time.monotonic() - begun:.0f} s)")
            total.add(counts)
    if total.skipped:
        say(f"({total.skipped} skipped)")
    if total.passed + total.failed == 0:
        say("no test ran")
        total.failed = 1
    say(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
