"""Several stores: what is kept is in each of them, and each is enough when the others are lost."""
import shutil

import pytest

from belaytest import SERVICE, Release

COLUMN = {"01_note.sql": "ALTER TABLE row ADD COLUMN note TEXT;"}


@pytest.fixture
def site(make_site):
    """Rows in its database, which is backed up into `first` and `second`."""
    made = make_site([Release("1.0.0"), Release("1.1.0", migrations=COLUMN), Release("1.2.0", "bad-health")])
    made.manifest["backup"]["stores"] = [{"local": "first"}, {"local": "second"}]
    made.write_manifest()
    made.start()
    with made.writer() as writer:
        writer.wait_for(20)
    made.rows = set(writer.acknowledged)
    return made


def kept(site, store):
    """Whatever lies there, also what is no backup."""
    return sorted(path.name for path in (site.dir / store / SERVICE).iterdir() if not path.name.startswith("salvage-"))


def assert_same_in_both(site):
    names = kept(site, "first")
    assert names and names == kept(site, "second")
    for store in ("first", "second"):
        listed = site.ok("backup", "list", SERVICE, "--store", site.dir / store, options=("--json",)).lines()[0]
        assert sorted(one["name"] for one in listed if not one["salvage"]) == names
        for name in names:
            site.ok("backup", "verify", SERVICE, name, "--store", site.dir / store)
    return names


def test_what_is_kept_is_in_every_store(site):
    site.ok("backup", "create", SERVICE)
    assert len(assert_same_in_both(site)) == 1
    site.ok("update", SERVICE, "1.1.0")
    before = assert_same_in_both(site)
    assert len(before) == 3                 # by hand, before the update, after it
    assert site.belay("update", SERVICE, "1.2.0").code == 3
    assert len(assert_same_in_both(site)) == 4
    site.assert_whole(version="1.1.0")
    # One store by name is that one alone.
    site.ok("backup", "create", SERVICE, "--store", site.dir / "second")
    assert len(kept(site, "first")) == 4 and len(kept(site, "second")) == 5


def test_the_second_store_is_enough(site):
    site.ok("backup", "create", SERVICE)
    name, = assert_same_in_both(site)
    shutil.rmtree(site.dir / "first")
    with site.writer(first=5000) as writer:
        writer.wait_for(5)
    second = site.dir / "second"
    assert site.belay("backup", "restore", SERVICE, name).code == 2
    site.ok("backup", "restore", SERVICE, name, "--store", second, "--to", site.dir / "look")
    assert kept(site, "second") == [name] and not (site.dir / "first" / SERVICE / name).exists()
    site.ok("backup", "restore", SERVICE, name, "--store", second)
    assert site.rows_live() == site.rows
    assert set(writer.acknowledged) <= site.rows_in_salvage()


def test_a_store_that_cannot_be_written_is_said_beforehand(site):
    shutil.rmtree(site.dir / "second", ignore_errors=True)
    (site.dir / "second").write_text("a file\n")
    refused = site.belay("update", SERVICE, "1.1.0")
    assert refused.code == 6 and "[backup]" in refused.err and str(site.dir / "second") in refused.err, refused
    assert site.runs() == []
    failed = site.belay("backup", "create", SERVICE)
    assert failed.code == 1 and "It is whole in" in failed.err, failed
    assert len(kept(site, "first")) == 1


def test_a_copy_that_fails_is_left_to_do(site):
    """The update is not in doubt any more: exit 9, and the first store has all of it."""
    spoil = site.dir / "spoil.sh"
    spoil.write_text(f"#!/bin/sh\nrm -rf {site.dir}/second && echo x > {site.dir}/second\n")
    spoil.chmod(0o755)
    site.manifest["hooks"] = {"after-verify": [str(spoil)]}
    site.write_manifest()
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == 9 and str(site.dir / "second") in result.out + result.err, result
    site.assert_whole(version="1.1.0")
    assert len(kept(site, "first")) >= 1
    for name in kept(site, "first"):
        site.ok("backup", "verify", SERVICE, name)


def copy_points(site, trace):
    """The runner's fault points within the second store: that it can be written was looked at long before."""
    lines = [line.split(" ", 3) for line in trace.read_text().splitlines() if line.startswith("runner ")]
    return [int(number) for _, number, _, detail in lines if f"{site.dir}/second/{SERVICE}/" in detail]


def test_killed_while_it_is_copied(site):
    site.ok("stop", SERVICE)
    site.kill_all()
    site.save()
    site.start()
    trace = site.dir / "trace"
    site.ok("update", SERVICE, "1.1.0", env={"BELAY_FAULT_TRACE": trace})
    points = copy_points(site, trace)
    assert len(points) > 20, points
    died = 0
    for point in points[::len(points) // 4]:
        site.reset()
        site.start()
        result = site.belay("update", SERVICE, "1.1.0", env={"BELAY_FAULT": f"runner:die:{point}",
                                                             "BELAY_NO_KEEPER_RESUME": "1"})
        died += result.code == 7
        assert result.code in (0, 7), (point, result)       # 0: what a run passes differs by a point or two
        assert site.belay("resume").code in (0, 9), point
        site.assert_whole(version="1.1.0")
        copies = kept(site, "second")
        # One of after the update is made again when its step was cut off, with or without its copy.
        assert {name.split("-")[1] for name in copies} == {"1.0.0", "1.1.0"}, (point, copies)
        assert set(copies) <= set(kept(site, "first"))
        for name in copies:
            site.ok("backup", "verify", SERVICE, name, "--store", site.dir / "second")
    assert died >= 3
