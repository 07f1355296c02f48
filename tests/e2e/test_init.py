"""belay init: a manifest out of what is there. Projects of five shapes; the odd ones; what is refused."""
import json
import os
import shutil
import sqlite3
import stat
import subprocess

import pytest

from belaytest import BELAY, git, wait_until
from projects import SERVER

# Each: the files; the command and its reason that are expected in the manifest.
SHAPES = {
    "procfile": ({"Procfile": "worker: ./w\nweb: SHOP_MODE=fast python3 srv.py --port ${PORT:-%(port)d}\n",
                  "srv.py": SERVER},
                 ["python3", "srv.py", "--port", "${port}"], "process type 'web'"),
    "package-json": ({"package.json": '{"name": "@acme/Shop", "scripts": {"start": "python3 srv.py"}}',
                      "srv.py": SERVER, ".env.example": "PORT=1\n"},
                     ["python3", "srv.py"], "script 'start'"),
    "makefile": ({"Makefile": "PORT ?= %(port)d\n\nrun:\n\tpython3 srv.py --port $(PORT)\n", "srv.py": SERVER},
                 ["make", "--no-print-directory", "run"], "target 'run'"),
    "python-package": ({"pyproject.toml": '[project]\nname = "Shop"\n', "shop/__main__.py": SERVER},
                       ["python3", "-m", "shop"], "shop/__main__.py"),
    "executable": ({"shopd": "#!/usr/bin/python3\n" + SERVER, "README": "x"}, ["./shopd"], "only executable file"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_project_of_each_shape_updates_with_what_init_wrote(make_project, shape):
    files, command, why = SHAPES[shape]
    project = make_project(files)
    if shape in ("package-json", "executable"):      # what nothing else names: the port
        (project.app / ".env").write_text(f"PORT={project.port}\nSHOP_KEY=hidden-value\n")
    made = json.loads(project.belay("--json", "init").stdout)
    manifest = project.manifest()
    assert manifest["service"] == made["service"] == "shop"
    assert manifest["runtime"]["process"]["command"] == command
    assert manifest["runtime"]["process"]["port"] == project.port
    assert why in project.comments()
    assert "hidden-value" not in (project.app / "belay.yaml").read_text() + str(made)
    before = (project.app / "belay.yaml").read_bytes()
    project.belay("validate")
    project.belay("add")
    project.belay("start", "shop")
    assert project.version() == "1.0.0"
    project.belay("--yes", "update", "shop", "1.1.0", "--no-wait", "--no-rehearsal")
    assert project.version() == "1.1.0"
    assert (project.app / "belay.yaml").read_bytes() == before


@pytest.mark.parametrize("shape", SHAPES)
def test_one_that_runs_is_asked_and_taken_over(make_project, shape):
    files, _, _ = SHAPES[shape]
    project = make_project(files)
    commands = {"python-package": ["python3", "-m", "shop"], "executable": ["./shopd"]}
    hand = project.serve(*commands.get(shape, ["python3", "srv.py"]), PORT=str(project.port), SHOP_MODE="slow",
                         SHOP_KEY="hidden-value", SHOP_PORT=str(project.port), SHOP_SIZE=str(project.port))
    made = json.loads(project.belay("--json", "init").stdout)
    assert made["running"]["pid"] == hand.pid and made["running"]["can_be_adopted"]
    manifest = project.manifest()
    assert manifest["runtime"]["process"]["port"] == project.port
    assert manifest["checks"] == [{"http": {"url": "http://127.0.0.1:${port}/healthz",
                                            "json": {".app.version": "${version}"}}}]
    assert manifest["backup"]["contents"] == [{"path": "data"}]
    # Its settings are kept, but for what may be secret: that is named and nothing more.
    assert manifest["runtime"]["process"]["environment"] == {
        "SHOP_MODE": "slow", "SHOP_PORT": "${port}", "SHOP_SIZE": str(project.port)}
    text = (project.app / "belay.yaml").read_text()
    assert "SHOP_KEY" in text and "hidden-value" not in text
    assert stat.S_IMODE((project.app / "belay.yaml").stat().st_mode) == 0o600
    project.belay("add")
    told = project.belay("start", "shop").stdout
    assert f"pid {hand.pid}" in told and "not restarted" in told
    assert hand.poll() is None
    assert json.loads(project.belay("--json", "start", "shop").stdout)["pid"] == hand.pid


# A server in C as many are: made by a Makefile that does not start it, it serves another directory and works there.
SHOPD = r'''
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
#include "page.h"
static const char page[] =
        "HTTP/1.0 200 OK\r\n\r\n{\"ok\": true, \"app\": {\"version\": \"" VERSION "\"}}";
int main(int argc, char **argv) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        if (argc < 3 || chdir(argv[2]) < 0)
                return 2;
        at.sin_port = htons((unsigned short)atoi(argv[1]));
        setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 9) < 0)
                return 1;
        for (;;) {
                char room[4096];
                int one = accept(listening, NULL, NULL);
                if (read(one, room, sizeof(room)) > 0)
                        (void)!write(one, page, sizeof(page) - 1);
                close(one);
        }
}
'''
COMPILED = {"shopd.c": SHOPD, ".gitignore": "*.o\n/shopd\npage.h\nbelay.yaml\n",
            "contrib/rpm/shopd.init": "#!/bin/sh\n./shopd start\n",
            "Makefile": "shopd: shopd.o\n\tcc -o $@ shopd.o\nshopd.o: shopd.c page.h\n\tcc -c shopd.c\n"
                        "page.h: VERSION\n\tsed 's/.*/#define VERSION \"&\"/' VERSION > page.h\n"}


@pytest.mark.parametrize("inside", [False, True])
def test_a_compiled_server_that_works_elsewhere_is_taken_over_and_updated(make_project, inside):
    project = make_project(COMPILED, name="shopd")
    # Not made yet: nothing here is the service, least of all a script for another system.
    assert "If `make` makes the program" in project.belay("init", code=6).stderr
    subprocess.run(["make", "-s", "shopd"], cwd=project.app, check=True, timeout=60)
    pages = project.app / "pages" if inside else project.dir / "pages"
    pages.mkdir()
    hand = project.serve("./shopd", project.port, pages)
    made = json.loads(project.belay("--json", "init").stdout)
    assert made["running"]["pid"] == hand.pid and made["running"]["can_be_adopted"]
    manifest = project.manifest()
    assert manifest["runtime"]["process"]["command"] == ["./shopd", "${port}", "pages" if inside else str(pages)]
    assert manifest["source"]["git"] == {"build": ["make", "shopd"], "artifacts": ["shopd"]}
    assert manifest.get("backup") == ({"contents": [{"path": "pages"}]} if inside else None)
    project.belay("add")
    assert "not restarted" in project.belay("start", "shopd").stdout
    assert hand.poll() is None
    # The copy is asked the same: its address names the port by ${port}.
    assert "cannot be asked" not in project.belay("plan", "shopd").stdout
    project.belay("--yes", "update", "shopd", "1.1.0", "--no-wait", "--no-rehearsal")
    assert hand.wait(timeout=10) is not None
    assert project.version() == "1.1.0"


@pytest.mark.parametrize("to, url, status", [
    ("/sign/in?return=%%2F", "/sign/in", None),      # what it leads to in the end, without what is of one visit
    ("http://127.0.0.1:%(port)d/in/", "/in/", None),
    ("https://other.example.com/in", "/", 302), ("//other/in", "/", 302), ("/moved", "/", 302),
])
def test_the_page_that_the_first_one_leads_to_is_asked(make_project, to, url, status):
    project = make_project({"srv.py": SERVER.replace("known = self.path", f'''
        if self.path in ("/", "/moved", "/sign"):
            self.send_response(302)
            self.send_header("Location", {{"/": "{to}", "/moved": "/sign"}}.get(self.path, "/moved"))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        known = self.path.startswith(("/in/", "/sign/in")) or self.path'''.lstrip()).replace("/healthz", "/never")})
    project.run("python3", "srv.py", PORT=str(project.port))
    wait_until(lambda: project.answer(path="/in/"), what="an answer of what was started by hand")
    project.belay("init")
    wanted = {"url": "http://127.0.0.1:${port}" + url, **({"status": status} if status else {})}
    (check,) = project.manifest()["checks"]
    assert {key: check["http"].get(key) for key in ("url", "status")} == {"status": None, **wanted}
    project.belay("add")
    assert "not restarted" in project.belay("start", "shop").stdout


def test_a_server_that_was_started_elsewhere_is_named(make_project):
    project = make_project(SHAPES["procfile"][0])
    hand = project.run("python3", project.app / "srv.py", cwd=project.dir, PORT=str(project.port), PWD=str(project.dir))

    def is_named():
        (project.app / "belay.yaml").unlink(missing_ok=True)
        return f"Process {hand.pid} serves and is of this directory" in project.belay("init").stderr
    wait_until(is_named, what="a note of it")
    assert "cannot be taken over" in project.comments()


def test_a_script_that_left_its_directory_is_known_by_the_shell_that_started_it(make_project):
    project = make_project({"srv.py": SERVER.replace("if __name__", "version = pathlib.Path('VERSION').read_text()\n"
                            "pathlib.Path.read_text = lambda *_: version\nos.chdir('/')\nif __name__")})
    hand = project.serve("python3", "srv.py", PORT=str(project.port), PWD=str(project.app))
    assert json.loads(project.belay("--json", "init").stdout)["running"]["pid"] == hand.pid
    assert project.manifest()["runtime"]["process"]["command"] == ["python3", "srv.py"]
    project.belay("add")
    assert "not restarted" in project.belay("start", "shop").stdout
    assert hand.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("home, user", [("root", None), ("nobody", "nobody")])
def test_a_server_that_gave_up_root_is_started_as_root_again(make_project, home, user):
    project = make_project({"srv.py": SERVER.replace("if __name__", "version = pathlib.Path('VERSION').read_text()\n"
                            "pathlib.Path.read_text = lambda *_: version\n"
                            "os.setuid(65534) if os.geteuid() == 0 else None\nif __name__")})
    hand = project.serve("python3", "srv.py", PORT=str(project.port), USER=home)
    assert json.loads(project.belay("--json", "init").stdout)["running"]["pid"] == hand.pid
    assert project.manifest()["runtime"]["process"].get("user") == user
    project.belay("add")
    assert "not restarted" in project.belay("start", "shop").stdout
    assert hand.poll() is None


# -- the odd ones

def test_a_manifest_is_never_overwritten(make_project):
    project = make_project(SHAPES["executable"][0])
    for what in ("text", "link"):
        path = project.app / "belay.yaml"
        path.unlink(missing_ok=True)
        path.write_text("mine") if what == "text" else path.symlink_to("nowhere")
        assert "there is a manifest already" in project.belay("init", code=6).stderr
        assert path.is_symlink() or path.read_text() == "mine"


@pytest.mark.parametrize("where, code, words", [
    ("empty", 6, "in no git checkout"),
    ("missing", 2, "there is no directory"),
    ("file", 2, "there is no directory"),
    ("several", 6, "several checkouts"),
    ("nothing", 6, "says how the service is started"),
])
def test_what_cannot_be_found_out_is_said(make_project, where, code, words):
    project = make_project({"README": "x"})
    (project.dir / "empty").mkdir()
    (project.dir / "file").write_text("x")
    place = {"several": project.dir, "nothing": project.app}.get(where, project.dir / where)
    said = project.belay("init", place, code=code, cwd=project.dir).stderr
    assert words in said
    if where == "nothing":
        assert "runtime: { process: { command:" in said
    told = json.loads(project.belay("--json", "init", place, code=code, cwd=project.dir).stdout)
    assert told["error"]["exit"] == code
    assert not list(project.dir.glob("*/belay.yaml"))


def test_a_directory_with_one_checkout_in_it(make_project):
    project = make_project(SHAPES["procfile"][0])
    home = project.dir / "home"
    home.mkdir()
    project.app.rename(home / "shop")
    project.belay("init", home, cwd=project.dir)
    manifest = project.manifest(home)
    assert manifest["runtime"]["process"]["directory"] == manifest["source"]["git"]["directory"] == "shop"
    project.belay("validate", home / "belay.yaml", cwd=home)


def test_a_repository_of_several_parts(make_project):
    project = make_project({"web/package.json": '{"scripts": {"start": "python3 x.py"}}', "web/x.py": "",
                            "server/app.py": SERVER, "server/data/.gitkeep": "", "tools/run.py": SERVER})
    (project.app / "server/data").mkdir(exist_ok=True)
    sqlite3.connect(project.app / "server/data/shop.db").execute("CREATE TABLE a (b)").connection.close()
    project.belay("init")
    manifest = project.manifest()
    assert manifest["runtime"]["process"]["directory"] == "server"
    assert manifest["source"]["git"]["directory"] == "."
    assert "tools, web" in project.comments()
    assert manifest["backup"]["contents"] == [{"path": "server/data"}]
    # From the part itself the checkout is above.
    project.belay("init", "web")
    assert project.manifest(project.app / "web")["source"]["git"]["directory"] == ".."
    project.belay("validate", "web/belay.yaml")


def test_what_is_in_a_python_package_is_no_part_of_its_own(make_project):
    project = make_project({"shop/__init__.py": "", "shop/daemon/__main__.py": "", "shop/web/app.py": SERVER})
    assert "says how the service is started" in project.belay("init", code=6).stderr


def test_names_that_yaml_would_misread(make_project):
    project = make_project({"Procfile": "web: ./yes no 0x1f \"a: b\" '#x' 'it''s' - '~' '' 1.0\n", "yes": "#!/bin/sh\n"},
                           name="0: *weird* & \"quoted\" 名")
    (project.app / ".env").write_text("PORT=8080\n")
    project.belay("init")
    manifest = project.manifest()
    assert manifest["runtime"]["process"]["command"] == [
        "./yes", "no", "0x1f", "a: b", "#x", "its", "-", "~", "", "1.0"]
    assert manifest["service"] == "0-weird-quoted"
    project.belay("validate")


def test_trees_that_are_hard_to_walk(make_project):
    project = make_project(SHAPES["procfile"][0])
    (project.app / "loop").symlink_to(".")
    os.mkfifo(project.app / "pipe")
    with open(os.fsencode(project.app) + b"/caf\xe9.db", "wb") as file:
        file.write(b"SQLite format 3\0" + bytes(200))
    many = project.app / "many"
    many.mkdir()
    for i in range(20100):
        (many / str(i)).touch()
    deep = project.app / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    project.belay("init")
    told = project.comments()
    assert "more than 20000 files" in told
    assert "caf?.db" in told and "NOT in the backup" in told
    project.belay("validate")


def test_what_git_does_not_track_is_data_and_nothing_of_tools(make_project):
    project = make_project({**SHAPES["procfile"][0], "seed.db": "x", "uploads/.gitkeep": ""})
    for name in ("node_modules/m.db", ".venv/v.db", "state/real.sqlite3", "uploads/a.png"):
        path = project.app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"SQLite format 3\0" + bytes(200))
    for name in ("x.log", "x.pid", "nohup.out", "build", ".hidden"):
        (project.app / name).write_text("x")
    project.belay("init")
    assert project.manifest()["backup"]["contents"] == [{"path": "uploads"}, {"path": "state"}]


def test_data_elsewhere_is_taken_or_named(make_project):
    project = make_project({"Procfile": "web: python3 srv.py --files=%(port)d\n", "srv.py": SERVER})
    place = project.dir / "elsewhere"
    (place / "uploads").mkdir(parents=True)
    (place / "media").mkdir()
    database = sqlite3.connect(place / "shop.db")
    database.execute("CREATE TABLE a (b)").connection.close()
    (project.app / "Procfile").write_text(f"web: MEDIA={place}/media python3 srv.py --files={place}/uploads /usr/bin\n")
    (project.app / ".env").write_text(f"DATABASE_URL=sqlite:///{place}/shop.db?mode=rwc\nNONE={place}/none\nOWN={project.app}\n")
    project.belay("init")
    assert project.manifest()["backup"]["contents"] == [{"sqlite": f"{place}/shop.db"}]
    assert f"NOT in the backup: {place}/uploads, {place}/media." in project.comments()
    project.belay("validate")


def test_an_open_database_elsewhere_is_taken(make_project):
    project = make_project({"srv.py": SERVER.replace('Path("data")', 'Path(os.environ["SHOP_DATA"])')})
    hand = project.serve("python3", "srv.py", PORT=str(project.port), SHOP_DATA=str(project.dir / "elsewhere"))
    made = json.loads(project.belay("--json", "init").stdout)
    assert made["running"]["pid"] == hand.pid
    assert project.manifest()["backup"]["contents"] == [{"sqlite": str(project.dir / "elsewhere" / "shop.db")}]
    assert f"NOT in the backup: {project.dir}/elsewhere." in project.comments()


MIGRATION = {"migrations/001_a.sql": "ALTER TABLE item ADD COLUMN a;\n",
             "migrations/002_b.sql": "ALTER TABLE item ADD COLUMN b;\n"}


def test_migrations_of_what_runs_count_as_done(make_project):
    project = make_project({**SHAPES["procfile"][0], **MIGRATION})
    project.put({"migrations/003_c.sql": "ALTER TABLE item ADD COLUMN c;\n", "VERSION": "1.2.0\n"})
    project.publish("v1.2.0")
    project.serve("python3", "srv.py", PORT=str(project.port))
    with sqlite3.connect(project.app / "data" / "shop.db") as database:
        for name in MIGRATION:
            database.execute((project.app / name).read_text())
    project.belay("init")
    assert project.manifest()["migrations"] == [
        {"sql": {"files": "migrations/[0-9]*.sql", "database": "data/shop.db"}}]
    project.belay("add")
    assert "2 migrations of this version are noted as done" in project.belay("start", "shop").stdout
    git(project.app, "fetch", "-q", "--tags")
    project.belay("--yes", "update", "shop", "1.2.0", "--no-wait", "--no-rehearsal")
    with sqlite3.connect(project.app / "data" / "shop.db") as database:
        assert [row[1] for row in database.execute("PRAGMA table_info(item)")] == ["n", "a", "b", "c"]


@pytest.mark.parametrize("name, text, words", [
    ("0001_a.py", "from django.db import migrations\n", "Django"),
    ("001_a.sql", "-- +goose Up\n", "goose"),
    ("002_a.down.sql", "DROP TABLE a;\n", "goes up and down"),
    ("001_b.sql", "CREATE TABLE b (c);\n", "which database it is for was not found"),
])
def test_migrations_that_others_run_are_named_and_not_taken(make_project, name, text, words):
    project = make_project({**SHAPES["procfile"][0], f"migrations/{name}": text})
    project.belay("init")
    assert "migrations" not in project.manifest()
    assert words in project.comments()


def test_without_tags_the_branch_is_followed(make_project):
    project = make_project(SHAPES["procfile"][0], tags=())
    project.publish("")
    git(project.app, "pull", "-q", "origin", "main")
    git(project.app, "remote", "rename", "origin", "up")
    project.belay("init")
    assert project.manifest()["source"]["git"] == {"remote": "up", "branch": "main"}
    project.belay("validate")


def test_a_database_server_is_not_passed_over_in_silence(make_project):
    project = make_project(SHAPES["procfile"][0])
    (project.app / ".env").write_text("DATABASE_URL=postgres://me:hidden-value@db/shop\n")
    project.belay("init")
    assert "NOT in the backup" in project.comments()
    assert "hidden-value" not in (project.app / "belay.yaml").read_text()


@pytest.mark.skipif(not shutil.which("npm", path="/usr/local/bin:/usr/bin:/bin"), reason="init names npm where it is")
@pytest.mark.parametrize("tracked", [True, False])
def test_a_lock_that_git_does_not_have_is_none_for_a_new_version(make_project, tracked):
    lock = {"package-lock.json": '{"lockfileVersion": 3, "packages": {}}'}
    project = make_project({"package.json": '{"dependencies": {"a": "1"}, "scripts": {"start": "node s.js"}}', "s.js": "",
                            **(lock if tracked else {})})
    if not tracked:     # as `npm install` leaves it
        (project.app / "package-lock.json").write_text(lock["package-lock.json"])
    project.belay("init")
    assert project.manifest()["source"]["git"]["install"][:2] == ["npm", "ci" if tracked else "install"]


def test_a_name_that_is_taken_gets_a_number(make_project):
    project = make_project(SHAPES["procfile"][0])
    project.belay("init")
    project.belay("add")
    other = project.dir / "again" / "shop"
    other.parent.mkdir()
    git(project.dir, "clone", "-q", str(project.upstream), str(other))
    project.belay("init", other)
    assert project.manifest(other)["service"] == "shop-2"


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes what another user may not read")
def test_what_may_not_be_read_is_named_and_left_out(make_project):
    project = make_project(SHAPES["procfile"][0])
    (project.app / "theirs").mkdir(mode=0o700)
    (project.app / "own").mkdir()
    for name in ("belay", "belay-exec"):    # the build may lie where nobody else gets to
        shutil.copy(BELAY.parent / name, project.dir / name)
    for path in [project.dir, *project.dir.rglob("*")]:
        if path.name != "theirs":
            os.lchown(path, 65534, 65534)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(project.dir / "belay"),
                           "init"],
                          cwd=project.app, env=project.environment(), text=True, capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert project.manifest()["backup"]["contents"] == [{"path": "own"}]
    assert "'theirs' is not in git and may not be read" in project.comments()
