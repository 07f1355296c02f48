"""What install and build make, in place and in releases; and branches that are followed."""
import json
import os
import pathlib
import shutil
import subprocess
import zipfile


import pytest

from belaytest import Release, SERVICE, Site, git, wait_until
from madelib import MadeSite, ReleasesSite

NOTED_C = pathlib.Path(__file__).resolve().parents[1] / "lib" / "noted" / "noted.c"


def manifest(**source):
    return {"source": {"git": {"directory": "app", **source}}}


def link(site, name):
    return os.readlink(site.app / name)


def output(site, name):
    return (site.state / "runs" / str(site.runs()[-1]) / "output" / f"{name}.txt").read_text()


def nothing_lost(site, writer, bad="1.2.0"):
    """What a version that was taken back had acknowledged may be in salvage instead."""
    lost = {n: by for n, (_, by) in writer.acknowledged.items() if n not in site.rows_live()}
    assert set(lost.values()) <= {bad}, lost
    assert set(lost) <= site.rows_in_salvage()


# ---- three kinds of artifacts

MAKEFILE = "server: noted.c\n\tcc -O0 -D_GNU_SOURCE -o server noted.c -lsqlite3\n"


def with_program(site):
    command = site.manifest["runtime"]["process"]["command"]
    site.manifest["runtime"]["process"]["command"] = ["./server", *command[1:]]
    site.write_manifest()
    subprocess.run(["make", "-s"], cwd=site.app, check=True)


def test_a_compiled_program(make_site):
    site = make_site([Release("1.0.0", files={"Makefile": MAKEFILE, "noted.c": NOTED_C.read_text()}),
                      Release("1.1.0"), Release("1.2.0", "bad-health")],
                     manifest=manifest(build=["make"], artifacts=["server"]))
    with_program(site)
    site.start()
    mine = (site.app / "server").stat().st_ino
    with site.writer() as writer:
        writer.wait_for(5)
        site.ok("update", SERVICE, "1.1.0")
        new = site.commit_of("v1.1.0")[:12]
        assert link(site, "server") == f"server.{new}"
        assert site.version() == "1.1.0"
        assert git(site.app, "status", "--porcelain") == ""
        assert site.belay("update", SERVICE, "1.2.0").code == 3
        assert link(site, "server") == f"server.{new}" and site.version() == "1.1.0"
        assert sorted(p.name for p in site.app.glob("server*")) == sorted(
            ["server", f"server.{new}", f"server.{site.commit_of('v1.0.0')[:12]}"])
        writer.wait_for(5)
        # What was there before Belay came is what the rollback goes back to, without making it again.
        site.ok("rollback", SERVICE)
        assert site.version() == "1.0.0"
        assert (site.app / "server").stat().st_ino == mine
        assert not (site.state / "runs" / str(site.runs()[-1]) / "output" / "build.txt").exists()
    nothing_lost(site, writer)


SHOP = """\
import http.server, json, sqlite3, sys
from importlib import metadata

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "ok", "version": metadata.version("shop"), "prefix": sys.prefix}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

def main():
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def wheel(directory, version):
    """A package as an index would hand it out; nothing has to be built of it."""
    directory.mkdir(exist_ok=True)
    for old in directory.glob("*.whl"):
        old.unlink()
    info = f"shop-{version}.dist-info"
    files = {"shop/__init__.py": SHOP,
             f"{info}/METADATA": f"Metadata-Version: 2.1\nName: shop\nVersion: {version}\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
             f"{info}/entry_points.txt": "[console_scripts]\nshop = shop:main\n"}
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(directory / f"shop-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


VENV = ["python3", "-m", "venv", ".venv"]
PIP = [".venv/bin/pip", "install", "--no-index", "--disable-pip-version-check", "--find-links", "wheels", "shop"]


def by_hand(app):
    """What VENV and PIP come to, in a tenth of the time."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", ".venv"], cwd=app, check=True)
    packages, = app.glob(".venv/lib/python3*/site-packages")
    with zipfile.ZipFile(next(app.glob("wheels/*.whl"))) as archive:
        archive.extractall(packages)
    script = app / ".venv" / "bin" / "shop"
    script.write_text(f"#!{app}/.venv/bin/python3\nfrom shop import main\nmain()\n")
    script.chmod(0o755)


class Shop(Site):
    """A Python service whose program is a script of its environment: its first line names that by its full path."""

    def publish(self, release):
        wheel(self.dir / "upstream" / "wheels", release.version)
        super().publish(release)

    def default_manifest(self, journal, noted_args):
        plain = super().default_manifest(journal, noted_args)
        plain["runtime"]["process"]["command"] = [".venv/bin/shop", "${port}"]
        plain["start"] = {"timeout": "20s"}
        del plain["migrations"]
        return plain


