"""Release data from each kind of place, asked by the real program of a real HTTP server on loopback."""
import json
import time

import pytest

from belaytest import SERVICE, Release
from releaselib import DAY, seconds, stamp


def test_check_and_notes_from_a_feed_and_without_network(make_site, server):
    site = make_site([Release("1.0.0"), Release("1.0.1"), Release("1.1.0")])
    site.manifest["releases"] = {"feed": server.feed(
        {"version": "1.1.0", "released": stamp(2 * DAY), "security": True,
         "notes": "Adds export.\n\u001b[31mred\u001b[0m\n", "unknown": {"field": 1}},
        {"version": "1.0.1", "released": stamp(9 * DAY), "notes": "# Fixes\n\n- **Mends** a hole"},
        {"version": "1.0.0", "notes": "First"},
        {"version": "1.0.1", "notes": "twice"},
        {"version": "one", "notes": "no version"},
        support=[{"versions": "1.1.x", "status": "current"},
                 {"versions": "<1.1", "status": "end-of-life"}])}
    site.write_manifest()
    said = site.ok("check", SERVICE).out
    assert "1.1.0 is there (minor)" in said
    assert "released 2 d ago, security: Adds export." in said
    assert "Mends a hole" in said and "First" not in said
    assert "1.0.0 is at its end of life; 1.1.0 is current" in said
    assert "release 1.0.1 is there twice" in said and "release 'one' is left out" in said
    assert "\x1b" not in said and "?[31mred" in said
    notes = site.ok("notes", SERVICE).out
    assert notes.index("1.1.0") < notes.index("1.0.1") and "- **Mends** a hole" in notes
    assert "First" in site.ok("notes", SERVICE, "v1.0.0").out
    unknown = site.belay("notes", SERVICE, "3.0.0")
    assert unknown.code == 6 and "says nothing of a release '3.0.0'" in unknown.err

    # The second look is answered with 304, and says the same.
    site.ok("check", SERVICE)
    path, headers = server.asked[-1]
    assert (path, headers.get("If-None-Match")) == ("/releases.json", '"1"')
    assert site.ok("check", SERVICE).out == said

    server.close()
    found = json.loads(site.ok("check", SERVICE, options=("--json",)).out)
    assert [r["version"] for r in found["releases"]] == ["1.1.0", "1.0.1"]
    assert found["support"] == "end-of-life" and found["support_of_newest"] == "current"
    assert "does not answer" in found["release_data"]["trouble"] and found["release_data"]["asked"] > 0
    assert "the release data is from" in site.ok("check", SERVICE).out
    assert "Adds export" in site.ok("notes", SERVICE).out
    site.start()
    status = site.ok("status").out
    assert "1.0.0 is at its end of life" in status


def listed(version, **more):
    return {"tag_name": f"v{version}", "draft": False, "prerelease": False, "body": f"Notes of {version}",
            "published_at": stamp(30 * DAY), **more}


def page(*releases):
    return json.dumps(releases).encode()


def checked(site, **more):
    return json.loads(site.ok("check", SERVICE, options=("--json",), **more).out)


def test_the_release_list_of_github(make_site, server, tmp_path):
    site = make_site([Release(v) for v in ("1.0.0", "1.1.0", "1.2.0", "1.3.0")])
    (tmp_path / "token").write_text("s3cret-token\n")
    site.manifest["releases"] = {"github": "acme/notes", "api": server.url, "token": f"file:{tmp_path}/token"}
    site.write_manifest()
    first, second = "/repos/acme/notes/releases?per_page=100", "/repositories/7/releases?page=2"
    server.pages["/repositories/7/releases"] = (200, {
        "ETag": 'W/"a"', "Link": f'<{server.url}/x>; rel="last", <{server.url}{second}>; rel="next"'},
        page(listed("1.4.0", draft=True), listed("1.3.0", prerelease=True), listed("1.2.0")))
    server.pages[first] = (301, {"Location": "/repositories/7/releases"}, b"")
    server.pages[second] = (200, {}, page(listed("1.1.0", body=None), listed("nightly", tag_name="nightly")))
    found = checked(site)
    assert found["newest"]["version"] == "1.2.0"         # 1.3.0 is said to be a pre-release
    assert [r["version"] for r in found["releases"]] == ["1.2.0", "1.1.0"]
    assert found["releases"][0]["notes"] == "Notes of 1.2.0"
    assert "its tag is no version" in found["release_data"]["warnings"][0]
    assert {headers.get("Authorization") for _, headers in server.asked} == {"Bearer s3cret-token"}
    assert all(headers["Accept"] == "application/vnd.github+json" for _, headers in server.asked)

    # Limited: what is kept is used, and the server is left alone until it said.
    server.pages["/repositories/7/releases"] = (403, {"X-RateLimit-Remaining": "0",
                                                      "X-RateLimit-Reset": str(int(time.time()) + 600)}, b"{}")
    found = checked(site)
    assert "limits how often" in found["release_data"]["trouble"] and len(found["releases"]) == 2
    asked = len(server.asked)
    assert "before 20" in checked(site)["release_data"]["trouble"] and len(server.asked) == asked
    for name in ("releases.json", "offers.json"):
        assert "s3cret" not in (site.state / "services" / SERVICE / name).read_text()


