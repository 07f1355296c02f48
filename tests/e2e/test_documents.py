"""What the documents say is so: manifests in them are valid, commands and options in them are those there are."""
import json
import os
import re
import subprocess

import pytest
import yaml

from belaytest import BELAY, ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*/belay.yaml"))
MAN = ROOT / "docs" / "man"


def belay(*args, tmp_path):
    env = {"PATH": os.environ["PATH"], "BELAY_STATE": str(tmp_path / "state"), "BELAY_CONFIG": str(tmp_path / "config")}
    return subprocess.run([BELAY, *args], env=env, text=True, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_valid(path, tmp_path):
    done = belay("validate", str(path), tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr


def blocks(path, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def test_the_manifest_of_the_readme_is_the_minimal_example():
    shown = blocks(ROOT / "README.md", "yaml")
    assert len(shown) == 1
    assert yaml.safe_load(shown[0]) == yaml.safe_load((ROOT / "examples/minimal/belay.yaml").read_text())


def test_manifests_in_man_pages_are_valid(tmp_path):
    found = [block for block in blocks(MAN / "belay.yaml.5.scd", "") if "service:" in block]
    assert found
    for text in found:
        path = tmp_path / "belay.yaml"
        path.write_text(text)
        done = belay("validate", str(path), tmp_path=tmp_path)
        assert done.returncode == 0, done.stderr


def commands(tmp_path):
    """{"backup restore": its help}"""
    listed = belay("help", tmp_path=tmp_path)
    assert listed.returncode == 0, listed.stderr
    names = []
    for line in listed.stdout.splitlines():
        found = re.match(r"  ([a-z]+(?: [a-z]+)?)(?= |$)", line)
        if found and not line.lstrip().startswith("-"):
            names.append(found.group(1))
    result = {}
    for name in names:
        done = belay("help", *name.split(), tmp_path=tmp_path)
        if done.returncode == 0:
            result[name] = done.stdout
    assert {"update", "backup restore", "logs"} <= set(result)
    return result


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def section(page, title):
    """From the title to the next title of any level."""
    return re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", page, re.M | re.S).group(1)


def heads(page):
    """{"backup restore": the lines that begin its entries, one after the other}"""
    found = {}
    for title in re.findall(r"^# (COMMANDS: .*)$", page, re.M):
        for line in section(page, re.escape(title)).splitlines():
            names = re.match(r"(?:\*[a-z ]+\*,? ?)+", line)
            for name in re.findall(r"\*([a-z ]+)\*", names.group(0)) if names else ():
                found[name] = found.get(name, "") + line + "\n"
    return found


def test_every_command_is_in_the_man_page_with_exactly_its_options(tmp_path):
    page = (MAN / "belay.1.scd").read_text()
    known = commands(tmp_path)
    update = section(page, "Options of update")
    also = {"update": "\n".join(re.findall(r"^\*--.*$", update, re.M)), "rollback": section(page, "Options of rollback")}
    for name in ("plan", "rehearse"):
        also[name] = re.search(rf"^\*{name}\* takes .*$", update, re.M).group(0)
    entries = heads(page)
    assert set(entries) == set(known)
    for name, text in known.items():
        taken = options_in("\n".join(re.findall(r"^ {2,6}(?:-\w, )?(--[a-z-]+)", text, re.M)))
        assert options_in(entries[name] + also.get(name, "")) == taken, f"belay {name}"


def test_every_option_in_the_man_page_exists(tmp_path):
    known = set(re.findall(r"--[a-z][a-z-]+", "\n".join(commands(tmp_path).values())))
    known |= set(re.findall(r"--[a-z][a-z-]+", belay("help", tmp_path=tmp_path).stdout))
    for path in (MAN / "belay.1.scd", ROOT / "docs" / "guide.md"):
        # What follows another program's name is its own.
        text = re.sub(r"\bsystemctl [^`*]*", "", path.read_text())
        for line in text.splitlines():
            if "belay" not in line and not line.startswith("*-"):
                continue
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line):
                assert option in known, f"{path.name}: {option} is no option of belay: {line}"


def test_commands_shown_to_people_exist(tmp_path):
    """In blocks of commands, and where a text names one in backquotes."""
    known = {name.split()[0] for name in commands(tmp_path)}
    texts = [(path, block) for path in (ROOT / "README.md", *MAN.glob("*.scd")) for block in blocks(path, "")]
    texts += [(path, "\n".join(re.findall(r"`(belay [^`]*)`", path.read_text())))
              for path in (ROOT / "README.md", ROOT / "docs" / "guide.md", ROOT / "ARCHITECTURE.md")]
    for path, text in texts:
        for verb in re.findall(r"^(?:sudo )?belay (?:--\w+ )*([a-z]+)", text, re.MULTILINE):
            assert verb in known or verb in ("runner", "keeper", "rehearsal"), f"{path.name}: there is no `belay {verb}`"


def keys_of(node):
    """Every key of a schema."""
    for key, value in node.get("properties", {}).items():
        yield key
        yield from keys_of(value)
    for inner in (node.get("items"), node.get("additionalProperties"), *node.get("oneOf", ()), *node.get("anyOf", ())):
        if isinstance(inner, dict):
            yield from keys_of(inner)


def test_every_key_is_in_the_man_page_and_in_the_full_example(tmp_path):
    schema = json.loads(belay("validate", "--schema", tmp_path=tmp_path).stdout)
    keys = set(keys_of(schema))
    assert {"succeeded_on", "compatible", "before-quiesce"} <= keys
    page, example = (MAN / "belay.yaml.5.scd").read_text(), (ROOT / "examples/full/belay.yaml").read_text()
    for key in keys:
        word = key.split("-", 1)[1] if key.startswith(("before-", "after-")) else key       # hooks: their phases
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", page), f"{key} is not in belay.yaml(5)"
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", example), f"{key} is not in the full example"


def test_every_reason_why_not_is_in_the_guide():
    codes = re.findall(r'^ +\[REASON_\w+\] = \{"([a-z-]+)"', (ROOT / "src/model/reason.c").read_text(), re.M)
    assert len(codes) > 40
    guide = (ROOT / "docs" / "guide.md").read_text()
    assert [code for code in codes if f"`{code}`" not in guide] == []


def test_exit_codes_are_the_same_everywhere():
    readme = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.M)
    page = re.findall(r"^\*(\d+)\*$", section((MAN / "belay.1.scd").read_text(), "EXIT STATUS"), re.M)
    used = set(re.findall(r'^ +\[ERR_\w+\] = \{"\w+", (\d+)\}', (ROOT / "src/base/err.c").read_text(), re.M))
    assert len(used) > 10 and readme == page and used <= set(page), (readme, page, used)


def test_every_environment_variable_that_is_read_is_in_the_man_page():
    """But for those of test builds, and those that one part of Belay sets for another."""
    page = section((MAN / "belay.1.scd").read_text(), "ENVIRONMENT")
    own = {"BELAY_RUN", "BELAY_REHEARSAL", "INVOCATION_ID", "USER"}
    read = set()
    for path in (ROOT / "src").rglob("*.c"):
        text = re.sub(r"^#ifdef BELAY_FAULT_POINTS$.*?^#endif", "", path.read_text(), flags=re.M | re.S)
        if path.name != "fault.c":
            read |= set(re.findall(r'getenv\("(\w+)"\)', text))
    assert {"BELAY_STATE", "NO_COLOR"} <= read
    assert [name for name in sorted(read - own) if f"*{name}*" not in page] == []


def test_links_in_documents_lead_somewhere():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
