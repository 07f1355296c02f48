#!/usr/bin/python3
"""Removes what `make install` put there: tools/uninstall.py [BUILD_DIRECTORY]; $DESTDIR is honoured.

What is installed is asked of the build directory, not of a log of the last install, which may have been another.
Services, state and settings stay.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WANTS = "/etc/systemd/system/multi-user.target.wants/belay-boot.service"


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build")
    if not (build / "build.ninja").exists():
        sys.exit(f"{build} is no build directory: run make first, with the PREFIX of the installation")
    installed = json.loads(subprocess.run(["meson", "introspect", "--installed", str(build)],
                                          capture_output=True, text=True, check=True).stdout)
    destination = os.environ.get("DESTDIR", "")
    removed = 0
    for path in (pathlib.Path(destination + path) for path in installed.values()):
        if path.is_symlink() or path.exists():
            path.unlink()
            removed += 1
        if path.parent.name == "belay" and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    print(f"removed {removed} of {len(installed)} files")
    if not destination and os.path.lexists(WANTS):
        print("belay-boot.service is still enabled: systemctl disable belay-boot.service")


if __name__ == "__main__":
    main()
