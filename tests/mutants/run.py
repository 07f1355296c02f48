#!/usr/bin/python3
"""Seeds one bug after the other into a copy of the sources and asks whether the sweeps and tests find it.

    tests/mutants/run.py            all
    tests/mutants/run.py --ci       those marked "In-CI: yes"
    tests/mutants/run.py NAME...    these

Each patch begins with a sentence on what is wrong and two lines, "Found-by: TARGET" and "In-CI:
yes|no". First the unchanged sources must pass what is to find the bugs: a test that always fails
finds everything. The last line counts what was found.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLAGS = ["-std=gnu11", "-O1", "-D_GNU_SOURCE", "-DBELAY_FAULT_POINTS", "-Isrc", "-Itests", "-w",
         "-include", "src/base/banned.h"]
LIMIT_S = 300

BACKUP = ["src/base/*.c", "src/platform/*.c", "src/model/*.c", "src/client/sqlite*.c", "src/backup/*.c"]
ENGINE = ["src/base/*.c", "src/platform/*.c", "src/model/*.c", "src/client/sqlite*.c", "src/journal/*.c",
          "src/engine/*.c"]
ENGINE_LIBRARIES = ["-ljansson", "-lsqlite3", "-lcrypto", "-lcmocka", "-lpthread"]
BACKUP_LIBRARIES = ["-ljansson", "-lsqlite3", "-lzstd", "-lcrypto", "-lcmocka", "-lpthread"]

# What each target is built of (globs in the tree), what it is linked with, what runs.
TARGETS = {
    "engine-sweep": (ENGINE + ["tests/lib/small_story.c", "tests/crash/test_engine_sweep.c"],
                     ENGINE_LIBRARIES, ["test_singles"]),
    "engine-faults": (ENGINE + ["tests/lib/engine_script.c", "tests/unit/engine/test_engine_faults.c"],
                      ENGINE_LIBRARIES, []),
    "power-engine": (ENGINE + ["tests/lib/small_story.c", "tests/lib/power.c",
                               "tests/crash/test_power_engine.c"], ENGINE_LIBRARIES, []),
    "power-restore": (BACKUP + ["tests/lib/power.c", "tests/crash/test_power_restore.c"],
                      BACKUP_LIBRARIES, []),
    "backup-crash": (BACKUP + ["tests/contract/test_backup_crash.c"], BACKUP_LIBRARIES, ["death_before"]),
    "backup-edges": (BACKUP + ["tests/unit/backup/test_backup_edges.c"], BACKUP_LIBRARIES, []),
    "backup-retention": (BACKUP + ["tests/unit/backup/test_retention.c"], BACKUP_LIBRARIES, []),
}

# What needs the whole program: what ninja is to build of it, and the tests (pytest's words; else the program itself).
PROGRAM = ["belay", "belay-exec", "tests/noted"]
WHOLE = {
    "zone": (["tests/unit-base-test_zone"], None),
    "index": (["tests/unit-journal-test_index"], None),
    "releases": (["tests/contract-test_source_made", "belay-exec"], None),
    "rehearsal": (PROGRAM, ["e2e/test_rehearse.py", "-k", "a_version_that_works"]),
    "boot": (PROGRAM, ["e2e/test_enable.py", "-k", "finishes_an_interrupted_run"]),
    "adoption": (PROGRAM, ["e2e/test_init.py", "-k", "taken_over and procfile"]),
    "stores": (PROGRAM, ["e2e/test_stores.py", "-k", "killed_while_it_is_copied"]),
}


def limited(command, where, environment=None):
    """(whether it passed, what it said)"""
    child = subprocess.Popen(command, cwd=where, env={**os.environ, **(environment or {})}, text=True, errors="replace",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    try:
        out, _ = child.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.communicate()
        return False, "it did not end"
    said = [line for line in out.splitlines() if re.search(r"^E  ", line)]     # of pytest
    said += [line for line in out.splitlines() if re.search(r", \S.*: |figure: |[Ee]rror: ", line)]
    return child.returncode == 0, said[0] if said else f"exit status {child.returncode}"


class Tree:
    """A copy of the sources; only what a patch changes is compiled again."""

    def __init__(self, where):
        self.root = pathlib.Path(where)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, self.root / name,
                            ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))

    def objects(self, target):
        sources = sorted(p for glob in TARGETS[target][0] for p in self.root.glob(glob))
        return {source: source.with_suffix(".o") for source in sources}

    def compile(self, target, only=None):
        todo = [(source, thing) for source, thing in self.objects(target).items()
                if only is None or str(source.relative_to(self.root)) in only]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for done in pool.map(lambda one: subprocess.run(
                    ["gcc", *FLAGS, "-c", str(one[0]), "-o", str(one[1])], cwd=self.root,
                    capture_output=True, text=True), todo):
                if done.returncode != 0:
                    raise SystemExit(f"it does not compile:\n{done.stderr}")

    def link(self, target):
        program = self.root / target
        subprocess.run(["gcc", "-o", str(program), *map(str, self.objects(target).values()),
                        *TARGETS[target][1]], check=True)
        return program

    def passes(self, target):
        """(whether it passed, its last words)"""
        self.link(target)
        return limited([str(self.root / target), *TARGETS[target][2]], self.root)


class WholeTree:
    """A copy of the whole, built by meson."""

    def __init__(self, where):
        self.root = pathlib.Path(where) / "whole"
        self.build = self.root / "build-mutant"
        shutil.copytree(ROOT, self.root, symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".git", "build", "build-*"))
        self.run("meson", "setup", str(self.build), "-Dfault=true", "-Dtests=true", "-Dwerror=false")

    def run(self, *command):
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"it does not build:\n{done.stdout[-3000:]}{done.stderr}")

    def compile(self, target, only=()):
        for name in only:
            os.utime(self.root / name)      # one that was put back is older than what was made of the other
        self.run("ninja", "-C", str(self.build), *WHOLE[target][0])

    def passes(self, target):
        made, tests = WHOLE[target]
        if tests is None:
            return limited([str(self.build / made[0])], self.root)
        return limited([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests], self.root / "tests",
                       {"BELAY_BUILD": str(self.build)})


def header(patch, key):
    found = re.search(rf"^{key}: (\S+)$", patch.read_text(), re.M)
    return found.group(1) if found else None


def changed(patch):
    return set(re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.M))


def is_found(tree, patch):
    target = header(patch, "Found-by")
    files = changed(patch)
    with tempfile.TemporaryDirectory() as kept:
        for name in files:
            (pathlib.Path(kept) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree.root / name, pathlib.Path(kept) / name)
        applied = subprocess.run(["patch", "-p1", "--no-backup-if-mismatch", "-i", str(patch)], cwd=tree.root,
                                 capture_output=True, text=True)
        if applied.returncode != 0:
            raise SystemExit(f"{patch.name} does not fit any more:\n{applied.stdout}")
        tree.compile(target, files)
        passed, said = tree.passes(target)
        for name in files:
            shutil.copy2(pathlib.Path(kept) / name, tree.root / name)
        tree.compile(target, files)
    print(f"{'NOT FOUND' if passed else 'found'}  {patch.stem}: {said}", flush=True)
    return not passed


def main(arguments):
    patches = sorted(HERE.glob("*.patch"))
    if arguments == ["--ci"]:
        patches = [p for p in patches if header(p, "In-CI") == "yes"]
    elif arguments:
        patches = [HERE / f"{name.removesuffix('.patch')}.patch" for name in arguments]
    found = 0
    with tempfile.TemporaryDirectory(prefix="belay-mutants-") as where:
        targets = sorted({header(p, "Found-by") for p in patches})
        tree = Tree(where) if set(targets) & set(TARGETS) else None
        whole = WholeTree(where) if set(targets) & set(WHOLE) else None
        for target in targets:
            of = tree if target in TARGETS else whole
            of.compile(target)
            passed, said = of.passes(target)
            if not passed:
                raise SystemExit(f"{target} fails without any seeded bug: {said}")
        for patch in patches:
            found += is_found(tree if header(patch, "Found-by") in TARGETS else whole, patch)
    print(f"figure: mutants: {found} of {len(patches)} found")
    return 0 if patches and found == len(patches) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
