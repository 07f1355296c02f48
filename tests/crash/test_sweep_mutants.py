"""The sweeps themselves: each finds the bug that a patch in tests/mutants/ seeds."""
import pathlib
import re
import subprocess
import sys

import pytest

MUTANTS = pathlib.Path(__file__).resolve().parent.parent / "mutants"
PATCHES = sorted(MUTANTS.glob("*.patch"))


def run(*arguments):
    done = subprocess.run([sys.executable, str(MUTANTS / "run.py"), *arguments], text=True,
                          capture_output=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_three_mutants_are_found():
    assert int(re.search(r"(\d+) of \d+ found", run("--ci")).group(1)) >= 3


def test_every_patch_fits():
    """Also those that only the long run tries."""
    stale = [patch.stem for patch in PATCHES if subprocess.run(
        ["patch", "-p1", "--dry-run", "-s", "-f", "-i", str(patch)], cwd=MUTANTS.parent.parent, capture_output=True,
        check=False).returncode]
    assert stale == []


@pytest.mark.long
def test_every_mutant_is_found():
    assert f"{len(PATCHES)} of {len(PATCHES)} found" in run()
    assert len(PATCHES) >= 20
