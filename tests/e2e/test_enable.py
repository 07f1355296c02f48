"""enable and disable as the command line shows them; what a boot does with it is in tests/boot."""
import json
import os

import pytest

from belaytest import SERVICE, Release


def listed(site):
    return {entry["service"]: entry["enabled"] for entry in json.loads(site.ok("list", "--json", options=()).out)}


@pytest.fixture
def site(make_site):
    """Its service is known, in a registry of its own."""
    site = make_site([Release("1.0.0")])
    environment = site.environment
    site.environment = lambda extra=None: environment({"BELAY_CONFIG": site.dir / "config", **(extra or {})})
    site.ok("add", site.dir / "belay.yaml")
    return site


def test_enable_and_disable_are_remembered_and_shown(site):
    assert listed(site) == {SERVICE: False}
    first = site.ok("enable", SERVICE)
    assert ("notes is to be started at boot\n" if first.err else "notes is started at boot\n") in first.out
    # This state directory is not the one that the unit of the machine looks into.
    assert "state directory" in first.err or os.geteuid() != 0
    assert json.loads(site.ok("enable", "--json").out)["changed"] is False
    assert listed(site) == {SERVICE: True}
    assert json.loads(site.ok("status", "--json").out)[0]["enabled"] is True
    assert "not started at boot\n" in site.ok("disable", SERVICE).out
    assert json.loads(site.ok("disable", "--json").out) == {
        "service": SERVICE, "enabled": False, "changed": False}
    assert listed(site) == {SERVICE: False}


def test_what_is_removed_is_not_started_at_boot(site):
    site.ok("enable", SERVICE)
    assert "nor started at boot" in site.ok("remove", SERVICE, options=()).out
    assert not list(site.state.glob("services/*/enabled.json"))
    assert site.belay("enable", "other").code == 2


def test_boot_starts_what_is_enabled_and_says_so(site):
    assert "no service is enabled" in site.ok("boot").out
    site.ok("enable", SERVICE)
    assert "notes: started 1.0.0" in site.ok("boot").out
    assert "at boot, just now: started 1.0.0" in site.ok("status").out
    started = site.servers()
    assert json.loads(site.ok("boot", "--json").out) == [{"service": SERVICE, "did": "runs", "failed": False}]
    assert site.servers() == started
    # Nothing of systemd asks here: it is done at once, as at the end of a machine without systemd.
    assert "notes is stopped" in site.ok("boot", "--shutdown").out
    assert site.servers() == [] and json.loads(site.ok("status", "--json").out)[0]["health"] == "stopped"


def test_boot_finishes_an_interrupted_run_and_starts_its_service(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    assert site.belay("update", SERVICE, "1.1.0", env={"BELAY_FAULT": "runner:die:60"}).code in (1, 7)
    site.kill_all()
    site.ok("boot")
    site.assert_whole(one_of=["1.0.0", "1.1.0"])
    assert "which was interrupted: " in site.ok("status").out


def test_a_service_that_cannot_be_started_is_told_and_noted(site):
    site.ok("enable", SERVICE)
    site.manifest["runtime"]["process"]["command"] = ["./absent"]
    site.write_manifest()
    told = site.belay("boot")
    assert told.code == 1 and "notes: not started: " in told.err
    assert "at boot, just now: not started: " in site.ok("status").out
