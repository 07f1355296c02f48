"""Power cuts and restarts of a machine: each time it must come up by itself, whole, on one version."""
import contextlib
import json
import random
import shutil
import subprocess
import time

import pytest
import yaml

import bootlib
import container
import crashlib
from belaytest import LONG, SERVICE, Release, Writer, figure, wait_until

QUICK = {"monitor": {"for": "60ms", "every": "20ms"}}
SECONDS = 300 if LONG else None


@pytest.fixture(scope="module")
def machine(ground):
    with bootlib.machine_of(ground) as machine:
        yield machine


@pytest.fixture
def make_boot_site(ground, machine):
    """A service that is known and enabled on the machine, which is on."""
    sites = []

    def make(releases, enable=True, **more):
        site = bootlib.BootSite(releases, base=ground[0], manifest={**QUICK, **more.pop("manifest", {})}, **more)
        sites.append(site)
        machine.binds = []
        site.put(machine)
        machine.boot()
        machine.run("systemctl", "--quiet", "enable", "--now", "belay-boot.service")
        site.ok("add", site.dir / "belay.yaml")
        if enable:
            site.ok("enable", SERVICE)
        return site

    yield make
    if machine.init is not None:
        machine.power_off()
    shutil.rmtree(ground[1] / "etc" / "belay", ignore_errors=True)
    for path in (ground[1] / "home" / "shop").iterdir():
        shutil.rmtree(path)
    for site in sites:
        site.close()


# ---- power cuts at every step

def points_of(site, scenario):
    """{(step, undo): (number of the record of its INTENT, fault points that its runner passes within it)} of a run
    that nothing disturbs. Each record of the journal is one write."""
    site.reset()
    site.booted()
    trace = site.dir / "trace"
    result = site.belay(*scenario.command, env={"BELAY_FAULT_TRACE": trace})
    assert result.code == (0 if scenario.ends == ("succeeded",) else 3), result
    records = site.journal()
    site.machine.power_off()
    lines = [line.split(" ", 3) for line in trace.read_text().splitlines() if line.startswith("runner ")]
    writes = [int(n) for _, n, call, detail in lines if detail.endswith("/journal") and call == "write"]
    passed = [int(n) for _, n, call, detail in lines if detail.endswith("/journal")]
    assert len(writes) == len(records), (len(writes), len(records))
    points, begun = {}, None
    for (kind, payload), n in zip(records, writes):
        if kind == "INTENT":
            begun = (payload["step"], payload["undo"]), n
        elif begun:
            points[begun[0]] = passed.index(begun[1]) + 1, n - begun[1]
            begun = None
    return points


def is_stopped(machine):
    for pid, command in machine.processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            if " runner" in command and file.read().rsplit(")", 1)[1].split()[0] == "T":
                return True
    return False


def power_cut(site, scenario, step, point):
    """One run, the power gone at this point of its runner's, and all that must hold after the boot. Returns
    (where it came, how the run ended)."""
    site.reset()
    site.booted()
    wait_until(site.health, what="a service that was started at boot")
    writer = Writer(site.port, first=max(site.known, default=0) + 1, pause=0.004)
    writer.acknowledged.update(site.known)
    with writer:
        writer.wait_for(3)
        runs_before = len(site.runs())
        child = site.machine.start("belay", "--yes", *scenario.command, env={"BELAY_FAULT": f"runner:stop:{point}"})
        wait_until(lambda: is_stopped(site.machine), 30, what=f"the runner at point {point} of {step}")
        site.machine.power_off()
        child.wait()
        where = [(payload["step"], payload["undo"]) for kind, payload in crashlib.newest(site, runs_before)
                 if kind == "INTENT"][-1]
        site.booted()
        told = site.machine.journal()
        end = crashlib.judge(site, scenario, writer, runs_before)
        assert f"run #{site.runs()[-1]}, which was interrupted: " in told, told
        status = site.status()
        assert status["enabled"] and status["health"] == "healthy" and status["keeper"], status
        assert not status["boot"]["failed"] and site.ok("verify", SERVICE)
    site.machine.power_off()
    return where, end


def prepared(site, scenario):
    site.ok("start", SERVICE)
    with Writer(site.port, pause=0.004) as writer:
        writer.wait_for(10)
        scenario.before(site, writer)
    site.known = dict(writer.acknowledged)
    site.machine.shutdown()
    site.save()