def test_a_python_environment():
    site = Shop([Release("1.0.0"), Release("1.1.0")],
                manifest=manifest(install=VENV, build=PIP, artifacts=[".venv"]) | {"backup": {"contents": []}})
    try:
        by_hand(site.app)
        site.start()
        site.ok("update", SERVICE, "1.1.0")
        new = site.commit_of("v1.1.0")[:12]
        assert link(site, ".venv") == f".venv.{new}"
        health = site.health()
        assert health["version"] == "1.1.0"
        assert os.path.realpath(health["prefix"]) == str(site.app / f".venv.{new}")
        assert "Successfully installed shop-1.1.0" in output(site, "build")
        assert git(site.app, "status", "--porcelain") == ""
        site.ok("rollback", SERVICE)
        assert site.version() == "1.0.0"
        assert link(site, ".venv") == f".venv.{site.commit_of('v1.0.0')[:12]}"
        assert not (site.state / "runs" / str(site.runs()[-1]) / "output" / "build.txt").exists()
    finally:
        site.close()


# npm is on few machines; where it is not, make does what it does: it removes what is called node_modules,
# also when that is a link, and makes a directory of that name.
NPM = shutil.which("npm", path="/usr/local/bin:/usr/bin:/bin")
CI = ["npm", "ci", "--offline", "--no-audit", "--no-fund"] if NPM else ["make", "-s", "node_modules"]


def package(version):
    lock = {"name": "app", "lockfileVersion": 3, "requires": True, "packages": {
        "": {"name": "app", "dependencies": {"left": "file:left"}},
        "left": {"version": version},
        "node_modules/left": {"resolved": "left", "link": True}}}
    return {"package.json": json.dumps({"name": "app", "private": True, "dependencies": {"left": "file:left"}}),
            "package-lock.json": json.dumps(lock),
            "left/package.json": json.dumps({"name": "left", "version": version}),
            "Makefile": ".PHONY: node_modules\nnode_modules:\n\trm -rf node_modules\n\tmkdir node_modules\n"
                        "\tln -s ../left node_modules/left\n\ttouch node_modules/.package-lock.json\n"}


def test_node_modules(make_site):
    site = make_site([Release("1.0.0", files=package("1.0.0")), Release("1.1.0", files=package("1.1.0")),
                      Release("1.2.0", "bad-health", files=package("1.2.0"))],
                     manifest=manifest(install=CI, artifacts=["node_modules"]))
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    new = site.commit_of("v1.1.0")[:12]
    assert link(site, "node_modules") == f"node_modules.{new}"
    assert '"1.1.0"' in (site.app / "node_modules" / "left" / "package.json").read_text()
    assert (site.app / "node_modules" / ".package-lock.json").exists()
    assert site.belay("update", SERVICE, "1.2.0").code == 3
    assert link(site, "node_modules") == f"node_modules.{new}"
    assert len(list(site.app.glob("node_modules*"))) == 2
    assert site.version() == "1.1.0" and git(site.app, "status", "--porcelain") == ""


# ---- install and build themselves

NOTE = """\
import os, pathlib
pathlib.Path("dist").mkdir()
pathlib.Path("dist/made").write_text("\\n".join([
    os.getcwd(), os.environ["COMPOSE_PROJECT_NAME"], os.environ["BELAY_VERSION"],
    os.environ["BELAY_PREVIOUS_VERSION"], os.environ["BELAY_RUN"], str(os.getuid()),
    os.environ.get("NOTES_LIMIT", "not told")]))
print("a long way; token=abcdefgh12345678")
"""


def test_what_install_is_told(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", files={"make.py": NOTE})],
                     manifest=manifest(install=["python3", "make.py"], artifacts=["dist"]))
    site.start()
    plan = site.ok("plan", SERVICE, "1.1.0").out
    assert "install: python3 make.py" in plan, plan
    assert not (site.app / "dist").exists() and not (site.app / ".belay").exists()
    site.ok("update", SERVICE, "1.1.0")
    cwd, project, version, previous, run, uid, setting = (site.app / "dist/made").read_text().split("\n")
    assert pathlib.Path(cwd) != site.app
    assert (project, version, previous, uid) == (SERVICE, "1.1.0", "1.0.0", str(os.getuid()))
    assert run and setting == "not told"
    assert "a long way" in output(site, "install") and "abcdefgh" not in output(site, "install")
    explained = site.ok("plan", SERVICE, "1.1.0", "--explain", "--reinstall").out
    assert "source.git.install" in explained and "source.git.timeout" in explained


