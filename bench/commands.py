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


def run(options):
    site = make_site(options.directory, 1)
    environment = site.environment()
    commands = {
        "belay version": site.command("version", options=()),
        "belay status notes": site.command("status", belaytest.SERVICE, options=()),
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
