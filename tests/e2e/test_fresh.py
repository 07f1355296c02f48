"""What a newcomer stumbled over once."""
import signal

import pytest

from belaytest import SERVICE, Release, rows_in_database, wait_until

SLOW = {"02_slow.sql": "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 6000000) "
                       "SELECT count(*) FROM c; ALTER TABLE row ADD COLUMN tag TEXT;"}
WATCH = {"monitor": {"for": "30s", "every": "50ms"}}


def phase_begun(site, step):
    return lambda: any(kind == "INTENT" and payload["step"] == step for kind, payload in site.journal())


# During the watch Ctrl-C only ends the following: test_fault_people.
@pytest.mark.parametrize("how, step", [("cancel", "place"), ("cancel", "migrate"), ("cancel", "verify"),
                                       ("cancel", "monitor"), ("ctrl-c", "place"), ("ctrl-c", "migrate"),
                                       ("ctrl-c", "verify")])
def test_a_run_that_lives_is_cancelled_at_any_step(make_site, step, how):
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations=SLOW)], manifest=WATCH)
    if step == "verify":
        site.verify_slowly()
    site.start()
    with site.writer() as writer:
        writer.wait_for(20)
        child = site.belay_start("update", SERVICE, "1.1.0")
        wait_until(lambda: site.runs() and phase_begun(site, step)(), what=step)
        # In the watch users have written under the new schema: what that would cost is said first.
        ends_with = 8 if step == "monitor" else 3 if how == "cancel" else 130
        if how == "cancel":
            assert site.belay("cancel").code == ends_with
        else:
            child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
        assert child.returncode == ends_with
        if ends_with == 8:
            assert site.belay("cancel").code == 3
        writer.wait_for(5)
    site.assert_whole(writer, version="1.0.0", undone=("1.1.0",))


def test_after_the_death_of_all_in_the_watch_the_new_version_is_not_blamed(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "2s", "every": "50ms"}})
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait")
    site.kill_all()
    assert site.belay("resume").code == 0
    site.assert_whole(version="1.1.0")


def test_a_rollback_is_not_undone_by_the_next(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    site.ok("update", SERVICE, "1.1.0")
    site.ok("update", SERVICE, "1.1.0", "--reinstall")
    site.ok("rollback", SERVICE)
    assert site.version() == "1.0.0"
    again = site.belay("rollback", SERVICE)
    assert again.code == 6 and "no version that Belay could go back to" in again.err


def test_nothing_changed_is_said_of_what_runs_only(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.start()
    # Dies long before ARM, in its own journal, wherever exactly that is.
    child = site.belay_start("update", SERVICE, "1.1.0")
    wait_until(lambda: site.runs() and site.journal(), every=0.0005, what="the journal")
    runner = [p for p in site.processes() if p.command.endswith(" runner")]
    for process in runner:
        process.kill(signal.SIGSTOP)
    armed = any(kind == "ARM" for kind, _ in site.journal())
    site.kill_all()
    child.communicate(timeout=10)
    result = site.belay("resume")
    if not armed:
        assert result.code == 3 and "does not run" in result.out and "belay start" in result.out
    else:
        assert result.code in (0, 3) and site.health()
    site.ok("start", SERVICE)
    site.assert_whole(one_of=("1.0.0", "1.1.0"))


def test_what_is_written_after_a_rollback_is_never_thrown_away(make_site):
    """A rollback with data fails in its watch: the version before comes back with its data, the rest is kept."""
    site = make_site([Release("1.0.0", behaviour="bad-later:1"), Release("1.1.0")],
                     manifest={"monitor": {"for": "300ms", "every": "50ms"}})
    site.start()
    with site.writer() as writer:
        writer.wait_for(10)
    site.ok("update", SERVICE, "1.1.0")
    with site.writer(first=1000) as writer:
        writer.wait_for(20)
    site.manifest["monitor"] = {"for": "20s", "every": "50ms"}
    site.write_manifest()
    with site.writer(first=5000) as later:
        result = site.belay("rollback", SERVICE, "--restore")
        assert result.code == 8 and "takes that away" in result.out
        assert site.belay("cancel").code == 3
        later.wait_for(5)
    assert site.version() == "1.1.0"
    live, kept = site.rows_live(), site.rows_in_salvage()
    assert set(writer.acknowledged) <= live
    assert set(later.acknowledged) <= live | kept


def test_rows_that_vanish_among_new_ones_are_where_the_result_says(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="drop-rows:0.3 bad-later:0.7")],
                     manifest={"monitor": {"for": "3s", "every": "50ms"}})
    site.start()
    with site.writer() as writer:
        writer.wait_for(100)
        result = site.belay("update", SERVICE, "1.1.0")
        writer.wait_for(5)
    assert result.code in (3, 8), result.err
    if result.code == 8:    # more were dropped than were written: a person is asked, and told
        assert "Going back would change" in result.out
        assert site.belay("cancel").code == 3
    before = {n for n, (_, version) in writer.acknowledged.items() if version == "1.0.0"}
    if result.code == 3 and before - site.rows_live() - site.rows_in_salvage():
        assert "belay backup restore" in result.out
    kept = set().union(*(rows_in_database(path) for path in site.backed_up_databases()))
    acknowledged_first = {n for n in before if n <= 100}
    assert acknowledged_first <= site.rows_live() | site.rows_in_salvage() | kept
