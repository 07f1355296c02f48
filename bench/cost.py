"""What Belay itself costs in an update with a no-op manifest: processor time of its command, runner, keeper and
helpers, without git and the service; and the memory of the largest of its processes.

This process is made the one that inherits orphans, so that every process of the update is waited for
here in the end, with what it and its own waited-for children used. git is called through git_meter,
whose notes are taken off. The keeper lives on: it is read before and after. What remains is the helper that
turns into the service, which nobody waits for: it is measured by itself and added.
"""
import ctypes
import os
import pathlib
import threading
import time

from measure import BUILD, belaytest, middle

BENCH = BUILD / "bench"
PR_SET_CHILD_SUBREAPER = 36
MEMORY = "/dev/shm"


def become_reaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def make_site(base, releases):
    tags = [belaytest.Release(f"1.{n}.0") for n in range(releases)]
    site = belaytest.Site(tags, base=base)
    url = f"http://127.0.0.1:{site.port}/health"
    site.manifest.update({
        "backup": {"contents": []},
        "checks": [{"http": {"url": url, "interval": "20ms"}}],
        "monitor": {"for": "0s"},
    })
    for key in ("migrations", "configuration", "installed"):
        del site.manifest[key]
    site.write_manifest()
    return site


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def keepers(site):
    """{pid: seconds of processor time so far}"""
    found = {}
    for process in site.processes():
        words = command_of(process.pid)
        if len(words) > 1 and os.path.basename(words[0]) == "belay" and "keeper" in words[1:]:
            with open(f"/proc/{process.pid}/schedstat", encoding="ascii") as file:
                found[process.pid] = int(file.read().split()[0]) / 1e9
    return found


def used(usage):
    return usage.ru_utime + usage.ru_stime


def spawn(command, environment, directory, quiet):
    """The pid of a process with no more than this one's signals; posix_spawn, so that nothing is copied."""
    here = os.getcwd()
    os.chdir(directory)
    try:
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        if quiet:
            actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
        return os.posix_spawn(command[0], command, environment, file_actions=actions)
    finally:
        os.chdir(here)


def reap_update(pid, spare):
    """(its exit status, seconds of it and of all that outlived it); the processes of `spare` live on."""
    status, total = None, 0.0
    last = time.monotonic()
    while True:
        try:
            got, code, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return status, total
        if got:
            last = time.monotonic()
            total += used(usage)
            if got == pid:
                status = os.waitstatus_to_exitcode(code)
        elif status is not None and time.monotonic() - last > 0.3:
            return status, total
        else:
            time.sleep(0.001)


class Memory(threading.Thread):
    """The highest resident size that any process of Belay's had; looks every millisecond."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.peak, self.of = site, 0, ""
        self._end = threading.Event()

    def _look(self):
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            words = command_of(entry)
            name = os.path.basename(words[0]) if words else ""
            if name not in ("belay", "belay-exec"):
                continue
            try:
                with open(f"/proc/{entry}/status", encoding="utf-8") as file:
                    lines = dict(line.split(":", 1) for line in file if ":" in line)
            except OSError:
                continue
            peak = int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
            if peak > self.peak:
                verbs = [w for w in words[1:] if w in ("runner", "keeper", "update", "resume")]
                self.peak, self.of = peak, " ".join([name, *verbs[:1]])

    def run(self):
        while not self._end.is_set():
            self._look()
            time.sleep(0.001)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()


def helper_cost():
    """Seconds for a helper that becomes the program, beyond what the program takes."""
    def once(command):
        pid = spawn(command, {}, "/", True)
        return used(os.wait4(pid, 0)[2])
    helper = str(BUILD / "belay-exec")
    with_it = middle([once([helper, "--replace", "--", "/bin/true"]) for _ in range(30)])
    without = middle([once(["/bin/true"]) for _ in range(30)])
    return max(0.0, with_it - without)


def git_cost():
    path = BENCH / "git.cost"
    total = sum(int(line) for line in path.read_text().split()) / 1e6 if path.exists() else 0.0
    path.unlink(missing_ok=True)
    return total


def forget_the_dead():
    """What ended before is not part of what is measured next."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def update(site, version, environment):
    """Seconds of Belay's own in one update."""
    git_cost()
    forget_the_dead()
    before = keepers(site)
    command = site.command("--quiet", "update", belaytest.SERVICE, version)
    pid = spawn(command, environment, site.dir, False)
    status, total = reap_update(pid, before)
    assert status == 0, f"belay update {version}: exit {status}"
    after = keepers(site)
    git = git_cost()
    assert git > 0, "git was not called through the meter"
    total += sum(seconds - before.get(keeper, 0.0) for keeper, seconds in after.items())
    return total - git, git


def measure(base, repeat, helper):
    site = make_site(base, repeat * 2 + 1)
    environment = site.environment()
    environment["PATH"] = f"{BENCH / 'bin'}:{environment['PATH']}"
    own, git = [], []
    try:
        site.start()
        for n in range(1, repeat + 1):
            cost, its = update(site, f"1.{n}.0", environment)
            own.append(cost + helper)
            git.append(its)
        with Memory(site) as memory:
            for n in range(repeat + 1, repeat * 2 + 1):
                site.ok("update", belaytest.SERVICE, f"1.{n}.0")
    finally:
        site.close()
    return {"own": own, "git": git, "peak": memory.peak, "peak_of": memory.of}


def run(options):
    """On the disk, and in memory: the difference is what the disk's file system costs the processor."""
    become_reaper()
    helper = helper_cost()
    results = {"disk": measure(options.directory, options.cost_repeat, helper)}
    if os.access(MEMORY, os.W_OK):
        results["memory"] = measure(MEMORY, options.cost_repeat, helper)
    return results
