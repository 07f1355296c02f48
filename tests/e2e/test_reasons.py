"""Reasons why not: plan, status and update say the same, with the same codes, and each says how to clear it."""
import json

import pytest

from belaytest import SERVICE, Release, git, wait_until

JSON = ("--yes", "--json")


def reasons_of(site, *args, code):
    result = site.belay(*args, options=JSON)
    assert result.code == code, (result.out, result.err)
    return result.lines()[-1]["reasons"]


def status_of(site):
    return json.loads(site.ok("status", SERVICE, options=("--json",)).out)[0]


@pytest.fixture
def site(make_site):
    made = make_site([Release("1.0.0"), Release("1.1.0"), Release("2.0.0")])
    made.start()
    return made


def test_plan_update_and_status_say_the_same(site):
    site.ok("check", SERVICE)
    planned = reasons_of(site, "plan", SERVICE, "2.0.0", code=6)
    assert planned == reasons_of(site, "update", SERVICE, "2.0.0", code=6) == status_of(site)["reasons"]
    assert [r["code"] for r in planned] == ["breaking"]
    assert planned[0]["option"] == "--accept-breaking" and planned[0]["hard"] is False
    assert planned[0]["lifts_at"] is None and "--accept-breaking" in planned[0]["clear"]
    shown = site.belay("plan", SERVICE, "2.0.0")
    assert shown.code == 6 and "Blocked" in shown.out and "[breaking]" in shown.out and "verify" in shown.out
    assert "belay update" not in shown.out          # nothing is offered that would be refused
    text = site.ok("status").out
    assert "2.0.0 blocked" in text and "--accept-breaking" in text
    site.ok("update", SERVICE, "2.0.0", "--accept-breaking")
    assert status_of(site)["update"] == "none"


def test_all_of_them_at_once_and_what_comes_first(site):
    (site.app / "VERSION").write_text("changed here\n")
    site.ok("stop", SERVICE)
    site.ok("lock", SERVICE, "-m", "stocktaking", "--until", "2h")
    found = reasons_of(site, "plan", SERVICE, "2.0.0", code=5)
    assert [r["code"] for r in found] == ["locked", "breaking", "local-changes", "unhealthy"]
    assert [r["hard"] for r in found] == [True, False, True, False]
    assert found[0]["lifts_at"] > 0
    refused = site.belay("update", SERVICE, "2.0.0")
    assert refused.code == 5 and "stocktaking [locked]" in refused.err
    assert all(f"[{r['code']}]" in refused.err for r in found)
    site.ok("unlock", SERVICE)
    assert reasons_of(site, "update", SERVICE, "2.0.0", code=6) == found[1:]
    git(site.app, "checkout", "-q", "VERSION")
    soft = ("--accept-breaking", "--accept-unhealthy")
    assert json.loads(site.ok("plan", SERVICE, "2.0.0", *soft, options=JSON).out)["reasons"] == []
    site.ok("update", SERVICE, "2.0.0", *soft)


@pytest.mark.parametrize("wanted, code", [("1.9.9", "no-such-version"), ("0.9.0", "downgrade")])
def test_the_target(make_site, wanted, code):
    site = make_site([Release("0.9.0"), Release("1.0.0")], installed="v1.0.0")
    site.start()
    found = reasons_of(site, "plan", SERVICE, wanted, code=6)
    assert [r["code"] for r in found] == [code]
    assert found == reasons_of(site, "update", SERVICE, wanted, code=6)


def test_a_moved_tag(site):
    site.ok("check", SERVICE)
    git(site.dir / "upstream", "tag", "-f", "v1.1.0", "v1.0.0^{commit}")
    git(site.dir / "upstream", "push", "-q", "-f", "origin", "v1.1.0")
    found = reasons_of(site, "plan", SERVICE, "1.1.0", code=6)
    assert [(r["code"], r["option"]) for r in found] == [("moved-tag", "--even-if-bad")]


def test_an_open_run_is_the_only_reason(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0")], manifest={"monitor": {"for": "20s", "every": "50ms"}})
    site.start()
    site.ok("update", SERVICE, "1.1.0", "--no-wait", env={"BELAY_NO_KEEPER_RESUME": "1"})
    assert [r["code"] for r in reasons_of(site, "plan", SERVICE, code=5)] == ["run-under-way"]
    runner = next(p for p in site.processes() if p.command.endswith(" runner"))
    runner.kill()
    wait_until(lambda: not runner.alive(), what="the runner's end")
    found = reasons_of(site, "plan", SERVICE, code=7)
    assert [r["code"] for r in found] == ["run-open"] and "belay resume 1" in found[0]["clear"]
    assert found == reasons_of(site, "update", SERVICE, code=7)
    shown = site.belay("plan", SERVICE)
    assert shown.code == 7 and "STEP" not in shown.out


def test_there_is_no_way_back_yet(site):
    assert [r["code"] for r in reasons_of(site, "rollback", SERVICE, code=6)] == ["no-version-before"]


def test_a_service_that_cannot_be_looked_at_is_told_in_json_too(make_site):
    site = make_site([Release("1.0.0")])
    site.ok("add")
    manifest = site.dir / "belay.yaml"
    manifest.write_text("service: notes\nno: way\n")
    result = site.belay("status", options=("--json",))
    told = json.loads(result.out)
    assert result.code == 2 and told[0]["manifest"] == str(manifest)
    assert told[0]["error"]["exit"] == 2 and told[0]["error"]["message"] in result.err


def test_more_migrations_than_one_run_can_journal(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", migrations={f"{i:03}.sql": "SELECT 1;" for i in range(450)})])
    site.start()
    found = reasons_of(site, "plan", SERVICE, code=6)
    assert [r["code"] for r in found] == ["migrations"] and "450 migrations" in found[0]["message"]
    assert "in between" in found[0]["clear"] and site.runs() == []


def test_a_lock_is_in_nobodys_way_when_there_is_nothing_to_do(make_site):
    site = make_site([Release("1.0.0")])
    site.start()
    site.ok("lock", SERVICE, "-m", "stocktaking")
    for verb in ("plan", "update"):
        assert "is at 1.0.0" in site.ok(verb, SERVICE).out
        assert "is at 1.0.0" in json.loads(site.ok(verb, SERVICE, options=JSON).out)["nothing_to_do"]
    site.publish(Release("1.1.0"))
    assert [r["code"] for r in reasons_of(site, "update", SERVICE, code=5)] == ["locked"]