def every_step(site, scenario):
    """{(step, undo): how it ended} after a cut in the midst of each; in make test-long at many points of each."""
    steps = points_of(site, scenario)
    draw = random.Random(crashlib.SEED)
    done, ends = {}, []
    until = time.monotonic() + SECONDS if SECONDS else 0
    while not ends or time.monotonic() < until:
        for step, (record, n) in steps.items():
            point = f"{draw.randint(1, n)}:/journal:{record}"
            try:
                where, how = power_cut(site, scenario, step, point)
            except AssertionError as broken:
                raise crashlib.Broken(f"{scenario.name}, power cut at point {point} in {step} (seed {crashlib.SEED}): "
                                      f"{broken}") from broken
            done[where] = how
            ends.append(how)
    # A step may pass a point less than in the first run.
    assert len(set(steps) & set(done)) >= len(steps) - 2, set(steps) - set(done)
    figure(f"power cuts, {scenario.name}: {len(ends)} in {len(done)} of {len(steps)} steps, up by itself on one version, whole "
           f"({', '.join(f'{ends.count(how)} {how}' for how in sorted(set(ends)))}); seed {crashlib.SEED}")
    return done


# ---- other days

def test_a_restart_in_order(make_boot_site, machine):
    """Services are asked to end, within their own limit, and come back; not enabled ones stay down, and it is said."""
    site = make_boot_site([Release("1.0.0")], enable=False)
    site.ok("start", SERVICE)
    with Writer(site.port) as writer:
        writer.wait_for(5)
        machine.run("systemctl", "restart", "belay-boot.service")
        machine.run("systemctl", "stop", "belay-boot.service")
        writer.wait_for(5)
        assert len(site.servers()) == 1, "stopping the unit is not stopping the services"
        machine.run("systemctl", "start", "belay-boot.service")
        site.boot_done()
    machine.shutdown()
    assert "stopped" in (site.state / "services" / SERVICE / "keeper.json").read_text()
    site.booted()
    assert site.servers() == [] and not site.status()["enabled"]
    assert "notes is stopped" in machine.run("journalctl", "-b", "-1", "-u", "belay-boot.service", "-o", "cat").stdout
    site.ok("enable", SERVICE)
    machine.shutdown()
    site.booted()
    assert site.rows_live() == set(writer.acknowledged) and site.status()["boot"]["did"] == "started 1.0.0"
    site.ok("stop", SERVICE)
    site.ok("disable", SERVICE)
    machine.power_off()
    site.booted()
    assert site.servers() == []


def test_after_a_power_cut_a_service_that_is_not_enabled_says_so(make_boot_site, machine):
    site = make_boot_site([Release("1.0.0")], enable=False)
    site.ok("start", SERVICE)
    machine.power_off()
    site.booted()
    assert site.servers() == []
    assert "is not started at boot: `belay start notes`" in site.ok("status").out


def test_one_bad_service_is_no_reason_for_the_others(make_boot_site, machine):
    site = make_boot_site([Release("1.0.0")])
    (site.dir / "bad").mkdir()
    for name, command in (("absent", ["./absent"]), ("broken", ["/bin/false"])):
        manifest = {**site.manifest, "service": name, "runtime": {"process": {"command": command, "directory": "app"}}}
        (site.dir / "bad" / f"{name}.yaml").write_text(yaml.safe_dump(manifest))
        site.ok("add", site.dir / "bad" / f"{name}.yaml")
        site.ok("enable", name)
    (site.dir / "bad" / "broken.yaml").write_text("version: 1\n")
    machine.power_off()
    site.booted()
    assert site.version() == "1.0.0" and site.unit("ActiveState") == "active"
    told = machine.journal()
    assert "absent: not started: " in told and "broken: not started: " in told and "notes: started 1.0.0" in told
    machine.shutdown()
    assert "stopped" in (site.state / "services" / SERVICE / "keeper.json").read_text()


