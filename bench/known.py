"""Many services known, each with a run: `list`, `status` and `runs`, with the index and without it."""
import json
import os
import pathlib
import shutil
import subprocess
import time

from measure import BUILD, belaytest
from cost import make_site
from commands import wall


def crc32c(text):
    """Of the journal's lines; the one it was copied from says whether this is right."""
    value = 0xFFFFFFFF
    for byte in text:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def rename_run(journal, name):
    """The journal of a run as it would be, had it been one of the service `name`."""
    head, rest = journal.split(b"\n", 1)
    checksum, body = head.split(b" ", 1)
    assert int(checksum, 16) == crc32c(body)
    body = body.replace(b'"service":"notes"', b'"service":"%s"' % name.encode(), 1)
    return b"%08x %s\n%s" % (crc32c(body), body, rest)


def add_services(site, count):
    registry = site.dir / "config" / "services.d"
    registry.mkdir(parents=True)
    manifest = (site.dir / "belay.yaml").read_text()
    journal = (site.state / "runs" / "1" / "journal").read_bytes().rstrip(b"\0")
    for number in range(count):
        name = f"service-{number:04d}"
        where = site.dir / "services" / name
        shutil.copytree(site.app, where / "app", symlinks=True, copy_function=os.link)
        (where / "belay.yaml").write_text(manifest.replace("service: notes", f"service: {name}"))
        (registry / f"{name}.yaml").symlink_to(where / "belay.yaml")
        run = site.state / "runs" / str(number + 2)
        run.mkdir()
        (run / "journal").write_bytes(rename_run(journal, name))


def run_commands(site, repeat):
    environment = site.environment()
    belay = [str(BUILD / "belay"), "--state", str(site.state)]
    commands = {
        "belay list": [*belay, "list"],
        "ls -l of the registry": ["/bin/ls", "-l", str(site.dir / "config" / "services.d")],
        "belay status": [*belay, "status"],
        "belay runs --all": [*belay, "runs", "--all"],
        "belay report --since 7d": [*belay, "report", "--since", "7d"],
    }
    times = {}
    for name, command in commands.items():
        wall(command, environment, site.dir)
        times[name] = [wall(command, environment, site.dir) for _ in range(repeat)]
    index = pathlib.Path(site.state, "belay.db")
    for name in ("belay status", "belay runs --all"):
        times[f"{name}, the index made"] = []
        for _ in range(repeat):
            index.unlink(missing_ok=True)
            times[f"{name}, the index made"].append(wall(commands[name], environment, site.dir))
    return times


def journal_appends(directory, rounds, appends):
    done = subprocess.run([str(BUILD / "bench" / "journal_appends"), str(directory), str(rounds), str(appends)],
                          check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def run(options):
    site = make_site(options.directory, 2)
    count = 50 if options.quick else 1000
    try:
        site.start()
        site.ok("update", belaytest.SERVICE, "v1.1.0")
        site.ok("stop", belaytest.SERVICE)
        began = time.perf_counter()
        add_services(site, count)
        return {"services": count, "set_up": time.perf_counter() - began,
                "times": run_commands(site, 3 if options.quick else 11),
                "journal": journal_appends(options.directory, 3 if options.quick else 9,
                                           100 if options.quick else 1000)}
    finally:
        site.close()
