"""What the documents say is so: manifests in them are valid, commands and options in them are those there are."""
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


def test_every_command_and_option_is_in_the_man_page(tmp_path):
    page = (MAN / "belay.1.scd").read_text().replace("*", "")
    for name, text in commands(tmp_path).items():
        assert re.search(rf"\b{name}\b", page), f"belay {name} is not in belay(1)"
        for option in re.findall(r"--[a-z][a-z-]+", text):
            assert option in page, f"{option} of belay {name} is not in belay(1)"


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
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys_of(value)
    elif isinstance(node, list):
        for item in node:
            yield from keys_of(item)


def test_keys_of_the_full_example_are_in_the_man_page():
    manifest = yaml.safe_load((ROOT / "examples/full/belay.yaml").read_text())
    page = (MAN / "belay.yaml.5.scd").read_text()
    own = {".version", "SHOP_MODE", "SHOP_VERSION", "SESSION_KEY", "Authorization", "Content-Type", "headers"}
    for key in set(keys_of(manifest)) - own:
        assert re.search(rf"\b{re.escape(key)}\b", page), f"{key} is not in belay.yaml(5)"


def test_links_in_documents_lead_somewhere():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
