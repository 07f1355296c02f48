"""The checks and the driver are tried with what they must find."""
import argparse
import importlib.util
import pathlib
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTIONS = argparse.Namespace(k=None, long=False, check=False)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def driver(tmp_path, monkeypatch):
    module = load(ROOT / "tests" / "run.py")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def put(path, text, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if executable:
        path.chmod(0o755)


@pytest.mark.parametrize("path, include, said", [
    ("model/a.c", "base/err.h", ""),
    ("model/a.c", "model/b.h", ""),
    ("main.c", "cli/cli.h", ""),
    ("base/a.c", "model/b.h", "a.c:2: base/ (floor 0) must not include"),
    ("model/a.c", "client/b.h", "a.c:2: model/ (floor 2) must not include"),
    ("engine/a.h", "cli/b.h", "a.h:2: engine/ (floor 5) must not include"),
    ("exec/a.c", "platform/b.h", "a.c:2: exec/ must not include"),
    ("attic/a.c", "base/b.h", "a.c:2: room 'attic' is on no floor"),
])
def test_layers(tmp_path, path, include, said):
    put(tmp_path / path, f'#include <stdio.h>\n#include "{include}"\n')
    done = subprocess.run([ROOT / "tools/check_layers.py", tmp_path], stdout=subprocess.PIPE, text=True)
    assert done.returncode == (1 if said else 0)
    assert said in done.stdout


@pytest.mark.parametrize("text, said", [
    ("int f(void);\nint f(void) {\n        return 0;\n}\n", ""),
    ("int f(int a, int b, int c, int d, int e, int g);\n", ""),
    ("int f(int a, int b, int c, int d, int e, int g,\n        int (*h)(int, int));\n", "f() takes 7 parameters"),
    ("int f(void) {\n" + "        ;\n" * 110 + "}\n", "f() has 11"),
    ("int f(int a) {\n" + "        if (a)\n                a++;\n" * 15 + "        return a;\n}\n", "f() has complexity 16"),
    ("\n" * 801, "801 lines"),
])
def test_sizes(tmp_path, text, said):
    put(tmp_path / "a.c", text)
    done = subprocess.run([ROOT / "tools/check_sizes.py", tmp_path], stdout=subprocess.PIPE, text=True)
    assert done.returncode == (1 if said else 0), done.stdout
    assert said in done.stdout


@pytest.mark.parametrize("script, passed, failed, skipped", [
    ("echo 1..2; echo 'ok 1 - a'; echo 'ok 2 - b'", 2, 0, 0),
    ("echo 1..2; echo 'ok 1 - a'; echo 'not ok 2 - b'; exit 1", 1, 1, 0),
    ("echo 1..2; echo 'ok 1 - a'; echo 'ok 2 # SKIP b'", 1, 0, 1),
    ("echo 1..2; echo 'ok 1 - a'; echo 'not ok 2 # SKIP b'", 1, 0, 1),
    ("echo 1..2; echo 'ok 1 - a'; kill -SEGV $$", 1, 1, 0),
    ("echo 1..2; echo 'ok 1 - a'", 1, 1, 0),
    ("echo 1..1; echo 'ok 1 - a'; exit 1", 1, 1, 0),     # a leak, found at the end
    ("exit 0", 0, 1, 0),
    ("echo 1..2; echo 'ok 1 - a'; sleep 60", 1, 1, 0),
])
def test_a_c_program_is_counted(driver, tmp_path, script, passed, failed, skipped):
    put(tmp_path / "build/unit-x", "#!/bin/bash\n" + script + "\n", executable=True)
    counts = driver.run_cmocka(["build/unit-*"], time.monotonic() + 2, OPTIONS)
    assert (counts.passed, counts.failed, counts.skipped) == (passed, failed, skipped)


@pytest.mark.parametrize("body, passed, failed", [
    ("def test_a(): pass\ndef test_b(): pass", 2, 0),
    ("def test_a(): pass\ndef test_b(): assert 0", 1, 1),
    ("import nothing_like_this", 0, 1),
    ("def test_a(x): pass", 0, 1),
    ("import pytest\n@pytest.mark.long\ndef test_a(): assert 0", 0, 0),
    ("import time\ndef test_a(): time.sleep(60)", 0, 1),
    ("import os\ndef test_a(): os._exit(0)", 0, 1),
])
def test_a_python_suite_is_counted(driver, tmp_path, body, passed, failed):
    put(tmp_path / "tests/e2e/test_x.py", body + "\n")
    put(tmp_path / "tests/pytest.ini", (ROOT / "tests/pytest.ini").read_text())
    counts = driver.run_pytest(["e2e/test_*.py"], time.monotonic() + 3, OPTIONS)
    assert (counts.passed, counts.failed) == (passed, failed)


def test_no_tests_are_no_success(driver, monkeypatch, capsys):
    monkeypatch.setattr(driver.sys, "argv", ["run.py", "unit"])
    assert driver.main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


@pytest.mark.parametrize("what, ran", [
    ("long", ["lint, long", "kills, long", "all, long"]), ("test", ["lint", "kills"]), ("check", ["lint"]),
    ("all", ["all"]), ("long kills", ["kills, long"]), ("long all lint", ["lint, long", "all, long"]),
    ("check kills", ["lint", "kills"]), ("test long", ["lint, long", "kills, long", "all, long"]),
])
def test_what_is_asked_for_is_run(driver, monkeypatch, what, ran):
    found = []
    monkeypatch.setattr(driver.sys, "argv", ["run.py", *what.split()])
    monkeypatch.setattr(driver, "SUITES", [
        ("lint", 1, "x", ["lint"], True, False), ("kills", 1, "x", ["kills"], False, False),
        ("all", 1, "x", ["all"], False, True)])

    def suite(where, _until, options):
        found.append(where[0] + (", long" if options.long else ""))
        return driver.Counts(passed=1)

    monkeypatch.setattr(driver, "KINDS", {"x": suite})
    assert driver.main() == 0 and found == ran