def test_a_run_that_waits_for_a_person_waits_on_with_the_new_version_up(make_boot_site, machine):
    site = make_boot_site([Release("1.0.0"), Release("1.1.0")], enable=False,
                          manifest={"migrations": [{"manual": {"text": "Look at it", "when": "after-start"}}]})
    site.ok("start", SERVICE)
    assert site.belay("update", SERVICE, "1.1.0").code == 8
    machine.power_off()
    site.booted()
    assert site.version() == "1.1.0", machine.journal()
    assert site.journal()[-1][0] == "WAIT"
    assert site.belay("accept").code == 0
    site.assert_whole(version="1.1.0")


def test_belay_boot_begins_again_when_it_is_killed(make_boot_site, machine):
    site = make_boot_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "2s", "every": "50ms"}})
    site.ok("start", SERVICE)
    site.ok("update", SERVICE, "1.1.0", "--no-wait")
    machine.power_off()
    machine.boot()
    owners = wait_until(lambda: [p["epoch"] for kind, p in site.journal() if kind == "OWNER"][1:], what="a recovery")
    machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "belay-boot.service")
    wait_until(lambda: site.unit("NRestarts") == "1", what="another belay boot")
    site.boot_done()
    assert site.unit("ActiveState") == "active" and site.journal()[-1][0] == "END", machine.journal()
    assert [p["epoch"] for kind, p in site.journal() if kind == "OWNER"][1:] == owners, "its runner lives on"
    assert site.status()["boot"]["did"] == "run #1, which was interrupted: updated"
    site.assert_whole(version="1.1.0")


def test_services_of_an_ordinary_user(make_boot_site, machine):
    """By the same unit in the user's own systemd, which is started here as for one who lingers."""
    site = make_boot_site([Release("1.0.0")], enable=False)
    site.belay("remove", SERVICE)
    site.dir.chmod(0o755)
    site.dir.parent.chmod(0o755)
    subprocess.run(["chown", "-R", f"{container.USER}:{container.USER}", site.app, site.remote], check=True)
    user = f"user@{container.USER}.service"
    machine.run("systemctl", "start", user)
    machine.run_as_user("belay", "add", site.dir / "belay.yaml")
    assert "--user enable --now belay-boot.service" in machine.run_as_user("belay", "enable", SERVICE).stderr
    machine.run_as_user("systemctl", "--user", "enable", "--now", "belay-boot.service")
    assert "enable-linger" in machine.run_as_user("belay", "enable", SERVICE).stderr
    wait_until(site.health, what="a user's service")
    machine.power_off()
    site.booted()
    assert site.servers() == []
    machine.run("systemctl", "start", user)
    wait_until(site.health, what="a user's service after a boot")
    wait_until(lambda: "started 1.0.0" in machine.run_as_user("belay", "status").stdout, what="the note of the boot")
    machine.run_as_user("systemctl", "--user", "restart", "belay-boot.service")
    assert len(site.servers()) == 1
    machine.shutdown()
    record = machine.tree / "home/shop/.local/state/belay/services" / SERVICE / "keeper.json"
    assert json.loads(record.read_text())["phase"] == "stopped"


# ---- power cuts at every step of runs

def test_a_power_cut_at_any_step_of_an_update(make_boot_site):
    site = make_boot_site([Release("1.0.0"), Release("1.1.0", migrations={"01_note.sql": crashlib.GENTLE})],
                          manifest={"configuration": {"env_file": "app/.env", "set": {"NOTES_LIMIT": "200"}}})
    prepared(site, crashlib.UPDATE)
    done = every_step(site, crashlib.UPDATE)
    assert set(done.values()) >= {"aborted", "succeeded"}


def test_a_power_cut_at_any_step_of_an_update_that_goes_back(make_boot_site):
    scenario = crashlib.FAILS
    site = make_boot_site([Release("1.0.0"), Release("1.1.0", behaviour=scenario.behaviour,
                                                     migrations={"01_note.sql": scenario.migration})])
    prepared(site, scenario)
    done = every_step(site, scenario)
    assert len([step for step, undo in done if undo]) >= 4
    assert set(done.values()) == {"aborted", "rolled_back"}


def test_a_power_cut_at_any_step_of_a_rollback(make_boot_site):
    site = make_boot_site([Release("1.0.0"), Release("1.1.0", migrations={"01_note.sql": crashlib.GENTLE})])
    prepared(site, crashlib.ROLLBACK)
    done = every_step(site, crashlib.ROLLBACK)
    assert "succeeded" in done.values()
