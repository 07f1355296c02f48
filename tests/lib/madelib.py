"""Sites whose versions need something made before they can run: artifacts in place, and releases."""
import os
import pathlib

from belaytest import Site, git

MAKE = ["sh", "-c", "mkdir -p dist && cp VERSION dist/"]
DATABASE = tuple(f"notes.db{s}" for s in ("", "-wal", "-shm", "-journal"))


def strays_of(directory):
    """What git does not track there, whether it ignores it or not."""
    status = git(directory, "status", "--porcelain", "--ignored", "--untracked-files=all")
    return [line[3:] for line in status.splitlines()]


class MadeSite(Site):
    """In place. A user's own dist/ is there from before; install makes another for each version."""

    def __init__(self, releases, **more):
        super().__init__(releases, **more)
        (self.app / "dist").mkdir()
        (self.app / "dist" / "mine").write_text("mine\n")

    def default_manifest(self, journal, noted_args):
        return {**super().default_manifest(journal, noted_args),
                "source": {"git": {"directory": "app", "install": MAKE, "artifacts": ["dist"]}}}

    def short(self, version):
        return self.commit_of(self.tag(version))[:12]

    def leftovers(self):
        known = {".env", "dist/mine", *(f"data/{name}" for name in DATABASE)}
        if self.version() == "1.1.0":
            old, new = self.short("1.0.0"), self.short("1.1.0")
            known |= {"dist", f"dist.{old}/mine", f"dist.{new}/VERSION", ".belay/.gitignore",
                      f".belay/{old}", f".belay/{new}"}
        strays = [path for path in strays_of(self.app)
                  if path not in known and ".backup." not in path and ".salvage-" not in path]
        strays += [str(p) for p in self.app.glob(".git/**/*.lock")]
        strays += [str(p) for p in (self.app / ".git").glob("worktrees/*")]
        return strays + [str(p) for p in self.state.glob("**/.partial-*")]

    def assert_whole(self, *args, **named):
        version = super().assert_whole(*args, **named)
        if version == "1.1.0":
            assert os.readlink(self.app / "dist") == f"dist.{self.short(version)}"
            assert (self.app / "dist" / "VERSION").read_text() == "1.1.0\n"
        else:
            assert not (self.app / "dist").is_symlink()
            assert (self.app / "dist" / "mine").read_text() == "mine\n"
        return version


class ReleasesSite(Site):
    """A plain checkout, of which the first update makes releases. Its data is in shared/ already."""

    def __init__(self, releases, **more):
        super().__init__(releases, **more)
        self.database = self.app / "shared" / "data" / "notes.db"
        (self.app / "shared").mkdir()
        (self.app / "data").rename(self.app / "shared" / "data")
        (self.app / "data").symlink_to("shared/data")

    def default_manifest(self, journal, noted_args):
        return {**super().default_manifest(journal, noted_args),
                "source": {"git": {"directory": "app", "layout": "releases", "install": MAKE,
                                   "artifacts": ["dist"], "shared": ["data"]}},
                "backup": {"contents": [{"sqlite": "app/shared/data/notes.db"}]}}

    def checkout(self):
        current = self.app / "current"
        return pathlib.Path(os.path.realpath(current)) if current.is_symlink() else self.app

    def leftovers(self):
        known = {".env", "data", *(f"shared/data/{name}" for name in DATABASE)}
        releases = {"1.0.0", "1.1.0"} if (self.app / "current").is_symlink() else set()
        known |= {"current", *(f"releases/{version}/" for version in releases)} if releases else set()
        strays = [path for path in strays_of(self.app)
                  if path not in known and ".backup." not in path and ".salvage-" not in path]
        records = {p.name for p in (self.app / ".git").glob("worktrees/*")}
        there = {p.name for p in (self.app / "releases").glob("*")}
        strays += [f"release {name}" for name in (records ^ there) | (there - releases)]
        strays += [str(p) for p in self.app.glob(".git/**/*.lock")]
        return strays + [str(p) for p in self.state.glob("**/.partial-*")]

    def assert_whole(self, *args, **named):
        version = super().assert_whole(*args, **named)
        current = self.checkout()
        server, = self.servers()
        assert os.readlink(f"/proc/{server.pid}/cwd") == str(current)
        if current != self.app:
            assert (current / "dist" / "VERSION").read_text() == version + "\n"
            assert os.path.realpath(current / "data") == str(self.app / "shared" / "data")
            assert set(strays_of(current)) <= {"data", "dist/VERSION"}
        return version
