"""A service on a machine that loses its power: a Site whose commands run in a container."""
import contextlib
import json

import belaytest
import container
from belaytest import SERVICE, Process, Result, Site, start_time, wait_until


class BootSite(Site):
    """Its state directory is the machine's /var/lib/belay, its manifest is known there; nothing else is special."""

    def put(self, machine):
        self.machine = machine
        machine.binds += [str(self.dir), f"{self.state}:/var/lib/belay"]
        self.state.mkdir(mode=0o700)

    def belay(self, *args, timeout=60, options=("--yes",), env=None, **_):
        env = {key: str(value) for key, value in {**belaytest.GIT_ENV, **(env or {})}.items()}
        done = self.machine.run("belay", *options, *args, check=False, timeout=timeout, env=env)
        return Result(done.returncode, done.stdout, done.stderr)

    def processes(self, marker=None):
        if self.machine.init is None:
            return []
        found = []
        for pid, command in self.machine.processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                environ = tuple(file.read().decode(errors="replace").split("\0"))
                process = Process(pid, start_time(pid) or 0, command, environ)
                if marker is None or process.marked(marker) is not None:
                    found.append(process)
        return found

    def kill_all(self):
        assert self.machine.init is None, "switch the machine off first"

    def close(self):
        super().close()

    def booted(self):
        """The machine is on, and belay-boot.service has done its work."""
        self.machine.boot()
        self.boot_done()

    def boot_done(self):
        wait_until(lambda: self.unit("SubState") in ("exited", "failed"), 60, 0.05, what="the end of belay-boot")

    def unit(self, name):
        return self.machine.run("systemctl", "show", "--value", "-p", name, "belay-boot.service").stdout.strip()

    def status(self):
        return json.loads(self.ok("status", "--json", SERVICE).out)[0]


@contextlib.contextmanager
def machine_of(ground):
    _, tree, read_only = ground
    with container.Machine(tree, read_only) as machine:
        yield machine
