#!/usr/bin/python3
"""Limits of size: a file of 800 lines, a function of 100, cyclomatic 15, 6 parameters.

Goals (400, 40) are only noted. pmccabe counts complexity and lines; it does not see parameters.
"""
import pathlib
import re
import subprocess
import sys

FILE_MAX, FILE_GOAL = 800, 400
FUNCTION_MAX, FUNCTION_GOAL = 100, 40
CYCLOMATIC_MAX, PARAMETERS_MAX = 15, 6
# A declaration or definition at the left margin: "type name(" up to the closing parenthesis.
FUNCTION = re.compile(r"^(?!#|\s|typedef|return)[\w \*]*?\b(\w+)\(", re.M)
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def parameters(text):
    """(line, name, count) for each function in text; comments and strings do not count."""
    text = NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    for found in FUNCTION.finditer(text):
        depth, commas, position = 1, 0, found.end()
        while position < len(text) and depth:
            c = text[position]
            depth += (c == "(") - (c == ")")
            commas += c == "," and depth == 1
            position += 1
        yield text.count("\n", 0, found.start()) + 1, found.group(1), commas + 1


def main(roots):
    files = sorted(p for root in roots for p in pathlib.Path(root).rglob("*.[ch]"))
    wrong, over_goal = [], [0, 0]
    for path in files:
        text = path.read_text()
        lines = text.count("\n")
        over_goal[0] += lines > FILE_GOAL
        if lines > FILE_MAX:
            wrong.append(f"{path}:1: {lines} lines, at most {FILE_MAX}")
        for line, name, count in parameters(text):
            if count > PARAMETERS_MAX:
                wrong.append(f"{path}:{line}: {name}() takes {count} parameters, at most "
                             f"{PARAMETERS_MAX}: use a struct")
    sources = [str(p) for p in files if p.suffix == ".c"]
    out = subprocess.run(["pmccabe", *sources], stdout=subprocess.PIPE, text=True,
                         check=True).stdout if sources else ""
    for row in out.splitlines():
        # modified complexity (a switch counts once), complexity, statements, first line, lines, where
        cyclomatic, _, _, first, length, where, name = row.split("\t")[:5] + row.split("\t")[5].rsplit(": ", 1)
        path = where.split("(")[0]
        over_goal[1] += int(length) > FUNCTION_GOAL
        if int(length) > FUNCTION_MAX:
            wrong.append(f"{path}:{first}: {name}() has {length} lines, at most {FUNCTION_MAX}")
        if int(cyclomatic) > CYCLOMATIC_MAX:
            wrong.append(f"{path}:{first}: {name}() has complexity {cyclomatic}, at most {CYCLOMATIC_MAX}")
    for line in wrong:
        print(line)
    print(f"note: {over_goal[0]} files over {FILE_GOAL} lines, "
          f"{over_goal[1]} functions over {FUNCTION_GOAL} lines (goals, not limits)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["src", "tests"]))