@pytest.mark.parametrize("answer, code, words", [
    ((404, {}, b"{}"), 1, "answered 404"),
    ((401, {}, b"{}"), 1, "It wants a token"),
    ((429, {"Retry-After": "60"}, b""), 1, "limits how often"),
    ((302, {"Location": "http://127.0.0.2:1/elsewhere"}, b""), 1, "sends elsewhere"),
    ((302, {"Location": "//127.0.0.2:1/elsewhere"}, b""), 1, "sends elsewhere"),
    ((200, {"Link": '<http://127.0.0.2:1/p2>; rel="next"'}, b"[]"), 1, "sends elsewhere"),
    ((200, {}, b"<html>hello"), 1, "not valid JSON"),
    ((200, {}, b'{"message": "moved"}'), 1, "no list of releases"),
    ((304, {}, b""), 1, "answered 304"),
    ((200, {}, b"[" + b" " * (4 << 20) + b"]"), 1, "larger than 4 MB"),
])
def test_what_a_server_should_not_answer(make_site, server, answer, code, words):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.manifest["releases"] = {"github": "acme/notes", "api": server.url}
    site.write_manifest()
    server.pages["/repos/acme/notes/releases?per_page=100"] = answer
    # What there is is said all the same; notes, and an update, need what could not be learnt.
    found = site.ok("check", SERVICE).out
    assert "1.1.0 is there" in found and "there is no release data" in found
    result = site.belay("notes", SERVICE)
    assert result.code == code and (words in result.err or words in found), result.err + found
    site.start()
    result = site.belay("update", SERVICE, "1.1.0")
    assert result.code == code and "looking for release data" in result.err and site.runs() == []


