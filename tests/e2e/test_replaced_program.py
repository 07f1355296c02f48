"""A newer Belay is installed while keepers of the older one run: they go on, and resume with what is there."""
import shutil

import pytest

import belaytest
from belaytest import Release, wait_until


@pytest.fixture
def site(make_site, monkeypatch):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="slow-start:1")],
                     manifest={"monitor": {"for": "0s"}})
    installed = site.dir / "bin"
    installed.mkdir()
    for name in ("belay", "belay-exec"):
        shutil.copy2(belaytest.BUILD / name, installed / name)
    monkeypatch.setattr(belaytest, "BELAY", installed / "belay")
    site.start()
    return site


def replace(site):
    """As an installation does it: a new file under the old name."""
    for name in ("belay", "belay-exec"):
        path = site.dir / "bin" / name
        shutil.copy2(path, f"{path}.new")
        path.with_name(f"{name}.new").rename(path)


def kill_runner_after_start(site):
    child = site.belay_start("update", "notes", "v1.1.0")

    def started():
        records = site.journal() if site.runs() else []
        return next((r for r in reversed(records) if r[0] == "DONE" and r[1].get("step") == "start"), None) and records

    records = wait_until(started, what="the start of the new version")
    owner = [payload for kind, payload in records if kind == "OWNER"][-1]
    for process in site.processes():
        if process.pid == owner["pid"]:
            process.kill()
    child.communicate(timeout=30)


def test_the_keeper_resumes_with_the_program_that_took_its_place(site):
    replace(site)
    kill_runner_after_start(site)
    wait_until(lambda: site.journal()[-1][0] == "END", 20, what="the end of the run")
    assert len([1 for kind, _ in site.journal() if kind == "OWNER"]) == 2
    site.assert_whole(one_of=["1.0.0", "1.1.0"])


def test_a_service_is_started_and_stopped_after_the_replacement(site):
    replace(site)
    site.ok("restart", "notes")
    wait_until(site.health, what="a healthy service")
    site.ok("stop", "notes")
    assert site.servers() == []
