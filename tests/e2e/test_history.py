"""What was: runs through the index, statistics, reports as pages, predictions from earlier runs."""
import html.parser
import json
import os
import re
import shutil
import statistics

import pytest

from belaytest import SERVICE, Release, wait_until

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "br", "link", "img", "hr"}


class Page(html.parser.HTMLParser):
    """Reads a page strictly: every tag closed in its order; keeps text and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def history(make_module_site):
    """Two updates, one that was rolled back, one rollback by hand, one that changed nothing."""
    site = make_module_site([
        Release("1.0.0"), Release("1.1.0", migrations={"01_<b>&amp;.sql": "CREATE TABLE t(a);"}),
        Release("1.2.0"), Release("1.3.0", behaviour="bad-health"), Release("1.4.0")])
    site.start()
    plan = site.ok("plan", SERVICE, "v1.1.0").out
    assert "USUALLY" not in plan and "Expected downtime: not known yet" in plan
    assert "usually_ms" not in site.ok("plan", SERVICE, "v1.1.0", options=("--json",)).out
    site.ok("update", SERVICE, "v1.1.0")
    site.ok("update", SERVICE, "v1.2.0")
    assert site.belay("update", SERVICE, "v1.3.0").code == 3
    site.ok("rollback", SERVICE)
    site.ok("note", "1", EVIL)
    yield site


def rows(site, *args):
    return [line.split() for line in site.ok("runs", *args).out.splitlines()[1:]]


def test_runs_are_the_same_with_and_without_the_index(history):
    with_index = rows(history, SERVICE)
    assert [row[0] for row in with_index] == ["#4", "#3", "#2", "#1"]
    path = history.state / "belay.db"
    assert path.stat().st_mode & 0o777 == 0o600
    for damage in (path.unlink, lambda: path.write_bytes(b""), lambda: path.write_bytes(os.urandom(8192))):
        damage()
        assert rows(history, SERVICE) == with_index
        assert path.read_bytes()[:15] == b"SQLite format 3"


def test_an_index_is_not_needed(history):
    """A directory in its place: nothing can be kept, everything is said all the same."""
    path = history.state / "belay.db"
    wanted = rows(history), history.ok("status").out
    path.unlink()
    path.mkdir()
    try:
        assert rows(history) == wanted[0]
        assert history.ok("status").out.splitlines()[0] == wanted[1].splitlines()[0]
        assert history.ok("report", "--since", "7d").out.startswith("# Updates from ")
    finally:
        path.rmdir()


def test_status_knows_the_newest_run(history):
    row = history.ok("status").out.splitlines()[1]
    assert "#4 rolled back by hand" in row


def measured(history):
    """What the journals say, read here from the reports of each run."""
    return [json.loads(history.ok("report", str(run), "--format", "json").out) for run in history.runs()]


def test_statistics_are_what_the_runs_add_up_to(history):
    runs = measured(history)
    stats = json.loads(history.ok("report", "--since", "1d", "--format", "json").out)
    updates = [run for run in runs if run["kind"] == "update"]
    took = [run["ended"] - run["began"] for run in updates if run["state"] == "succeeded"]
    gaps = [run["without_service_ms"] for run in runs if "without_service_ms" in run]
    of = stats["all"]
    assert (of["updates"], of["succeeded"], of["rolled_back"]) == (3, 2, 1)
    assert of["success_percent"] == 67
    assert of["took"]["median_ms"] == int(statistics.median(took))
    assert of["took"]["p90_ms"] == of["took"]["longest_ms"] == max(took)
    assert of["without_service"]["n"] == len(gaps) == 4
    assert of["without_service"]["median_ms"] == int(statistics.median(gaps))
    assert of["without_service"]["total_ms"] == sum(gaps)
    assert (of["ways_back"], of["ways_back_ended_well"], of["rollbacks_by_hand"]) == (2, 2, 1)
    assert sum(cause["n"] for cause in of["causes"]) == 1
    assert [one["service"] for one in stats["services"]] == [SERVICE]
    assert {**stats["services"][0], "service": None} == {**of, "service": None}


def times_of(runs, name, instance):
    """Of the last five updates that did this step, newest first."""
    found = []
    for run in reversed(runs):
        found += [step["ended"] - step["began"] for step in run["steps"] if run["kind"] == "update"
                  and step["step"] == name and step.get("instance") == instance and step["state"] == "done"]
    return found[:5]


def test_a_plan_says_what_is_usual(history):
    runs = measured(history)
    plan = json.loads(history.ok("plan", SERVICE, "v1.4.0", options=("--json",)).out)
    known = {(step["name"], step.get("instance")): step.get("usually_ms") for step in plan["steps"]}
    for (name, instance), usual in known.items():
        times = times_of(runs, name, instance)
        if name == "monitor":
            assert usual == 300     # what the manifest says now
        elif times:
            assert usual == int(statistics.median(times)), (name, times)
        else:
            assert usual is None, name
    assert known[("backup", None)] is not None and known[("tidy-old", None)] is not None
    gaps = [run["without_service_ms"] for run in runs if run["kind"] == "update" and run["state"] == "succeeded"]
    assert plan["expected_downtime"] == {
        "ms": int(statistics.median(gaps)), "shortest_ms": min(gaps), "longest_ms": max(gaps), "runs": 2}
    text = history.ok("plan", SERVICE, "v1.4.0").out
    assert text.splitlines()[[line.split()[:1] == ["#"] for line in text.splitlines()].index(True)].endswith("USUALLY")
    assert re.search(r"Expected downtime \d.* \(last two updates: \d", text), text


def test_a_plan_is_the_same_with_and_without_history(history):
    plan = json.loads(history.ok("plan", SERVICE, "v1.4.0", options=("--json",)).out)
    runs = history.state / "runs"
    runs.rename(history.state / "aside")
    try:
        without = json.loads(history.ok("plan", SERVICE, "v1.4.0", options=("--json",)).out)
    finally:
        runs.rmdir() if runs.exists() else None
        (history.state / "aside").rename(runs)
    assert without["plan"] == plan["plan"] and "expected_downtime" not in without


def test_statistics_for_people(history):
    text = history.ok("report", "--since", "7d", SERVICE).out
    assert "3 updates of 1 service: 2 succeeded, 1 rolled back" in text
    assert "| Updates that succeeded | 67 % | 2 of 3 |" in text
    assert "## Most common causes of failure\n\n1. " in text
    page = Page(history.ok("report", "--since", "7d", "--format", "html").out)
    assert "2 succeeded, 1 rolled back" in page.text()


def test_statistics_of_another_time(history):
    stats = json.loads(history.ok("report", "--since", "2h", "--format", "json").out)
    assert stats["all"]["updates"] == 3
    nothing = history.ok("report", "--since", "0s")
    assert "No update has ended in this time." in nothing.out
    for wrong in ("soon", "7", "-1d", "2026-02-30", "400d"):
        result = history.belay("report", "--since", wrong)
        assert result.code == 2 and wrong in result.err, result


def test_report_wants_a_run_or_a_time(history):
    assert history.belay("report").code == 2
    assert history.belay("report", "1", "--format", "pdf").code == 2
    assert history.belay("report", "99").code == 2


def test_the_page_is_the_checklist_filled_in(history):
    for run in history.runs():
        text = history.ok("report", str(run), "--format", "html").out
        assert (history.state / "runs" / str(run) / "report.html").read_text().split("<h2>Notes")[0] \
            == text.split("<h2>Notes")[0]
        page = Page(text)
        assert not {"script", "link", "img", "iframe"} & set(page.tags)
        assert not [a for a in page.attributes if a[0] in ("href", "src", "onload", "onclick")]
        assert "http-equiv" in text and "default-src 'none'" in text
        words = page.text()
        for wanted in ("Old version", "Without service", "Validation before the update" if run != 4 else "Run",
                       "Decision", "Carried out by", "Checked by", "Notes"):
            assert wanted in words, (run, wanted)
    good = history.ok("report", "2", "--format", "html").out
    assert "☑</span><span class=\"what\">Update successful" in good
    back = Page(history.ok("report", "3", "--format", "html").out).text()
    assert "The way back" in back and "What failed" in back and "verify the old version" in back


def test_texts_in_a_page_do_nothing(history):
    text = history.ok("report", "1", "--format", "html").out
    assert EVIL in Page(text).text()
    assert "<script" not in text
    assert "01_<b>&amp;.sql" in Page(text).text()


def test_a_report_of_a_damaged_journal(history):
    journal = history.state / "runs" / "2" / "journal"
    good = journal.read_bytes()
    copy = history.state / "copy"
    shutil.copy2(journal, copy)
    try:
        journal.write_bytes(good[:300] + b"<i>" + good[303:])
        page = Page(history.ok("report", "2", "--format", "html").out)
        assert "damaged" in page.text()
        assert ["#2", SERVICE, "?"] == next(row for row in rows(history) if row[0] == "#2")[:3]
        stats = json.loads(history.ok("report", "--since", "7d", "--format", "json").out)
        assert stats["all"]["damaged"] == 1 and stats["all"]["updates"] == 2
    finally:
        os.replace(copy, journal)
    assert json.loads(history.ok("report", "--since", "7d", "--format", "json").out)["all"]["damaged"] == 0


def test_current_state_is_complete(history):
    text = (history.state / "CURRENT_STATE.md").read_text()
    assert f"| {SERVICE} | 1.1.0 (" in text
    assert "#4 rolled back by hand" in text
    history.ok("add", str(history.dir / "belay.yaml"))
    other = history.dir / "other.yaml"
    other.write_text((history.dir / "belay.yaml").read_text().replace("service: notes", "service: waiting"))
    history.ok("add", str(other))
    history.ok("update", SERVICE, "v1.4.0")
    text = (history.state / "CURRENT_STATE.md").read_text()
    assert f"| {SERVICE} | 1.4.0 (" in text and "#5 updated" in text
    assert "| waiting | – | – | none | – | – |" in text


def test_status_says_that_the_keeper_gave_up(make_site):
    """Its pauses add up to a minute: the record of a keeper that has tried often enough is written here."""
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="slow-start:60")],
                     manifest={"start": {"timeout": "90s"}})
    site.start()
    update = site.belay_start("update", SERVICE, "v1.1.0")
    wait_until(lambda: site.runs() and any(kind == "ARM" for kind, _ in site.journal()), what="ARM")
    # One look, and the runner first: it would have a dead keeper replaced. The keeper waits 2 s before it does anything.
    for process in sorted((p for p in site.processes() if " keeper" in p.command or " runner" in p.command),
                          key=lambda p: " keeper" in p.command):
        process.kill()
    update.communicate(timeout=30)
    path = next(site.state.glob("services/notes/keeper*.json"))
    record = json.loads(path.read_text())
    assert record.get("guard", {}).get("run") == 1, (record, site.journal()[-4:], [p.command for p in site.processes()])
    record["guard"]["attempts"] = 5
    path.write_text(json.dumps(record))
    said = site.ok("status").out
    assert "run #1 is open: the keeper tried 5 times to finish it, and gave up. `belay resume 1`" in said, said
    assert site.ok("status", options=("--json",)).lines()[0][0]["last_run"]["resume_given_up"] is True
    record["guard"]["attempts"] = 4
    path.write_text(json.dumps(record))
    assert "gave up" not in site.ok("status").out
    assert site.belay("cancel", "1").code == 3
    assert "is open" not in site.ok("status").out
    site.assert_whole(version="1.0.0")
