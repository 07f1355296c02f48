"""The tools of the tests, tried themselves: a sweep that trusts a broken writer proves nothing."""
import subprocess
import time

import pytest

from belaytest import NOTED, Release, git, request, rows_in_database, wait_until


def run_noted(site):
    """As its keeper would: in the checkout, in a session of its own."""
    return subprocess.Popen([NOTED, "--port", str(site.port), "--db", "data/notes.db"], cwd=site.app,
                            start_new_session=True, stdout=subprocess.DEVNULL)


def test_rows_are_kept_and_the_tag_decides_the_version(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    noted = run_noted(site)
    wait_until(site.health)
    with site.writer() as writer:
        writer.wait_for(20)
        noted.terminate()
        assert noted.wait(5) == 0
    assert set(writer.acknowledged) <= rows_in_database(site.database)
    assert writer.failures > 0      # it went on posting while nothing listened
    assert {version for _, version in writer.acknowledged.values()} == {"1.0.0"}
    git(site.app, "checkout", "-q", "--detach", "v1.1.0")
    noted = run_noted(site)
    assert wait_until(site.health)["version"] == "1.1.0"
    assert set(writer.acknowledged) <= site.rows_live()
    noted.kill()
    noted.wait()
    assert site.leftovers() == []
    (site.app / "stray").write_text("")
    (site.app / "data" / "stray").write_text("")
    assert site.leftovers() == ["?? stray", "!! data/stray"]


@pytest.mark.parametrize("behaviour, status_at_once, status_later",
                         [("", 200, 200), ("bad-health", 500, 500), ("bad-later:0.3", 200, 500)])
def test_health_is_as_bad_as_the_release(make_site, behaviour, status_at_once, status_later):
    site = make_site([Release("1.0.0", behaviour=behaviour)])
    noted = run_noted(site)

    def status():
        try:
            return request(site.port, "GET", "/health")[0]
        except OSError:
            return None
    assert wait_until(status, every=0.002) == status_at_once
    time.sleep(0.4)
    assert status() == status_later
    noted.kill()
    noted.wait()


def test_rows_dropped_by_a_release_are_missed(make_site):
    site = make_site([Release("1.0.0", behaviour="drop-rows:0.2 change-schema")])
    noted = run_noted(site)
    wait_until(site.health)
    with site.writer() as writer:
        time.sleep(0.4)
    assert set(writer.acknowledged) - site.rows_live()
    noted.kill()
    noted.wait()


def test_processes_are_found_and_ended(make_site):
    site = make_site([Release("1.0.0", behaviour="ignore-term fork-child")])
    noted = run_noted(site)
    wait_until(site.health)
    assert len(site.servers()) == 2         # it and its deaf child
    noted.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        noted.wait(0.2)
    site.kill_all()
    noted.wait()
    assert site.processes() == []


def test_a_site_is_put_back(make_site):
    site = make_site([Release("1.0.0")])
    site.save()
    noted = run_noted(site)
    wait_until(site.health)
    site.reset()
    noted.wait()
    assert not site.database.exists()
    assert site.processes() == []
