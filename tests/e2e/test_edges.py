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
