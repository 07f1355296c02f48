#!/usr/bin/python3
"""A room includes only itself and what is on lower floors (ARCHITECTURE.md). Prints each breach."""
import pathlib
import re
import sys

FLOORS = [
    ["base"],
    ["platform"],
    ["client", "model"],
    ["manifest", "journal", "control"],
    ["runtime", "source", "config", "backup", "migrate", "check", "traffic", "notify"],
    ["engine"],
    ["update"],
    ["guard", "fleet"],
    ["cli", "api", "daemon"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def check(root):
    breaches = []
    for path in sorted(root.rglob("*.[ch]")):
        parts = path.relative_to(root).parts
        room = parts[0] if len(parts) > 1 else ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            target = found.group(1).split("/")[0]
            where = f"{path}:{number}"
            if len(parts) == 1:     # main.c sees everything
                continue
            if room not in FLOOR and room != "exec":
                breaches.append(f"{where}: room '{room}' is on no floor")
            elif target == room or (room == "exec" and target == "base"):
                continue            # belay-exec links nothing: headers of base/ only
            elif room == "exec" or target not in FLOOR:
                breaches.append(f"{where}: {room}/ must not include \"{found.group(1)}\"")
            elif FLOOR[target] >= FLOOR[room]:
                breaches.append(f"{where}: {room}/ (floor {FLOOR[room]}) must not include "
                                f"\"{found.group(1)}\" (floor {FLOOR[target]})")
    return breaches


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src"))
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)
