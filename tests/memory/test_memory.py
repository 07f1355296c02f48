"""Memory: whole updates with AddressSanitizer and LeakSanitizer, and under valgrind."""
import pathlib
import subprocess

import pytest

import belaytest
from belaytest import Release

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASAN = ROOT / "build-asan" / "belay"
VALGRIND = ["valgrind", "-q", "--trace-children=yes", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect", "--child-silent-after-fork=no",
            "--trace-children-skip=*/git,*/git-*,*/python3*,*/noted,*/belay-exec,*/sh,/bin/*,/usr/bin/*,/usr/lib/*"]


def releases():
    return [Release("1.0.0"), Release("1.1.0"), Release("1.2.0", behaviour="bad-health")]


def goes_through(site):
    """Forward, back by itself, back by a person."""
    assert site.belay("update", "notes", "v1.1.0", timeout=300).code == 0
    assert site.belay("update", "notes", "v1.2.0", timeout=300).code == 3
    assert site.belay("rollback", "notes", timeout=300).code == 0
    assert site.version() == "1.0.0"
    for words in (["status"], ["runs"], ["show", "1"], ["report", "2"], ["backup", "list", "notes"]):
        assert site.belay(*words, timeout=100).code == 0


def said(directory):
    return "\n".join(f"{path.name}:\n{path.read_text(errors='replace')}" for path in sorted(directory.iterdir())
                     if path.stat().st_size)


def test_a_leak_is_seen_here(tmp_path):
    """What the other tests rely on: in this place a leak ends a program with an error."""
    (tmp_path / "leak.c").write_text("#include <stdlib.h>\nint main(void) { void *volatile p = malloc(10); p = 0; return p != 0; }\n")
    for flags, command in ((["-fsanitize=address"], []), (["-g"], VALGRIND)):
        subprocess.run(["clang-14", *flags, "-o", tmp_path / "leak", tmp_path / "leak.c"], check=True)
        done = subprocess.run([*command, tmp_path / "leak"], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode != 0 and "10 byte" in done.stderr


def test_updates_with_sanitizers(make_site, monkeypatch, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.setattr(belaytest, "BELAY", ASAN)
    monkeypatch.setenv("ASAN_OPTIONS", f"log_path={logs}/asan:detect_leaks=1:detect_stack_use_after_return=1")
    monkeypatch.setenv("UBSAN_OPTIONS", f"log_path={logs}/ubsan:print_stacktrace=1")
    site = make_site(releases())
    site.start()
    goes_through(site)
    site.belay("stop", "notes")
    assert said(logs) == ""


def test_verbs_under_valgrind(make_site, monkeypatch, tmp_path):
    """Debian's valgrind knows neither pidfd_open nor openat2: what needs no other process runs under it; the
    update itself is the sanitizers' (above)."""
    logs = tmp_path / "logs"
    logs.mkdir()
    site = make_site(releases())
    site.start()
    goes_through(site)
    command = site.command
    monkeypatch.setattr(site, "command", lambda *args, **more: [
        *VALGRIND, f"--log-file={logs}/%p", *command(*args, **more)])
    for words in (["validate"], ["status"], ["runs"], ["show", "1"], ["show", "2"], ["report", "2"],
                  ["report", "3", "--json"], ["backup", "list", "notes"], ["backup", "verify", "notes"],
                  ["logs", "notes"], ["help"]):
        result = site.belay(*words, timeout=100)
        assert result.code == 0, (words, result)
    assert site.belay("nonsense", timeout=100).code == 2
    assert len(list(logs.iterdir())) >= 12
    assert said(logs) == ""
