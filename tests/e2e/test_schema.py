"""The JSON Schema for editors says of a manifest what `belay validate` says, as far as a schema can."""
import copy
import json
import subprocess

import jsonschema
import pytest
import yaml

from belaytest import BELAY, ROOT

EXAMPLES = sorted(ROOT.glob("examples/*/belay.yaml"))
SMALLEST = {"version": 1, "service": "shop", "runtime": {"process": {"command": ["./server"], "directory": "app"}},
            "source": {"git": {"directory": "app"}}}
KINDS = ({}, [], [{}], "zzz zzz", "", 7, True, None, {"zzz": 1}, "x" * 40000)


@pytest.fixture(scope="module")
def schema():
    text = subprocess.run([str(BELAY), "validate", "--schema"], capture_output=True, text=True, check=True).stdout
    schema = json.loads(text)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def judged(directory, manifest):
    """What belay says is wrong, None when nothing is."""
    path = directory / "belay.yaml"
    path.write_text(manifest if isinstance(manifest, str) else yaml.safe_dump(manifest, sort_keys=False))
    done = subprocess.run([str(BELAY), "validate", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    return done.stderr if done.returncode else None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_good_for_both(schema, tmp_path, path):
    assert judged(tmp_path, path.read_text()) is None
    assert [error.message for error in schema.iter_errors(yaml.safe_load(path.read_text()))] == []


GOOD = [
    {},
    {"x-note": ["anything"], "checks": []},
    {"source": {"git": {"branch": None, "tags": "v*"}}},
    {"backup": {"contents": [], "keep": {"last": 3}}},
    {"monitor": {"logs": "none"}},
    {"monitor": {"logs": {"fail": ["boom"], "errors_per_minute": 3}}},
    {"configuration": {"env_file": ".env", "set": {"PORT": 8000, "DEBUG": True}, "secrets": {"KEY": {"bytes": 32}}}},
    {"checks": [{"tcp": "localhost:80"}, {"command": {"run": ["true"]}, "within": "5s"}]},
]
BAD = [
    {"services": "shop"},
    {"version": 2},
    {"service": None},
    {"runtime": {}},
    {"runtime": {"compose": {"files": ["a"]}}},
    {"runtime": {"process": {"command": "./server"}}},
    {"runtime": {"process": {"command": []}}},
    {"runtime": {"process": {"command": ["./server"], "port": 70000}}},
    {"runtime": {"process": {"command": ["./server"], "restart": "sometimes"}}},
    {"source": {"git": {"remote": ""}}},
    {"backup": {"contents": [{"path": "a", "sqlite": "b"}]}},
    {"backup": {"contents": [{}]}},
    {"backup": {"stores": []}},
    {"backup": {"keep": {}}},
    {"migrations": [{"sql": {"files": "*.sql"}}]},
    {"checks": [{"http": {"url": "http://localhost/", "status": "fine"}}]},
    {"checks": {"http": {"url": "http://localhost/"}}},
    {"monitor": {"for": "2 minutes"}},
    {"monitor": {"memory": {"warn": 80}}},
    {"rollback": {"automatic": "perhaps"}},
]


def shown(manifest):
    return json.dumps(manifest)[:60]


@pytest.mark.parametrize("part", GOOD, ids=shown)
def test_good_for_both(schema, tmp_path, part):
    manifest = {**SMALLEST, **part}
    assert judged(tmp_path, manifest) is None
    assert [error.message for error in schema.iter_errors(manifest)] == []


@pytest.mark.parametrize("part", BAD, ids=shown)
def test_bad_for_both(schema, tmp_path, part):
    manifest = {**SMALLEST, **part}
    assert judged(tmp_path, manifest) is not None
    assert not schema.is_valid(manifest)


def places(value, at=()):
    """Every place in a manifest."""
    yield at
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*at, key))


def changed(manifest, at):
    """The manifest with what is there replaced by each kind of value, taken out, and joined by an unknown key."""
    for kind in KINDS:
        copied = copy.deepcopy(manifest)
        parent = copied
        for key in at[:-1]:
            parent = parent[key]
        parent[at[-1]] = kind
        yield copied
    copied = copy.deepcopy(manifest)
    parent = copied
    for key in at[:-1]:
        parent = parent[key]
    if isinstance(parent, dict):
        parent["zzz"] = 1
        yield copied
        copied = copy.deepcopy(copied)
        parent = copied
        for key in at[:-1]:
            parent = parent[key]
        del parent["zzz"], parent[at[-1]]
        yield copied


def test_what_the_schema_refuses_belay_refuses(schema, tmp_path):
    """Every place of the example with every key, changed in every way. Belay may refuse more: rules between keys."""
    full = yaml.safe_load((ROOT / "examples" / "full" / "belay.yaml").read_text())
    agreed = {True: 0, False: 0}
    for at in places(full):
        for manifest in changed(full, at) if at else ():
            refused = not schema.is_valid(manifest)
            why = judged(tmp_path, manifest)
            assert not refused or why, f"only the schema refuses {at}: {next(schema.iter_errors(manifest)).message}"
            assert refused or not why or "unknown key" not in why, f"the schema takes {at}: {why}"
            if refused == bool(why):
                agreed[refused] += 1
    assert agreed[True] > 200 and agreed[False] > 50, agreed


def test_keys_of_the_schema_are_those_that_validate_names(schema, tmp_path):
    """A key that the build has is in it, one that it lacks is not."""
    said = judged(tmp_path, {**SMALLEST, "zzz": 1})
    listed = said.split("expected one of: ")[1].splitlines()[0].split(", ")
    assert sorted(listed) == sorted(schema.schema["properties"])
