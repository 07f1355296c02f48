"""Wall time of the commands that people and scripts call most, and of an empty program beside them."""
import os
import time

from measure import belaytest
from cost import make_site, spawn


def wall(command, environment, directory):
    began = time.perf_counter()
    pid = spawn(command, environment, directory, True)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    took = time.perf_counter() - began
    assert status == 0, f"{' '.join(command)}: exit {status}"
    return took


SERVICES = 1000


def know_many(site):
    """Makes a thousand services known, as links to one manifest, and as many runs."""
    known = site.dir / "many" / "services.d"
    known.mkdir(parents=True)
    for n in range(SERVICES):
        (known / f"service-{n}.yaml").symlink_to(site.dir / "belay.yaml")
        (site.dir / "many" / "state" / "runs" / str(n + 1)).mkdir(parents=True)
    return {"BELAY_CONFIG": str(site.dir / "many"), "BELAY_STATE": str(site.dir / "many" / "state")}


def run(options):
    site = make_site(options.directory, 1)
    environment = {**site.environment(), **know_many(site)}
    commands = {
        "belay version": site.command("version", options=()),
        "belay status notes": site.command("status", belaytest.SERVICE, options=()),
        f"belay list, {SERVICES} services": [str(belaytest.BELAY), "list"],
        f"tabulator after belay update, {SERVICES} services":
            [str(belaytest.BELAY), "__complete", "--", "update", ""],
        f"tabulator after belay show, {SERVICES} runs": [str(belaytest.BELAY), "__complete", "--", "show", ""],
        "/bin/true": ["/bin/true"],
    }
    try:
        site.start()
        for command in commands.values():       # once unmeasured: what is read from disk is read
            wall(command, environment, site.dir)
        return {name: [wall(command, environment, site.dir) for _ in range(options.command_repeat)]
                for name, command in commands.items()}
    finally:
        site.close()
