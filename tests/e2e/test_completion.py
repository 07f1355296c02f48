"""What the shells offer at a press of the tabulator; each shell is the real one."""
import json
import os
import shlex
import subprocess

import pytest

from belaytest import BELAY, SERVICE, Release


@pytest.fixture(scope="module")
def site(make_module_site):
    """A service with two versions, a backup and a run, known as "notes"."""
    site = make_module_site([Release("1.0.0"), Release("1.1.0")])
    environment = site.environment
    site.environment = lambda extra=None: environment(
        {"BELAY_CONFIG": site.dir / "config", "BELAY_STATE": site.state, **(extra or {})})
    site.ok("add", site.dir / "belay.yaml")
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    (site.dir / "bin").mkdir()
    (site.dir / "bin" / "belay").symlink_to(BELAY)
    (site.dir / "some.yaml").write_text("")
    return site


def shell(site, *command):
    done = subprocess.run(command, cwd=site.dir, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env={**site.environment(), "PATH": f"{site.dir}/bin:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    return sorted(line for line in done.stdout.splitlines() if line)


def script(site, name):
    path = site.dir / f"belay.{name}"
    path.write_text(subprocess.run([str(BELAY), "completion", name], capture_output=True, text=True, check=True).stdout)
    return path


def bash(site, words):
    array = " ".join(shlex.quote(word) for word in words)
    text = (f"source {script(site, 'bash')}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; "
            "compopt() { :; }; _belay; printf '%s\\n' \"${COMPREPLY[@]}\"")
    return shell(site, "bash", "--norc", "-c", text)


def zsh(site, words):
    """The completion system runs on a terminal only; its two functions that show are ours here."""
    array = " ".join(shlex.quote(word) for word in words)
    text = ("compdef() { :; }; _files() { if [[ $1 = -/ ]]; then print -l *(/N); else print -l *(N); fi; }; "
            "_describe() { local -a shown; shown=(\"${(@P)3}\"); print -rl -- \"${(@)shown%%:*}\"; }; "
            f"source {script(site, 'zsh')}; words=({array}); CURRENT={len(words)}; _belay || true")
    return shell(site, "zsh", "-f", "-c", text)


def fish(site, words):
    line = " ".join(words)
    shown = shell(site, "fish", "--no-config", "-c", f"source {script(site, 'fish')}; complete -C {shlex.quote(line)}")
    return sorted(entry.split("\t")[0] for entry in shown)


SHELLS = pytest.mark.parametrize("ask", [bash, zsh, fish])


@SHELLS
def test_each_shell_offers_the_same(site, ask):
    backup = [path.name for path in (site.state / "backups" / SERVICE).iterdir() if path.name[0] != "."]
    assert ask(site, ["belay", "rest"]) == ["restart"]
    assert ask(site, ["belay", "backup", "pr"]) == ["prune"]
    assert ask(site, ["belay", "update", ""]) == [SERVICE]
    assert ask(site, ["belay", "update", SERVICE, "v1"]) == ["v1.0.0", "v1.1.0"]
    assert ask(site, ["belay", "update", SERVICE, "1"]) == ["1.0.0", "1.1.0"]
    assert ask(site, ["belay", "update", SERVICE, "--no-b"]) == ["--no-backup"]
    assert ask(site, ["belay", "--json", "show", ""]) == ["1"]
    assert ask(site, ["belay", "report", "1", "--format", "j"]) == ["json"]
    assert ask(site, ["belay", "backup", "restore", SERVICE, ""]) == sorted(backup) != []
    assert "some.yaml" in [name.rsplit("/")[-1] for name in ask(site, ["belay", "-f", "some"])]
    assert ask(site, ["belay", "nosuch", "x"]) == []


def asked(site, *words):
    done = subprocess.run([str(BELAY), "__complete", "--", *words], env=site.environment(), cwd=site.dir,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_every_verb_and_every_option_is_offered(site):
    """What help knows, and nothing hidden."""
    shown = subprocess.run([str(BELAY), "help"], capture_output=True, text=True, check=True).stdout
    commands = shown.split("\n\n")[2].splitlines()
    verbs = [line.split() for line in commands if line.startswith("  ")]
    first = asked(site, "")
    assert set(first) == {words[0] for words in verbs} and len(first) == len(set(first))
    assert not {"runner", "keeper", "__complete"} & set(first)
    for words in verbs:
        name = words[:2] if words[1:] and words[1].islower() and words[0] in ("backup", "migrate") else words[:1]
        text = subprocess.run([str(BELAY), "help", *name], capture_output=True, text=True, check=True).stdout
        options = {word.rstrip(",") for line in text.splitlines() for word in line.split()[:2] if word.startswith("--")}
        assert options <= set(asked(site, *name, "--")), name


def test_the_cursor_is_understood_wherever_it_is(site):
    assert asked(site, "logs", "-f", "") == [SERVICE]          # -f of logs takes no value
    assert asked(site, "status", "-f", "") == [":files"]       # the global one does
    assert asked(site, "backup", "restore", SERVICE, "--to", "") == [":dirs"]
    assert asked(site, "rollback", SERVICE, "--to", "v1.0") == ["v1.0.0"]
    assert asked(site, "logs", "--run", "") == ["1"]
    assert asked(site, "update", "--", "-") == []
    assert asked(site, "list", "") == [] and asked(site, "update", SERVICE, "v1.0.0", "") == []
    assert asked(site) == asked(site, "")
    assert asked(site, "--state", str(site.dir / "absent"), "show", "") == []
    assert not (site.dir / "absent").exists(), "completion makes nothing"


def test_a_shell_that_nobody_knows_is_refused(site):
    result = site.belay("completion", "tcsh", options=())
    assert result.code == 2 and "bash, zsh and fish" in result.err
    assert json.loads(site.ok("completion", "--json", "bash", options=()).out)["shell"] == "bash"
