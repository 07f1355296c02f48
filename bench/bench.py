#!/usr/bin/python3
"""Runs the benchmarks and prints absolute values and the ratios of this one run. Nothing is asserted."""
import argparse
import json
import os
import pathlib
import platform
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from measure import BUILD, belaytest, middle, say  # noqa: E402
import commands  # noqa: E402
import cost  # noqa: E402
import gap  # noqa: E402
import known  # noqa: E402

PARTS = ("gap", "cost", "commands", "known")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, few repetitions: does it work at all?")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (more than one is fine)")
    parser.add_argument("--small-mb", type=int, default=None, help="20")
    parser.add_argument("--large-mb", type=int, default=None, help="2048")
    parser.add_argument("--repeat", type=int, default=None, help="updates for each row of the table: 5")
    parser.add_argument("--directory", default=str(BUILD / "bench" / "data"),
                        help="where services, data and backups of the benchmarks lie while they run")
    parser.add_argument("--json", metavar="FILE", help="all single values")
    options = parser.parse_args()
    options.small_mb = options.small_mb or (2 if options.quick else 20)
    options.large_mb = options.large_mb or (40 if options.quick else 2048)
    options.repeat = options.repeat or (1 if options.quick else 5)
    options.cost_repeat = 3 if options.quick else 15
    options.command_repeat = 10 if options.quick else 50
    return options


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])] + [row[i].rjust(widths[i]) for i in range(1, len(row))]
        print("  " + "  ".join(cells).rstrip())


def ms(seconds):
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"


def print_gap(results):
    print("\nTime without service in ms, as seen from outside (middle of all repetitions)")
    rows = []
    for figures in results:
        belay, bare, careful = middle(figures.belay), middle(figures.bare), middle(figures.careful)
        rows.append([figures.case.name, ms(belay), ms(bare), ms(figures.added()), ms(careful),
                     f"{careful / belay:.1f}", f"{middle(figures.whole):.1f}"])
    table(["", "Belay", "bare", "Belay adds", "careful script", "script / Belay", "whole update s"], rows)
    small, *large = results
    for figures in large:
        added = figures.added() / small.added() if small.added() > 0 else float("nan")
        whole = middle(figures.belay) / middle(small.belay)
        print(f"  {figures.case.name} / {small.case.name}: {whole:.2f} of the time without service "
              f"({added:.2f} of what Belay adds)")
    print("  bare: stop, migration, start of the same service and nothing else. Belay adds: the difference.")


def print_cost(results):
    print("\nBelay's own cost of an update with a no-op manifest")
    rows = []
    for place, result in results.items():
        where = {"disk": "files on the disk", "memory": "files in memory"}[place]
        for name, values in (("processor time, ms", result["own"]), ("git beside it, ms", result["git"])):
            rows.append([f"{name}, {where}", ms(middle(values)), ms(min(values)), ms(max(values))])
    peak = max(results.values(), key=lambda result: result["peak"])
    rows.append([f"peak memory, MB ({peak['peak_of']})", f"{peak['peak'] / (1 << 20):.1f}", "", ""])
    table(["", "middle", "least", "most"], rows)


def print_commands(result):
    print("\nWall time of commands in ms")
    empty = middle(result["/bin/true"])
    table(["", "middle", "least", "most", "/ empty program"],
          [[name, ms(middle(values)), ms(min(values)), ms(max(values)), f"{middle(values) / empty:.1f}"]
           for name, values in result.items()])


def print_known(result):
    times = result["times"]
    print(f"\n{result['services']} services known, one run each: wall time in ms")
    rows = []
    for name, values in times.items():
        made = times.get(f"{name}, the index made")
        ratio = f"{middle(made) / middle(values):.1f}" if made else ""
        rows.append([name, ms(middle(values)), ms(min(values)), ms(max(values)), ratio])
    table(["", "middle", "least", "most", "without / with index"], rows)
    listing = middle(times["belay list"]) / middle(times["ls -l of the registry"])
    print(f"  belay list / ls -l of the registry: {listing:.1f}")
    journal, bare = (1e6 / middle(result["journal"][key]) for key in ("journal_us", "bare_us"))
    print(f"\nDurable appends a second, {result['journal']['bytes']} bytes each: journal {journal:.0f}, "
          f"bare write and fdatasync {bare:.0f}: {journal / bare:.2f} of it")


def as_json(part, result):
    if part != "gap":
        return result
    return [{"case": f.case.name, "belay": f.belay, "bare": f.bare, "careful": f.careful, "whole": f.whole}
            for f in result]


def main():
    options = read_options()
    pathlib.Path(options.directory).mkdir(parents=True, exist_ok=True)
    results = {}
    # The commands first: what `cost` makes of this process is not theirs to bear.
    for part in ("commands", "known", "gap", "cost"):
        if options.only and part not in options.only:
            continue
        say(f"== {part}")
        results[part] = {"gap": gap, "cost": cost, "commands": commands, "known": known}[part].run(options)
    print(f"\n{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} processors, "
          f"load {os.getloadavg()[0]:.1f}")
    for part, printer in (("gap", print_gap), ("cost", print_cost), ("commands", print_commands),
                          ("known", print_known)):
        if part in results:
            printer(results[part])
    if options.json:
        values = {part: as_json(part, result) for part, result in results.items()}
        pathlib.Path(options.json).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
