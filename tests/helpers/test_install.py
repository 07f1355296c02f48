"""make install puts everything where it is looked for, and make uninstall takes all of it away."""
import os
import re
import subprocess

from belaytest import BUILD, ROOT

EXPECTED = {
    "bin/belay", "libexec/belay/belay-exec", "lib/systemd/system/belay-boot.service",
    "lib/systemd/user/belay-boot.service", "share/man/man1/belay.1", "share/man/man5/belay.yaml.5",
    "share/man/man7/belay-recovery.7", "share/bash-completion/completions/belay", "share/zsh/site-functions/_belay",
    "share/fish/vendor_completions.d/belay.fish", "share/belay/belay.schema.json",
}


def run(*command, **env):
    done = subprocess.run(list(map(str, command)), env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def test_install_and_uninstall(tmp_path):
    prefix = tmp_path / "usr" / "local"
    other = tmp_path / "usr" / "local" / "bin" / "other"
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", DESTDIR=str(tmp_path))
    assert files(prefix) == EXPECTED
    other.write_text("somebody else's")
    assert re.fullmatch(r"belay \S+\n", run(prefix / "bin" / "belay", "version"))
    assert (prefix / "share/bash-completion/completions/belay").read_text() == run(BUILD / "belay", "completion", "bash")
    assert (prefix / "share/belay/belay.schema.json").read_text() == run(BUILD / "belay", "validate", "--schema")
    for kind in ("system", "user"):
        unit = (prefix / "lib/systemd" / kind / "belay-boot.service").read_text()
        assert "ExecStart=/usr/local/bin/belay --yes boot\n" in unit and "@" not in unit
    assert "removed 11 of 11 files" in run(ROOT / "tools/uninstall.py", BUILD, DESTDIR=str(tmp_path))
    assert files(tmp_path) == {"usr/local/bin/other"}
    assert [path for path in prefix.rglob("belay")] == []
    assert "removed 0 of 11 files" in run(ROOT / "tools/uninstall.py", BUILD, DESTDIR=str(tmp_path))
