"""What the manifest says of going back: whether it happens by itself, and what the old version can read."""
import contextlib
import json
import socket

import pytest

from belaytest import Release, wait_until


@pytest.fixture
def site(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health")],
                     manifest={"rollback": {"automatic": False}})
    site.start()
    return site


def test_it_waits_and_cancel_goes_back(site):
    result = site.belay("update", "notes", "v1.1.0")
    assert result.code == 8, result
    assert site.journal()[-1][0] == "WAIT"
    assert "rollback.automatic is false" in site.belay("report", "1").out + str(site.journal()[-1])
    assert site.belay("update", "notes", "v1.1.0").code == 7
    assert site.belay("cancel", "1").code == 3
    site.assert_whole(version="1.0.0")


MOVED = {
    "a link": "mkdir data/v2 && mv data/notes.db* data/v2/ && ln -s v2/notes.db data/notes.db",
    "a directory": "rm data/notes.db* && mkdir data/notes.db",
    "a FIFO": "rm data/notes.db* && mkfifo data/notes.db",
    "a file for a directory": "rm -r data/pictures && echo none > data/pictures",
}


@pytest.mark.parametrize("kind", MOVED)
def test_data_that_became_another_kind_of_thing_comes_back(make_site, kind):
    """A version that moves its database, leaves a link, and then fails: the comparison with the backup is not an
    error, and what was reserved beside it does not stay."""
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health",
                                                files={"scripts/01.sh": MOVED[kind] + "\n"})],
                     manifest={"migrations": [{"scripts": {"files": "scripts/*.sh", "run_with": ["sh"]}}]})
    site.manifest["backup"]["contents"].append({"path": "app/data/pictures"})
    site.write_manifest()
    pictures = site.app / "data" / "pictures"
    pictures.mkdir()
    (pictures / "one").write_text("one\n")
    site.start()
    with site.writer() as writer:
        writer.wait_for(10)
        result = site.belay("update", "notes", "v1.1.0")
    assert result.code == 3 and "notes 1.0.0 serves again" in result.out, result
    # What 1.1.0 was told is where it wrote that: in salvage, or where it had moved its database to.
    assert {n for n, (_, version) in writer.acknowledged.items() if version == "1.0.0"} <= site.rows_live()
    assert (pictures / "one").read_text() == "one\n"
    assert not list(site.app.glob("data/.*.belay-*"))


def look_at_one_that_waits(site):
    """Whoever comes later finds what there is to decide, what that loses, and what to type."""
    for form in ("md", "html"):
        report = site.ok("report", "1", "--format", form).out
        assert "not decided by itself: data was written" in report and "going back would change: " in report
        assert "`belay accept 1` keeps 1.1.0" in report and "`belay cancel 1` goes back to 1.0.0" in report
    site.publish(Release("1.2.0"))
    site.ok("check")            # status says it also when it knows of something newer
    status = site.ok("status").out
    assert "1.2.0 blocked" in status and "`belay report 1` says what for" in status


@pytest.mark.parametrize("compatible", [True, False])
def test_what_the_old_version_can_read_stays(make_site, compatible):
    """The watch fails after users wrote under a changed schema: whether the data may stay is the migrations' to say."""
    column = {"01_note.sql": "ALTER TABLE row ADD COLUMN note TEXT;"}
    site = make_site([Release("1.0.0"), Release("1.1.0", "bad-later:0.7", migrations=column)],
                     manifest={"monitor": {"for": "10s", "every": "50ms"}})
    site.manifest["migrations"][0]["sql"]["compatible"] = compatible
    site.write_manifest()
    site.start()
    said = "the old version is said to run on the schema of 1.1.0"
    assert (said in site.ok("plan", "notes", "1.1.0").out) == compatible
    with site.writer() as writer:
        writer.wait_for(20)
        result = site.belay("update", "notes", "1.1.0")
        assert result.code == (3 if compatible else 8), result
        if not compatible:
            look_at_one_that_waits(site)
            assert site.belay("cancel").code == 3
            assert "`belay accept 1`" not in site.ok("report", "1").out
        writer.wait_for(5)
    assert (site.salvaged_databases() == []) == compatible
    site.assert_whole(writer, version="1.0.0", undone=["1.1.0"])


def test_a_clock_set_forward_does_not_take_what_this_run_has_kept(make_site):
    """A machine without a clock of its own has the time of its last shutdown until the network says better: what a
    restore replaced a second ago may look months old when the run prunes."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "1s", "every": "50ms"}})
    site.start()
    with site.writer() as writer:
        writer.wait_for(5)
        site.ok("update", "notes", "v1.1.0")
        writer.wait_for(5)
        child = site.belay_start("rollback", "notes", "--restore")
        kept = wait_until(lambda: list(site.state.glob("backups/notes/salvage-*/MANIFEST.json")), 20, what="salvage")[0]
        said = json.loads(kept.read_text())
        said["taken_ms"] -= 60 * 24 * 3600 * 1000
        kept.write_text(json.dumps(said))
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and site.journal()[-1][0] == "END", (out, err)
    assert kept.exists() and set(writer.acknowledged) <= site.rows_live() | site.rows_in_salvage()
    # It was a wrong time only for that run; as old as it says it is, it goes.
    assert "salvage-2-data" in site.ok("backup", "prune", "notes").out and not kept.exists()


def test_a_port_that_another_took_is_not_the_versions_fault(make_site):
    """It goes back, and the version may be tried again without a word once the port is free."""
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"hooks": {"after-quiesce": ["sleep", "0.3"]}})
    site.start()
    child = site.belay_start("update", "notes", "v1.1.0")
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def is_ours():
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", site.port))
            taken.listen()
            return True
        return False

    def start_has_failed():
        return any(kind == "FAILED" and payload["step"] == "start" for kind, payload in site.journal())

    with taken:
        wait_until(is_ours, 30, every=0.001, what="the port between the two versions")
        wait_until(start_has_failed, 30, what="a start that fails")
    out, err = child.communicate(timeout=60)
    assert child.returncode == 3 and f"port {site.port} is taken by" in err, (out, err)
    assert "remembered as bad" not in out
    site.assert_whole(version="1.0.0")
    site.ok("update", "notes", "v1.1.0")