def test_a_failed_install_changes_nothing(make_site):
    broken = "import sys\nprint('x' * 10)\nsys.exit('left-pad 9 is nowhere to be found')\n"
    site = make_site([Release("1.0.0"), Release("1.1.0", files={"make.py": broken})],
                     manifest=manifest(install=["python3", "make.py"], artifacts=["dist"]))
    site.start()
    before = site.servers()
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 1, result
    assert "left-pad 9 is nowhere to be found" in result.err and "exited with 1" in result.err
    assert "belay logs notes --run 1" in result.err
    logged = site.ok("logs", "--run", "1").out
    assert logged.startswith("== install\n") and "xxxxxxxxxx" in logged and "left-pad 9" in logged
    assert "left-pad 9" in output(site, "install")
    assert site.servers() == before
    assert site.leftovers() == []
    assert not (site.app / ".git" / "worktrees").exists()
    site.assert_whole(version="1.0.0")
    # Nobody is told that the version is bad: it never ran.
    assert "remembered as bad" not in site.belay("plan", SERVICE, "1.1.0").out


def test_an_install_that_hangs_is_cancelled(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", files={"make.py": "import time\ntime.sleep(600)\n"})],
                     manifest=manifest(install=["python3", "make.py"], artifacts=["dist"]))
    site.start()
    update = site.belay_start("update", SERVICE, "1.1.0")
    wait_until(lambda: any("make.py" in p.command for p in site.processes("BELAY_RUN")), what="the install")
    cancelled = site.belay("cancel", str(site.runs()[-1]))
    out, err = update.communicate(timeout=30)
    assert cancelled.code in (0, 3), cancelled
    assert update.returncode in (1, 3, 130), out + err
    assert not any("make.py" in p.command for p in site.processes())
    assert site.leftovers() == []
    site.assert_whole(version="1.0.0")


# ---- releases

CWD = "import os\nopen('cwd.txt', 'w').write(os.getcwd())\n"
ADD = {"01_note.sql": "ALTER TABLE row ADD COLUMN note TEXT;\n"}


def released(make_site, releases, **more):
    """A plain checkout whose data a person has moved to shared/, as the hint says."""
    site = make_site(releases, manifest=manifest(layout="releases", shared=["data"], **more) | {
        "backup": {"contents": [{"sqlite": "app/shared/data/notes.db"}]},
        "migrations": [{"sql": {"files": "migrations/*.sql", "database": "data/notes.db"}},
                       {"scripts": {"files": "scripts/*.py", "run_with": ["python3"]}}]})
    refused = site.belay("update", SERVICE, "1.1.0")
    assert refused.code == 6 and "shared/data' is not there" in refused.err, refused
    assert "mkdir -p shared && mv data shared/data" in refused.err
    (site.app / "shared").mkdir()
    (site.app / "data").rename(site.app / "shared" / "data")
    (site.app / "data").symlink_to("shared/data")
    site.start()
    return site


def cwd_of(site):
    server, = site.servers()
    return os.readlink(f"/proc/{server.pid}/cwd")


def test_releases_from_a_plain_checkout_on(make_site):
    site = released(make_site, [
        Release("1.0.0"), Release("1.1.0", migrations=ADD, files={"scripts/cwd.py": CWD}),
        Release("1.2.0"), Release("1.3.0", "bad-health")],
        install=["python3", "-c", "open('made', 'w').write('${version}')"], artifacts=["made"])
    assert cwd_of(site) == str(site.app)
    with site.writer() as writer:
        writer.wait_for(5)
        site.ok("update", SERVICE, "1.1.0")
        release = site.app / "releases" / "1.1.0"
        assert link(site, "current") == "releases/1.1.0"
        assert cwd_of(site) == str(release)
        assert (release / "made").read_text() == "1.1.0"
        assert (release / "cwd.txt").read_text() == str(release)
        assert os.path.realpath(release / "data") == str(site.app / "shared" / "data")
        assert git(release, "status", "--porcelain") == "?? cwd.txt"
        assert git(site.app, "status", "--porcelain") == ""
        writer.wait_for(5)
        site.ok("update", SERVICE, "1.2.0")
        assert link(site, "current") == "releases/1.2.0" and cwd_of(site).endswith("/releases/1.2.0")
        assert site.belay("update", SERVICE, "1.3.0").code == 3
        assert link(site, "current") == "releases/1.2.0" and site.version() == "1.2.0"
        assert sorted(p.name for p in (site.app / "releases").iterdir()) == ["1.1.0", "1.2.0"]
        writer.wait_for(5)
        mark = (site.app / "releases" / "1.1.0" / "made").stat().st_ino
        site.ok("rollback", SERVICE, "--revert")
        assert site.version() == "1.1.0" and cwd_of(site) == str(release)
        assert (release / "made").stat().st_ino == mark
    nothing_lost(site, writer, bad="1.3.0")
    # The service's directory stays where it is when the link moves, also through a restart by its keeper.
    server, = site.servers()
    os.kill(server.pid, 9)
    wait_until(lambda: any(s.pid != server.pid for s in site.servers()), what="a restart")
    wait_until(site.health, what="a healthy service")
    assert cwd_of(site) == str(release)
    assert "1.1.0" in site.ok("status", SERVICE).out