def test_a_token_ends_the_patience(make_site, server, tmp_path):
    """What a server limits for everybody it does not limit for who has a token, as the hint says."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.manifest["releases"] = {"github": "acme/notes", "api": server.url}
    site.write_manifest()
    path = "/repos/acme/notes/releases?per_page=100"
    server.pages[path] = (429, {"Retry-After": "600"}, b"")
    assert "limits how often" in checked(site)["release_data"]["trouble"]
    server.pages[path] = (200, {}, page(listed("1.1.0")))
    checked(site)
    assert len(server.asked) == 1
    (tmp_path / "token").write_text("s3cret-token\n")
    site.manifest["releases"]["token"] = f"file:{tmp_path}/token"
    site.write_manifest()
    assert [r["notes"] for r in checked(site)["releases"]] == ["Notes of 1.1.0"]
    # The token has its limit, too; and a clock that was in the future does not silence the server for years.
    server.pages[path] = (429, {"Retry-After": "600"}, b"")
    assert "limits how often" in checked(site)["release_data"]["trouble"]
    asked = len(server.asked)
    checked(site)
    assert len(server.asked) == asked
    kept = site.state / "services" / SERVICE / "releases.json"
    said = json.loads(kept.read_text())
    said["not_before"] += 3 * 365 * DAY * 1000
    kept.write_text(json.dumps(said))
    server.pages[path] = (200, {}, page(listed("1.1.0", body="Anew")))
    assert [r["notes"] for r in checked(site)["releases"]] == ["Anew"]


def test_pages_that_are_too_large_together(make_site, server):
    """Whatever their sizes: also when the first has exactly as many bytes as all of them may have."""
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.manifest["releases"] = {"github": "acme/notes", "api": server.url}
    site.write_manifest()

    def sized(n, size):
        body = page(listed("1.1.0")) if n == 1 else b"[{}]"
        return 200, {"Link": f'<{server.url}/page{n + 1}>; rel="next"'}, body + b" " * (size - len(body))

    server.pages["/repos/acme/notes/releases?per_page=100"] = sized(1, 4 << 20)
    server.pages["/page2"] = sized(2, 1000)
    server.pages["/page3"] = sized(3, 9 << 20)
    server.pages["/page4"] = (200, {}, b"[]")
    found = checked(site)
    assert "larger than 4 MB" in found["release_data"]["trouble"] and len(server.asked) == 1


def test_what_is_behind_a_question_mark_is_shown_to_nobody(make_site, server):
    site = make_site([Release("1.0.0"), Release("1.1.0")])
    site.manifest["releases"] = {"feed": f"{server.url}/releases.json?key=s3cret#s3cret"}
    site.write_manifest()
    site.start()
    for answer in ((404, {}, b""), (200, {}, b"no"), (200, {}, b'{"format": 9, "releases": []}'),
                   (302, {"Location": "http://127.0.0.2:1/x?key=s3cret"}, b""),
                   (302, {"Location": "/releases.json?key=s3cret"}, b"")):
        server.pages["/releases.json?key=s3cret"] = answer
        for command in (("check", SERVICE), ("notes", SERVICE), ("update", SERVICE, "1.1.0")):
            result = site.belay(*command)
            assert "s3cret" not in result.out + result.err, (answer, command)
            assert f"{server.url}" in result.out + result.err, (answer, command)
    server.feed(path="/releases.json?key=s3cret")
    said = site.ok("check", SERVICE)
    assert "s3cret" not in said.out + said.err


def test_the_release_list_of_gitea(make_site, server):
    site = make_site([Release(v) for v in ("1.0.0", "1.1.0", "1.2.0")])
    site.manifest["releases"] = {"gitea": f"{server.url}/git/acme/notes.git"}
    site.write_manifest()
    second = "/git/api/v1/repos/acme/notes/releases?limit=50&page=2"
    server.pages["/git/api/v1/repos/acme/notes/releases?limit=50"] = (
        200, {"Link": f'<{server.url}{second}>; rel="next"'},
        page(listed("1.2.0", published_at="2026-01-02T03:04:05+02:00")))
    server.pages[second] = (200, {}, page(listed("1.1.0")))
    found = checked(site)
    assert [r["version"] for r in found["releases"]] == ["1.2.0", "1.1.0"]
    assert found["releases"][0]["released"] == "2026-01-02T01:04:05Z"


def test_notes_in_the_tree_of_the_target(make_site):
    log = "# Changes\n\n## 1.1.0 (2026-01-05)\n- Adds export\n\n## 1.0.0\n- First\n"
    site = make_site([Release("1.0.0", files={"CHANGELOG.md": "## 1.0.0\n- First\n"}),
                      Release("1.1.0", files={"CHANGELOG.md": log})])
    site.manifest["releases"] = {"files": "CHANGELOG.md"}
    site.write_manifest()
    assert "Adds export" in site.ok("check", SERVICE).out
    assert "Adds export" not in (site.app / "CHANGELOG.md").read_text()
    assert "- First" in site.ok("notes", SERVICE, "1.0.0").out
    site.publish(Release("1.2.0", files={
        "CHANGELOG.md": None, "docs/releases/1.2.0.md": "---\nsecurity: true\n---\nCloses a hole\n",
        "docs/releases/notes.txt": "not this one", "docs/releases/releases.json": json.dumps(
            {"format": 1, "releases": [{"version": "1.1.0", "notes": "From the feed"}]})}))
    site.manifest["releases"] = {"files": "docs/releases/"}
    site.write_manifest()
    found = checked(site)
    assert [(r["version"], r["security"]) for r in found["releases"]] == [("1.2.0", True), ("1.1.0", False)]
    assert site.ok("notes", SERVICE).out.count("From the feed") == 1


def test_what_is_too_young_is_not_offered(make_site, server):
    site = make_site([Release(v) for v in ("1.0.0", "1.1.0", "1.2.0", "1.3.0")])
    site.manifest["cooldown"] = "7d"
    young = stamp(DAY)
    site.manifest["releases"] = {"feed": server.feed(
        {"version": "1.3.0", "released": young}, {"version": "1.2.0", "released": stamp(2 * DAY)},
        {"version": "1.1.0", "released": stamp(8 * DAY)})}
    site.write_manifest()
    found = checked(site)
    assert found["newest"]["version"] == "1.1.0" and found["waiting"]["version"] == "1.3.0"
    assert seconds(found["waiting"]["until"]) - seconds(young) == 7 * DAY
    assert "1.3.0 is there, too, but waits until" in site.ok("check", SERVICE).out
    server.feed({"version": "1.3.0", "released": stamp(DAY), "security": True}, etag='"2"')
    assert checked(site)["newest"]["version"] == "1.3.0"
    # Of 1.2.0 nobody says how old it is now: its commit does.
    server.feed({"version": "1.3.0", "released": stamp(DAY)}, etag='"3"')
    found = checked(site)
    assert found["newest"]["version"] == "1.0.0" and not found["update_available"]
    assert "the newest that is offered" in site.ok("check", SERVICE).out


def test_many_releases_are_cut_short(make_site, server):
    site = make_site([Release("1.0.0"), Release("1.0.60")])
    site.manifest["releases"] = {"feed": server.feed(
        *({"version": f"1.0.{n}", "notes": f"Number {n}"} for n in range(1, 61)), etag='"' + "x" * 300 + '"')}
    site.write_manifest()
    said = site.ok("check", SERVICE).out
    assert "Number 60" in said and "Number 41" in said and "Number 40" not in said and "and 40 older" in said
    assert site.ok("notes", SERVICE).out.count("Number") == 60
    site.ok("check", SERVICE)
    assert server.asked[-1][1].get("If-None-Match") is None      # too long a mark to be kept
