"""docs/walkthrough.md, typed as it stands, in a place of its own."""
import os
import re
import shutil
import subprocess

import pytest

from belaytest import BUILD, ROOT, free_port, processes_of


def blocks():
    text = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
    return re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)


@pytest.fixture
def place(tmp_path):
    yield tmp_path / "cbapp"
    for process in processes_of(tmp_path):
        process.kill()
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_the_walk_through(place):
    port = str(free_port())
    script = "set -euo pipefail\nset -x\n" + "\n".join(blocks())
    script = script.replace("$PWD/build:", f"{BUILD}:").replace("/tmp/cbapp", str(place)).replace("9001", port)
    # The example's port and watch, made the test's own where the manifest is copied.
    script = script.replace(f"cp examples/cbapp/belay.yaml {place}/",
                            f"sed 's/9001/{port}/; s/{{ for: 10s, every: 1s }}/{{ for: 1s, every: 200ms }}/; s/:9001/:{port}/g'"
                            f" examples/cbapp/belay.yaml > {place}/belay.yaml")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=180, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert not place.exists()
    assert '"version": "v0.2.0"' in said and '["Library"]' in said
    assert "exit 1\n" in said and "exit 3\n" in said and said.count('"version": "v0.3.0"') >= 1
    assert "nothing wrong was found" in said
    assert "refspec: " in said and "+refs/heads/*:refs/remotes/origin/*" in said
    assert not processes_of(place)