def test_a_first_release_that_fails_leaves_the_plain_checkout(make_site):
    site = released(make_site, [Release("1.0.0"), Release("1.1.0", "bad-health")])
    assert site.belay("update", SERVICE, "1.1.0").code == 3
    assert not (site.app / "current").is_symlink() and not (site.app / "releases").exists()
    assert cwd_of(site) == str(site.app)
    site.ok("verify", SERVICE)
    assert site.version() == "1.0.0"


@pytest.mark.parametrize("kind", [MadeSite, ReleasesSite])
def test_what_is_made_is_rehearsed_too(kind):
    site = kind([Release("1.0.0"), Release("1.1.0")], manifest={"rehearse": "auto"})
    try:
        site.start()
        site.ok("rehearse", SERVICE, "1.1.0")
        assert site.leftovers() == []
        site.ok("update", SERVICE, "1.1.0")
        site.assert_whole(version="1.1.0")
    finally:
        site.close()


# ---- a branch that is followed

def push(site, version, force=False):
    upstream = site.dir / "upstream"
    (upstream / "VERSION").write_text(version + "\n")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-q", "--allow-empty", "-m", version)
    git(upstream, "push", "-q", *(["--force"] if force else []), "origin", "main")
    return git(upstream, "rev-parse", "HEAD")


def head(site):
    return git(site.app, "rev-parse", "HEAD")


def test_a_branch_is_followed(make_site):
    """And G09: force-pushed, set back, with commits of its own."""
    site = make_site([Release("1.0.0")], manifest=manifest(branch="main") | {
        "checks": [{"http": {"url": "http://127.0.0.1:${port}/health", "interval": "20ms"}}], "installed": None})
    git(site.app, "checkout", "-q", "main")
    site.start()
    first = head(site)
    second = push(site, "two")
    offered = site.ok("check", SERVICE).out
    assert second[:12] in offered, offered
    site.ok("update", SERVICE)
    assert head(site) == second and site.version() == "two"
    assert git(site.app, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert second[:12] in site.ok("status", SERVICE).out
    again = site.ok("update", SERVICE)
    assert "already" in again.out, again.out

    upstream = site.dir / "upstream"
    git(upstream, "reset", "-q", "--hard", first)
    third = push(site, "three", force=True)
    refused = site.belay("update", SERVICE)
    assert refused.code == 6 and "was force-pushed" in refused.err and "--even-if-bad" in refused.err, refused
    assert head(site) == second and site.version() == "two"
    site.ok("update", SERVICE, "--even-if-bad")
    assert head(site) == third and site.version() == "three"
    site.ok("rollback", SERVICE)
    assert head(site) == second and site.version() == "two"

    git(upstream, "reset", "-q", "--hard", first)
    git(upstream, "push", "-q", "--force", "origin", "main")
    refused = site.belay("update", SERVICE)
    assert refused.code == 6 and "was set back" in refused.err, refused

    (site.app / "mine").write_text("mine\n")
    git(site.app, "add", "mine")
    git(site.app, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", "mine")
    refused = site.belay("update", SERVICE, "--even-if-bad")
    assert refused.code == 6 and "has commits here that its remote has not" in refused.err, refused


def test_a_branch_in_releases(make_site):
    site = released(make_site, [Release("1.0.0"), Release("1.1.0")])
    site.manifest["source"]["git"]["branch"] = "main"
    site.manifest["checks"] = []
    site.manifest.pop("installed")
    site.write_manifest()
    new = push(site, "two")
    site.ok("update", SERVICE)
    assert link(site, "current") == f"releases/{new[:12]}"
    assert site.version() == "two"
    site.ok("rollback", SERVICE)
    assert site.version() == "1.0.0"
