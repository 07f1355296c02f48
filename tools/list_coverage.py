#!/usr/bin/python3
"""Writes tests/coverage.md: which row of tests/catalogue.txt is tried by which test.

    tools/list_coverage.py           writes it
    tools/list_coverage.py --check   exit 1 when it is not what would be written, or a row has no test
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PAGE = TESTS / "coverage.md"
ROW = re.compile(r"\b([CYGTJPB])-?([0-9]{2})\b")
FUNCTION = re.compile(r"^(?:static (?:void|int|bool) |def )(\w+)\(")
HEAD = """# Bad input and the tests that try it

Made by `tools/list_coverage.py` from `tests/catalogue.txt` and the tests, which name the rows that they try.
"""


def read_catalogue():
    """[(heading or None, row, what, why not)]"""
    rows = []
    for line in (TESTS / "catalogue.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            rows.append((line[2:], None, None, None))
        elif line and not line.startswith("#"):
            row, rest = line.split(" ", 1)
            what, _, why = rest.partition(" | ")
            rows.append((None, row, what, why))
    return rows


def named_rows(line, commented):
    """Rows in a comment, in a docstring, or at the beginning of a table's text; "J-01 to J-08" is all between."""
    found = set()
    text = line if commented else " ".join(re.findall(r'"([CYGTJPB]-?[0-9]{2}\b[^"]*)"', line))
    for letter, first, last in re.findall(r"\b([CYGTJPB])-?([0-9]{2}) to \1-?([0-9]{2})\b", text):
        found |= {f"{letter}-{n:02}" for n in range(int(first), int(last) + 1)}
    return found | {f"{letter}-{number}" for letter, number in ROW.findall(text)}


def tests_of_rows():
    """{row: {"file": {function, …}}}"""
    found = {}
    for path in sorted([*TESTS.rglob("*.c"), *TESTS.rglob("*.py")]):
        waiting, function, comment = set(), "", False
        for line in path.read_text(encoding="utf-8").splitlines():
            begins = FUNCTION.match(line)
            if begins:
                function = begins.group(1)
                for row in waiting:
                    found.setdefault(row, {}).setdefault(path, set()).add(function)
                waiting = set()
            stripped = line.strip()
            comment = comment or stripped.startswith(("/*", '"""', "#")) or "/* " in line or "# " in line
            rows = named_rows(line, comment)
            if "*/" in line or stripped.startswith("#") or '"""' in stripped[3:] or path.suffix == ".py":
                comment = path.suffix == ".py" and comment and stripped.startswith('"""') and '"""' not in stripped[3:]
            inside = line.startswith((" ", "\t")) and function and not line.lstrip().startswith("{")
            for row in rows:
                if inside and path.suffix == ".py":
                    found.setdefault(row, {}).setdefault(path, set()).add(function)
                elif line.startswith("/*") or line.startswith("#"):
                    waiting.add(row)
                    found.setdefault(row, {}).setdefault(path, set())
                else:
                    found.setdefault(row, {}).setdefault(path, set())
    return found


def page(rows, tests):
    out, missing = [HEAD], []
    tried = sum(1 for _, row, _, _ in rows if row in tests)
    total = sum(1 for _, row, _, _ in rows if row)
    out.append(f"{tried} of {total} rows are tried.\n")
    for heading, row, what, why in rows:
        if heading:
            out.append(f"\n## {heading}\n\n| row | what | tried by |\n| --- | --- | --- |")
            continue
        where = [f"`{path.relative_to(TESTS)}`" + (": " + ", ".join(sorted(names)) if names else "")
                 for path, names in sorted(tests.get(row, {}).items())]
        if not where and not why:
            missing.append(row)
        out.append(f"| {row} | {what} | {'; '.join(where) or '– ' + (why or 'nothing')} |")
    return "\n".join(out) + "\n", missing


def main():
    rows, tests = read_catalogue(), tests_of_rows()
    text, missing = page(rows, tests)
    known = {row for _, row, _, _ in rows}
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
        print(f"{len(missing)} rows without a test: {' '.join(missing)}" if missing else "each row has a test or a reason")
        print("named by tests, but in no catalogue:", " ".join(sorted(set(tests) - known)))
        return 0
    if missing:
        print("no test names these rows of tests/catalogue.txt:", " ".join(missing))
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text
    if stale:
        print("tests/coverage.md is not up to date: tools/list_coverage.py writes it")
    return 1 if missing or stale else 0


if __name__ == "__main__":
    sys.exit(main())
