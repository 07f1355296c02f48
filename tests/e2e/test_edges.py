"""What a person meets who does things that nobody thought of. Each test was a fault once."""
from belaytest import Release, git, wait_until


def done(site, step):
    return any(kind == "DONE" and fields.get("step") == step for kind, fields in site.journal())


DROPS = {"01_drop.sql": "DROP TABLE row; CREATE TABLE row(n INTEGER PRIMARY KEY, extra TEXT);"}


def edited_while_it_fails(make_site):
    """An update whose data was migrated, and whose rollback met a person's edit: exit 4."""
    site = make_site([Release("1.0.0"), Release("1.1.0", "slow-start:1 bad-health", migrations=DROPS)])
    site.start()
    with site.writer() as writer:
        writer.wait_for(20)
    update = site.belay_start("update", "notes", "v1.1.0")
    wait_until(lambda: site.runs() and done(site, "start"), what="the start of 1.1.0")
    (site.app / "VERSION").write_text("mine\n")
    out, err = update.communicate(timeout=30)
    assert update.returncode == 4, out + err
    return site, writer


def test_what_an_unfinished_undo_needed_can_be_restored_by_hand(make_site):
    site, writer = edited_while_it_fails(make_site)
    report = site.ok("report", "1").out
    assert "What is where" in report and "somebody else changed" in report, report
    assert "The data was left as it was" not in report      # it was migrated
    assert "Without service" not in report                  # nobody knows yet for how long
    backups = site.ok("backup", "list", options=("--json",)).lines()[0]
    assert [b["version"] for b in backups] == ["1.0.0"], backups
    assert backups[0]["name"].split("-")[-1] in report
    git(site.app, "checkout", "-q", "VERSION")
    git(site.app, "checkout", "-q", "v1.0.0")
    site.ok("backup", "restore", "notes")
    site.ok("start", "notes")
    assert set(writer.acknowledged) <= site.rows_live()


def test_the_next_run_leaves_what_an_unfinished_undo_needed(make_site):
    """Also where the backup could not become a listed one at the end of that run."""
    site, _ = edited_while_it_fails(make_site)
    service = site.state / "backups" / "notes"
    listed = next(p for p in service.iterdir() if "1.0.0" in p.name)
    left = service / f".partial-{listed.name.split('-')[-1]}"
    listed.rename(left)
    git(site.app, "checkout", "-q", "VERSION")
    site.publish(Release("1.2.0"))
    assert site.belay("update", "notes", "v1.2.0", "--accept-unhealthy").code in (0, 3)
    assert left.exists()


def test_a_run_that_needed_a_person_goes_on_when_that_one_says_so(make_site):
    site, writer = edited_while_it_fails(make_site)
    assert "belay resume 1 --try-again" in site.belay("resume", "1").out
    assert "run #1 needs a person" in site.ok("status").out
    assert "belay resume 1 --try-again" in site.ok("report", "1").out
    # Not mended: it meets the same again, and has changed nothing.
    again = site.belay("resume", "1", "--try-again")
    assert again.code == 4, again
    assert (site.app / "VERSION").read_text() == "mine\n"
    git(site.app, "checkout", "-q", "VERSION")
    assert site.belay("resume", "1").code == 4          # nobody has said so
    assert site.belay("resume", "1", "--try-again").code == 3
    site.assert_whole(writer, version="1.0.0", undone=["1.1.0"])
    assert [kind for kind, _ in site.journal()].count("AGAIN") == 2
    assert "rolled back" in site.ok("runs").out
    assert site.belay("resume", "1", "--try-again").code == 3       # it has ended


def test_a_run_that_needed_a_person_is_cancelled_later(make_site):
    site, writer = edited_while_it_fails(make_site)
    git(site.app, "checkout", "-q", "VERSION")
    assert site.belay("cancel", "1", "--try-again").code == 3
    site.assert_whole(writer, version="1.0.0", undone=["1.1.0"])


def test_what_was_begun_since_stands_in_the_way_of_trying_again(make_site):
    site, _ = edited_while_it_fails(make_site)
    assert site.belay("resume", "--try-again").code == 2
    git(site.app, "checkout", "-q", "VERSION")
    # Somebody started it meanwhile: its data may be in use.
    site.belay("start", "notes")
    wait_until(site.servers, what="a server")
    running = site.belay("resume", "1", "--try-again")
    assert running.code == 6 and "belay stop notes" in running.err, running
    assert site.journal(1)[-1][0] == "END"
    site.ok("stop", "notes")
    site.publish(Release("1.2.0"))
    site.belay("update", "notes", "v1.2.0", "--accept-unhealthy")
    later = site.belay("resume", "1", "--try-again")
    assert later.code == 6 and "run #2" in later.err, later
