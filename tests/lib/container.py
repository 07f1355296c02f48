"""A machine that can lose its power: systemd in a container of systemd-nspawn, on a tree of its own.

    with container.Machine(tree, binds=[site.dir]) as machine:
        machine.boot()
        machine.run("belay", "list")
        machine.power_off()         # SIGKILL to its pid 1: the kernel ends all, nobody is told
        machine.boot()
        machine.shutdown()          # in order, as `poweroff` does

The tree is made by host_tree(): /usr is this machine's own, read-only, and all else is new; or by
debootstrap_tree(): Debian as its installer makes it. Needs root.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import belaytest
from belaytest import BUILD, start_time, wait_until

COPIED = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "nsswitch.conf", "ssl/openssl.cnf"]
PACKAGES = ("systemd,systemd-sysv,git,libjansson4,libyaml-0-2,libsqlite3-0,libssl3,libzstd1,libcurl4,python3")
BOOT_LIMIT = 60
USER = 1500


def why_not():
    """Why no container can be run here, or None."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = [p for p in ("systemd-nspawn", "unshare", "nsenter") if not shutil.which(p)]
    return f"{', '.join(missing)}: not installed" if missing else None


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def host_tree(tree):
    """A root whose /usr is that of this machine: made in no time, and nothing is downloaded."""
    for name in ("usr", "etc", "var/lib", "var/log/journal", "var/tmp", "root", "dev", "proc", "sys", "run", "tmp",
                 "work", "home"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.lexists(f"/usr/{name}"):
            (tree / name).symlink_to(f"usr/{name}")
    _write(tree / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
           "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n")
    _write(tree / "etc/group", "root:x:0:\nnogroup:x:65534:\n")
    for name in COPIED:
        source, target = pathlib.Path("/etc", name), tree / "etc" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            shutil.copy2(source, target)
    shutil.copy2("/usr/lib/os-release", tree / "etc/os-release")
    return ["/usr"]


def debootstrap_tree(tree, mirror="http://deb.debian.org/debian"):
    done = subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree), mirror],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return []


def settle(tree):
    """What both kinds of tree get: a name, no first boot, nothing that waits for a network of its own; and an
    ordinary user, whose systemd is started without a login."""
    with open(tree / "etc/passwd", "a", encoding="utf-8") as users, \
            open(tree / "etc/group", "a", encoding="utf-8") as groups:
        users.write(f"shop:x:{USER}:{USER}::/home/shop:/bin/sh\n")
        groups.write(f"shop:x:{USER}:\n")
    (tree / "home/shop").mkdir(parents=True)
    os.chown(tree / "home/shop", USER, USER)
    for name in ("systemd-user", "other"):
        _write(tree / "etc/pam.d" / name, "".join(f"{kind} required pam_permit.so\n"
                                                   for kind in ("auth", "account", "session")))
    # With the first version of cgroups nobody tells a container's systemd that one has become empty: it waits.
    _write(tree / f"etc/systemd/system/user@{USER}.service.d/test.conf",
           f"[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/{USER}\nTimeoutStopSec=3s\n")
    _write(tree / "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    _write(tree / "etc/hostname", "belay-test\n")
    _write(tree / "etc/systemd/journald.conf.d/sync.conf", "[Journal]\nStorage=persistent\nSyncIntervalSec=0\n")
    units = tree / "etc/systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    for unit in ("console-getty.service", "systemd-networkd-wait-online.service", "apt-daily.timer",
                 "apt-daily-upgrade.timer", "e2scrub_all.timer", "systemd-logind.service", "networking.service"):
        if not (units / unit).is_symlink():
            (units / unit).symlink_to("/dev/null")
    default = units / "default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/usr/lib/systemd/system/multi-user.target")


def install(tree):
    """`make install` of the build under test into the tree."""
    done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet"],
                          env={**os.environ, "DESTDIR": str(tree)}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


class Machine:
    def __init__(self, tree, read_only=(), binds=()):
        self.tree, self.read_only, self.binds = pathlib.Path(tree), list(read_only), list(binds)
        self.nspawn = self.init = self.init_started = None

    def command(self):
        # A host without a manager of machines: nothing is registered, and /run is nobody else's.
        options = [f"--bind-ro={path}" for path in self.read_only] + [f"--bind={path}" for path in self.binds]
        return ["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount -t tmpfs tmpfs /run && exec "$@"', "sh",
                "systemd-nspawn", "-q", "-D", str(self.tree), "-b", "--register=no", "--keep-unit",
                "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=read-only", *options]

    def boot(self):
        assert self.nspawn is None
        self.nspawn = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.init = wait_until(self._find_init, BOOT_LIMIT, what="the container's pid 1")
        self.init_started = start_time(self.init)
        wait_until(self._answers, BOOT_LIMIT, what="a systemd that answers")

    def _find_init(self):
        assert self.nspawn.poll() is None, self.nspawn.stdout.read().decode(errors="replace")
        todo = [self.nspawn.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    todo += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                if len(numbers) > 1 and numbers[-1] == "1" and name == "systemd":
                    return pid
        return None

    def _answers(self):
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "starting", "running", "degraded")

    def run(self, *command, check=True, timeout=60, env=None):
        """A command in the container, as root, outside of any unit."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
            env={"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/root",
                 "LC_ALL": "C.UTF-8", **(env or {})}, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def run_as_user(self, *command, **more):
        return self.run("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command,
                        env={"HOME": "/home/shop", "USER": "shop", "XDG_RUNTIME_DIR": f"/run/user/{USER}",
                             **belaytest.GIT_ENV}, **more)

    def start(self, *command, env=None):
        """The same without waiting."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", **(env or {})})

    def processes(self):
        """[(pid, command line)] of all that lives in it."""
        found = []
        own = os.readlink(f"/proc/{self.init}/ns/pid")
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/pid") == own and start_time(entry) is not None:
                    command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace")
                    found.append((int(entry), command.replace("\0", " ").strip()))
        return found

    def _gone(self):
        self.nspawn.communicate(timeout=BOOT_LIMIT)
        self.nspawn = self.init = None

    def power_off(self):
        os.kill(self.init, signal.SIGKILL)
        self._gone()

    def shutdown(self):
        os.kill(self.init, signal.SIGRTMIN + 4)
        self._gone()

    def journal(self, unit="belay-boot.service"):
        return self.run("journalctl", "-b", "-u", unit, "-o", "cat", "--no-pager").stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.nspawn is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.init and start_time(self.init) == self.init_started:
                os.kill(self.init, signal.SIGKILL)
            else:
                self.nspawn.kill()
        self._gone()


