"""What serves while a copy of it is used: all of it, to be compared with what it was."""
import hashlib
import pathlib

from belaytest import git, wait_until

MIGRATION = "ALTER TABLE row ADD COLUMN note TEXT;\nUPDATE row SET note = 'migrated';\n"


def fingerprint(*roots):
    """Every file below: what it is, what it holds, when it was changed."""
    seen = {}
    for root in roots:
        for path in sorted(pathlib.Path(root).rglob("*")):
            # What was fetched and the commits of its tags are kept; a reader of a database marks its -shm.
            if ".git" in path.parts or path.name == "tags.json" or path.name.endswith("-shm"):
                continue
            is_ = path.lstat()
            held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            if path.is_file():
                seen[str(path)] = (is_.st_ino, is_.st_mode, is_.st_size, is_.st_mtime_ns, held)
    return seen


def production(site):
    """All of what serves: its files, the keeper's record, its log, its process, its port."""
    return {"files": fingerprint(site.app, site.state / "services"),
            "processes": sorted((p.pid, p.started, p.command) for p in site.processes()),
            "health": site.health(), "head": git(site.app, "rev-parse", "HEAD")}


def assert_untouched(site, before):
    # The command has its result before its runner is gone.
    wait_until(lambda: not [p for p in site.processes() if p.command.endswith(" runner")], 5, what="the runner's end")
    after = production(site)
    for path in {*before["files"], *after["files"]}:
        assert after["files"].get(path) == before["files"].get(path), path
    assert after == before
