/* Release data as others write it: what is read, what is left out, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/units.h"
#include "model/release_data.h"
#include "model/release_path.h"
#include "model/version_range.h"

/* -- ranges -- */

typedef struct RangeCase {
        const char *range, *version;
        bool holds;
} RangeCase;

static const RangeCase ranges[] = {
        {">=0.2.4", "0.2.4", true},
        {">=0.2.4", "v0.2.4", true},
        {">=0.2.4", "0.2.3", false},
        {">=0.2.4", "0.2.4-rc.1", false},
        {"0.3.x", "0.3.0", true},
        {"0.3.*", "0.3.99", true},
        {"0.3", "0.3.7", true},
        {"0.3.x", "0.4.0", false},
        {"0.3.x", "1.3.0", false},
        {"<0.2", "0.1.9", true},
        {"<0.2", "0.2.0", false},
        {"<=1.6", "1.6.9", true},
        {"<=1.6", "1.7.0", false},
        {">1.6", "1.6.9", false},
        {">1.6", "1.7.0", true},
        {">1", "1.9.9", false},
        {">=1.2 <2", "1.9.0", true},
        {">=1.2, <2", "2.0.0", false},
        {"1.2.3", "1.2.3", true},
        {"=1.2.3", "1.2.4", false},
        {"*", "7.7.7", true},
        {"x", "0.0.1", true},
        {"1.x", "1.0.0", true},
        {"1.x", "latest", false},
        {"1.x", NULL, false},
};

static void test_ranges_hold(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(ranges); i++)
                if (version_range_holds(ranges[i].range, ranges[i].version) != ranges[i].holds)
                        fail_msg("%s of %s", ranges[i].range,
                                ranges[i].version ? ranges[i].version : "(none)");
}

static void test_what_is_no_range(void **unused) {
        (void)unused;
        static const char *const bad[] = {"", " ", "latest", ">=", ">*", "1.2.3.4", "1..2", "1.x.2",
                "01.2", "^1.2", "~1", "1.2.", "-1", "1 || 2", ">=1 >=1 >=1 >=1 >=1",
                "99999999999999999999999.1"};
        for (size_t i = 0; i < COUNT_OF(bad); i++)
                if (version_range_ok(bad[i]))
                        fail_msg("'%s' is taken", bad[i]);
        scoped(free_str) char *huge = mem_new(1, 4096);
        memset(huge, '1', 4000);
        assert_false(version_range_ok(huge));
        assert_false(version_range_ok(NULL));
}

/* -- the feed -- */

static bool read_feed(const char *text, ReleaseData *ret, Err *err) {
        if (!release_data_add_feed(ret, text, strlen(text), "feed", err))
                return false;
        release_data_sort(ret);
        return true;
}

#define FEED(releases) "{\"format\":1,\"releases\":[" releases "]}"

static void test_a_whole_feed(void **unused) {
        (void)unused;
        static const char text[] =
                "{\"format\":1,\"product\":\"shop\",\"what\":[{}],\"support\":["
                "{\"versions\":\"0.3.x\",\"status\":\"current\"},"
                "{\"versions\":\"<0.2\",\"status\":\"end-of-life\"},"
                "{\"versions\":\"?\",\"status\":\"current\"},{\"status\":\"gone\"},7],"
                "\"releases\":[{\"version\":\"v0.2.9\"},{\"version\":\"0.3.1\",\"released\":"
                "\"2026-10-02T08:00:00.5+02:00\",\"image\":\"x\",\"digest\":\"y\",\"breaking\":"
                "false,"
                "\"security\":true,\"requires_from\":\">=0.2.4\",\"stop\":true,\"settings\":["
                "{\"name\":\"EXPORT_KEY\",\"secret\":true,\"bytes\":48,\"as\":\"base64\","
                "\"required\":true},{\"name\":\"B\"}],\"migrations\":\"manual\","
                "\"compatible_schema\":true,\"notes\":\"a\\r\\n\\u001b[31mb\\tc\\n\\n\","
                "\"migration_guide\":\"do it\",\"other\":null}]}";
        scoped(release_data_done) ReleaseData data = {0};
        scoped(err_clear) Err err = {0};
        int64_t released = 0;
        assert_true(read_feed(text, &data, &err));
        assert_int_equal(data.n, 2);
        const ReleaseInfo *info = release_data_find(&data, "v0.3.1");
        assert_ptr_equal(info, &data.items[0]);
        assert_true(time_parse("2026-10-02T06:00:00Z", &released));
        assert_int_equal(info->released_ms, released);
        assert_int_equal(info->breaking, SAID_NO);
        assert_true(info->security && info->stop && !info->prerelease);
        assert_string_equal(info->requires_from, ">=0.2.4");
        assert_int_equal(info->n_settings, 2);
        assert_string_equal(info->settings[0].name, "EXPORT_KEY");
        assert_true(info->settings[0].required && info->settings[0].secret);
        assert_int_equal(info->settings[0].bytes, 48);
        assert_int_equal(info->settings[0].as, SECRET_BASE64);
        assert_false(info->settings[1].required || info->settings[1].secret);
        assert_int_equal(info->migrations, RELEASE_MIGRATIONS_MANUAL);
        assert_int_equal(info->compatible_schema, SAID_YES);
        assert_string_equal(info->notes, "a\n?[31mb\tc");
        assert_string_equal(info->migration_guide, "do it");
        assert_int_equal(release_data_find(&data, "0.2.9")->breaking, NOT_SAID);
        assert_int_equal(release_data_support(&data, "0.3.1"), SUPPORT_CURRENT);
        assert_int_equal(release_data_support(&data, "0.1.0"), SUPPORT_END_OF_LIFE);
        assert_int_equal(release_data_support(&data, "0.2.9"), SUPPORT_NOT_SAID);
        assert_int_equal(strv_count(data.warnings), 3);

        /* What is kept is read again as the same. */
        scoped(js_freep) json_t *json = release_data_to_json(&data);
        scoped(free_str) char *line = js_line(json);
        scoped(release_data_done) ReleaseData again = {0};
        assert_true(read_feed(line, &again, &err));
        scoped(js_freep) json_t *json_again = release_data_to_json(&again);
        assert_true(json_equal(json, json_again));
}

typedef struct BadFeed {
        const char *text, *says;
} BadFeed;

static const BadFeed no_feeds[] = {
        {"", "not valid JSON"},
        {"<html>", "not valid JSON"},
        {"{\"format\":1,\"releases\":[]", "not valid JSON"},
        {"{\"format\":1,\"format\":1,\"releases\":[]}", "not valid JSON"},
        {"[]", "no release feed"},
        {"{\"format\":1}", "no release feed"},
        {"{\"format\":1,\"releases\":{}}", "no release feed"},
        {"{\"releases\":[]}", "not of format 1"},
        {"{\"format\":2,\"releases\":[]}", "not of format 1"},
        {"{\"format\":\"1\",\"releases\":[]}", "not of format 1"},
};

static void test_what_is_no_feed_is_refused_whole(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(no_feeds); i++) {
                scoped(release_data_done) ReleaseData data = {0};
                scoped(err_clear) Err err = {0};
                assert_false(read_feed(no_feeds[i].text, &data, &err));
                assert_int_equal(err.code, ERR_CORRUPT);
                if (!strstr(err.message, no_feeds[i].says))
                        fail_msg("%s: %s", no_feeds[i].text, err.message);
                assert_int_equal(data.n, 0);
        }
}

/* Each stands beside a good one, which is kept. */
static const BadFeed bad_releases[] = {
        {"7", "no object"},
        {"{}", "'version' is not there"},
        {"{\"version\":1}", "'version' is not"},
        {"{\"version\":\"latest\"}", "'version' is not"},
        {"{\"version\":\"1.2\"}", "'version' is not"},
        {"{\"version\":\"1.02.3\"}", "'version' is not"},
        {"{\"version\":\"99999999999999999999.0.0\"}", "'version' is not"},
        {"{\"version\":\"1.0.0\\u001b[2J\"}", "release '1.0.0?[2J' is left out"},
        {"{\"version\":\"1.0.0\",\"released\":\"yesterday\"}", "'released' is not"},
        {"{\"version\":\"1.0.0\",\"released\":\"2026-02-30T00:00:00Z\"}", "'released' is not"},
        {"{\"version\":\"1.0.0\",\"released\":\"2026-02-03T04:05:06+99:00\"}", "'released' is not"},
        {"{\"version\":\"1.0.0\",\"released\":1760000000}", "'released' is not"},
        {"{\"version\":\"1.0.0\",\"breaking\":\"no\"}", "'breaking' is not true or false"},
        {"{\"version\":\"1.0.0\",\"stop\":1}", "'stop' is not true or false"},
        {"{\"version\":\"1.0.0\",\"security\":null}", "'security' is not true or false"},
        {"{\"version\":\"1.0.0\",\"requires_from\":\"newer\"}", "'requires_from' is not"},
        {"{\"version\":\"1.0.0\",\"requires_from\":[]}", "'requires_from' is not"},
        {"{\"version\":\"1.0.0\",\"migrations\":\"yes\"}", "'migrations' is not"},
        {"{\"version\":\"1.0.0\",\"notes\":[\"a\"]}", "'notes' is not text"},
        {"{\"version\":\"1.0.0\",\"settings\":{}}", "'settings' is not"},
        {"{\"version\":\"1.0.0\",\"settings\":[{}]}", "'settings' is not"},
        {"{\"version\":\"1.0.0\",\"settings\":[{\"name\":\"A B\"}]}", "'settings' is not"},
        {"{\"version\":\"1.0.0\",\"settings\":[{\"name\":\"A\",\"bytes\":1}]}", "'bytes' is not"},
        {"{\"version\":\"1.0.0\",\"settings\":[{\"name\":\"A\",\"bytes\":1e9}]}", NULL},
        {"{\"version\":\"1.0.0\",\"settings\":[{\"name\":\"A\",\"as\":\"rot13\"}]}", "'as' is not"},
        {"{\"version\":\"2.0.0\",\"notes\":\"the same again\"}", "is there twice"},
        {"{\"version\":\"v2.0.0\"}", "is there twice"},
};

static void test_a_bad_release_is_left_out_and_the_others_stay(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(bad_releases); i++) {
                scoped(release_data_done) ReleaseData data = {0};
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *text =
                        str_format(FEED("{\"version\":\"2.0.0\"},%s,{\"version\":\"3.0.0\"}"),
                                bad_releases[i].text);
                assert_true(read_feed(text, &data, &err));
                if (!bad_releases[i].says)
                        continue;
                assert_int_equal(data.n, 2);
                assert_int_equal(strv_count(data.warnings), 1);
                if (!strstr(data.warnings[0], bad_releases[i].says))
                        fail_msg("%s: %s", bad_releases[i].text, data.warnings[0]);
        }
}

static void test_numbers_and_sizes_are_limited(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        scoped(release_data_done) ReleaseData data = {0};
        scoped(err_clear) Err err = {0};
        str_add(&text, "{\"format\":1,\"releases\":[{\"version\":\"9.9.9\",\"notes\":\"");
        for (int i = 0; i < RELEASE_TEXT_MAX; i++)
                str_add(&text, i % 80 == 79 ? "\\n" : "\xC3\xA9");
        str_add(&text, "\"}");
        for (int i = 0; i < RELEASES_MAX + 50; i++)
                str_addf(&text, ",{\"version\":\"1.0.%d\"}", i);
        str_add(&text, "]}");
        assert_true(read_feed(text.text, &data, &err));
        assert_int_equal(data.n, RELEASES_MAX);
        assert_true(strv_count(data.warnings) <= RELEASE_WARNINGS_MAX + 1);
        const char *notes = data.items[0].notes;
        assert_true(strlen(notes) < RELEASE_TEXT_MAX + 100);
        assert_true(str_ends(notes, "\xC3\xA9\n\n(the rest is cut off)"));
}

/* -- lists of releases -- */

static void test_a_page_of_releases(void **unused) {
        (void)unused;
        static const char page[] =
                "[{\"tag_name\":\"v1.3.0\",\"draft\":true,\"body\":\"not yet\"},"
                "{\"tag_name\":\"v1.2.0\",\"published_at\":\"2026-10-02T08:00:00Z\",\"prerelease\":"
                "true,\"body\":\"# News\\r\\n\\r\\n### Breaking changes\\r\\nall\\r\\n## Upgrade "
                "guide\\r\\n"
                "Step 1\\r\\n### Step 2\\r\\n## Thanks\\r\\n\"},"
                "{\"tag_name\":\"v1.1.0\",\"body\":null,\"published_at\":null},"
                "{\"tag_name\":\"nightly\",\"body\":\"x\"},{\"name\":\"none\"},"
                "{\"tag_name\":\"v1.0.0\",\"body\":\"<!-- belay\\nstop: true\\nrequires_from: "
                "\\\">=0.9\\\"\\nmigrations: manual\\nversion: 9.9.9\\n-->\\nFirst\"}]";
        scoped(release_data_done) ReleaseData data = {0};
        scoped(err_clear) Err err = {0};
        size_t n = 0;
        assert_true(release_data_add_page(&data, page, strlen(page), "page", &n, &err));
        release_data_sort(&data);
        assert_int_equal(n, 6);
        assert_int_equal(data.n, 3);
        assert_int_equal(strv_count(data.warnings), 2);
        const ReleaseInfo *two = &data.items[0], *none = &data.items[2];
        assert_true(two->prerelease && two->released_ms);
        assert_int_equal(two->breaking, SAID_YES);
        assert_string_equal(two->migration_guide, "Step 1\n### Step 2");
        assert_null(data.items[1].notes);
        assert_string_equal(none->version, "1.0.0");
        assert_string_equal(none->notes, "First");
        assert_string_equal(none->requires_from, ">=0.9");
        assert_true(none->stop);
        assert_int_equal(none->migrations, RELEASE_MIGRATIONS_MANUAL);
        static const char other[] = "{\"message\":\"Not Found\"}";
        assert_false(release_data_add_page(&data, other, strlen(other), "page", &n, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
}

/* -- changelogs and notes -- */

static void test_changelogs(void **unused) {
        (void)unused;
        static const char text[] =
                "# Changelog\n\nAll of it.\n\n"
                "## [Unreleased]\n- soon\n\n"
                "## [2.1.0] - 2026-02-03\n### Added\n- an export\n"
                "```\n## 7.7.7\n```\n### Security\n- a hole\n"
                "## v2.0.0 (2026-01-02)\nbig\n"
                "### [1.9.1](https://example.com/compare/v1.9.0...v1.9.1) (2025-12-01)\n* fix\n"
                "Version 1.9.0 / 2025-11-01\n==========================\n- old\n"
                "## 2.0.0\nagain\n"
                "## Release 1.8.0\n";
        scoped(release_data_done) ReleaseData data = {0};
        release_data_add_changelog(&data, text);
        release_data_sort(&data);
        static const char *const versions[] = {"2.1.0", "2.0.0", "1.9.1", "1.9.0", "1.8.0"};
        static const char *const days[] = {
                "2026-02-03", "2026-01-02", "2025-12-01", "2025-11-01", NULL};
        assert_int_equal(data.n, COUNT_OF(versions));
        for (size_t i = 0; i < data.n; i++) {
                int64_t day = 0;
                assert_string_equal(data.items[i].version, versions[i]);
                assert_true(!days[i] || time_parse(days[i], &day));
                assert_int_equal(data.items[i].released_ms, day);
        }
        assert_true(strstr(data.items[0].notes, "## 7.7.7") && data.items[0].security);
        assert_false(data.items[1].security);
        assert_string_equal(data.items[1].notes, "big");
        assert_string_equal(data.items[3].notes, "- old");
        assert_null(data.items[4].notes);
        assert_int_equal(strv_count(data.warnings), 1);
}

static void test_what_stands_in_front_of_notes(void **unused) {
        (void)unused;
        scoped(release_data_done) ReleaseData data = {0};
        release_data_add_notes(&data, "v1.2.0",
                "---\nreleased: 2026-02-03\nbreaking: true\nsettings: [{\"name\": \"A\", "
                "\"required\": true}]\nother: {\n---\nNews\n");
        release_data_add_notes(&data, "1.3.0", "---\nbreaking: maybe\n---\nNews\n");
        release_data_add_notes(&data, "1.4.0", "---\nnot ended\n");
        release_data_add_notes(&data, "1.5.0", "---\nbreaking: false\n---\n# Breaking news\n");
        release_data_sort(&data);
        /* "other" is unknown, but its value is no JSON: that release says something nobody can read. */
        assert_int_equal(data.n, 2);
        assert_string_equal(data.items[1].notes, "---\nnot ended");
        assert_string_equal(data.items[0].version, "1.5.0");
        assert_int_equal(data.items[0].breaking, SAID_NO);
        assert_int_equal(strv_count(data.warnings), 2);
}

static void test_notes_in_short(void **unused) {
        (void)unused;
        static const struct {
                const char *notes, *says;
        } cases[] = {
                {NULL, ""},
                {"", ""},
                {"# Title\n\n---\n<!-- x -->\n", ""},
                {"# Title\n\n- **One** `two`\n* three\n", "One two · three"},
                {"a long line that goes on and on", "a long line that goe…"},
                {"nineteen bytes here \xC3\xA9\xC3\xA9", "nineteen bytes here …"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(free_str) char *said = release_notes_short(cases[i].notes, 20);
                assert_string_equal(said, cases[i].says);
        }
}

/* -- breaking -- */

static void test_breaking_on_the_way(void **unused) {
        (void)unused;
        static const char text[] =
                FEED("{\"version\":\"1.1.0\"},{\"version\":\"1.2.0\",\"breaking\":true},"
                     "{\"version\":\"1.3.0\",\"breaking\":false},{\"version\":\"2.0.0\","
                     "\"breaking\":false},"
                     "{\"version\":\"2.1.0\"},{\"version\":\"3.0.0-rc.1\",\"breaking\":true}");
        static const struct {
                const char *from, *to, *which;
        } cases[] = {
                {"1.0.0", "1.1.0", NULL},
                {"1.0.0", "1.3.0", "1.2.0"},
                {"1.2.0", "1.3.0", NULL},
                {"1.3.0", "2.1.0", NULL}, /* said of 2.0.0, which crosses the line */
                {"2.1.0", "3.0.0", "3.0.0"},
                {"2.0.0", "1.3.0", NULL},
                {"abcdef", "2.0.0", NULL},
        };
        scoped(release_data_done) ReleaseData data = {0};
        scoped(release_data_done) ReleaseData nothing = {0};
        assert_true(read_feed(text, &data, NULL));
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                const char *which = NULL;
                bool breaks = release_data_breaking(&data, cases[i].from, cases[i].to, &which);
                if (breaks != (cases[i].which != NULL))
                        fail_msg("%s to %s", cases[i].from, cases[i].to);
                if (breaks)
                        assert_string_equal(which, cases[i].which);
        }
        const char *which = NULL;
        assert_true(release_data_breaking(&nothing, "1.3.0", "2.1.0", &which));
        assert_true(release_data_breaking(&nothing, "0.1.0", "0.2.0", &which));
        assert_false(release_data_breaking(&nothing, NULL, "2.1.0", &which));
}

/* -- the way -- */

static bool not_the_missing(void *context, const char *version) {
        return strcmp(version, context) != 0;
}

typedef struct WayCase {
        const char *releases, *from, *to, *missing;
        const char *way; /* NULL: there is none */
} WayCase;

#define R(v, more) "{\"version\":\"" v "\"" more "},"
#define STOP       ",\"stop\":true"
#define FROM(r)    ",\"requires_from\":\"" r "\""

static const WayCase ways[] = {
        {R("1.3.0", ""), "1.2.0", "2.1.0", "", "2.1.0"},
        {R("1.6.0", STOP) R("2.1.0", ""), "1.2.0", "2.1.0", "", "1.6.0 2.1.0"},
        {R("1.6.0", STOP), "v1.2.0", "v2.1.0", "", "1.6.0 2.1.0"},
        {R("1.6.0", STOP), "1.6.0", "2.1.0", "", "2.1.0"},
        {R("1.6.0", STOP), "1.2.0", "1.6.0", "", "1.6.0"},
        {R("1.6.0", STOP), "1.2.0", "1.5.0", "", "1.5.0"},
        {R("1.4.0", STOP) R("1.6.0", STOP), "1.2.0", "2.0.0", "", "1.4.0 1.6.0 2.0.0"},
        {R("1.6.0", STOP), "1.2.0", "2.1.0", "1.6.0", NULL},
        {R("1.6.0-rc.1", STOP), "1.2.0", "2.1.0", "", "2.1.0"},
        {R("2.1.0", FROM(">=1.6")) R("1.6.0", "") R("1.7.0", ""), "1.2.0", "2.1.0", "",
                "1.7.0 2.1.0"},
        {R("2.1.0", FROM(">=1.6")) R("1.6.0", "") R("1.7.0", ""), "1.2.0", "2.1.0", "1.7.0",
                "1.6.0 2.1.0"},
        {R("2.1.0", FROM(">=1.6")) R("1.6.0", ""), "1.6.0", "2.1.0", "", "2.1.0"},
        {R("2.1.0", FROM(">=1.6")) R("1.7.0", FROM(">=1.4")) R("1.5.0", ""), "1.2.0", "2.1.0", "",
                "1.5.0 1.7.0 2.1.0"},
        {R("2.1.0", FROM(">=1.6")) R("1.5.0", ""), "1.2.0", "2.1.0", "", NULL},
        {R("2.1.0", FROM(">=3")), "1.2.0", "2.1.0", "", NULL},
        {R("2.1.0", FROM("1.6.x")) R("1.6.3", "") R("1.7.0", ""), "1.2.0", "2.1.0", "",
                "1.6.3 2.1.0"},
        {R("2.1.0", FROM("<1")), "2.2.0", "2.1.0", "", "2.1.0"}, /* back: not this one's question */
        {R("2.1.0", FROM("<1")), "main", "2.1.0", "", "2.1.0"},
};

static void test_the_way_through_stops(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
                scoped(release_data_done) ReleaseData data = {0};
                scoped(release_path_done) ReleasePath path = {0};
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *text =
                        str_format(FEED("%s{\"version\":\"0.0.1\"}"), ways[i].releases);
                scoped(free_str) char *missing = str_copy(ways[i].missing);
                assert_true(read_feed(text, &data, &err));
                bool found = release_path_find(
                        &(ReleaseWay){&data, ways[i].from, ways[i].to, not_the_missing, missing},
                        &path, &err);
                if (!found) {
                        assert_int_equal(err.code, ERR_REFUSED);
                        if (ways[i].way)
                                fail_msg("row %zu: %s", i, err.message);
                        continue;
                }
                scoped(free_str) char *way = strv_join(path.hops, " ");
                assert_int_equal(strv_count(path.hops), strv_count(path.why));
                if (!ways[i].way || strcmp(way, ways[i].way) != 0)
                        fail_msg("row %zu: %s", i, way);
        }
}

/* 1.0.1 to 1.0.`n`, each with `more`, in which $ is the number before its own. */
static char *many_releases(unsigned n, const char *more) {
        Str list = {0};
        for (unsigned i = 1; i <= n; i++) {
                scoped(free_str) char *before = str_format("1.0.%u", i - 1);
                scoped(strv_freep) Strv parts = strv_split(more, '$');
                scoped(free_str) char *own = strv_join(parts, before);
                str_addf(&list, "%s{\"version\":\"1.0.%u\"%s}", i > 1 ? "," : "", i, own);
        }
        scoped(free_str) char *inner = str_take(&list);
        return str_format(FEED("%s"), inner);
}

static bool way_of_many(unsigned n, const char *more, Err *err) {
        scoped(release_data_done) ReleaseData data = {0};
        scoped(release_path_done) ReleasePath path = {0};
        scoped(free_str) char *text = many_releases(n, more);
        scoped(free_str) char *to = str_format("1.0.%u", n);
        assert_true(read_feed(text, &data, err));
        bool found = release_path_find(
                &(ReleaseWay){.data = &data, .from = "1.0.0", .to = to}, &path, err);
        if (found)
                assert_int_equal(strv_count(path.hops), n);
        else
                assert_int_equal(err->code, ERR_REFUSED);
        return found;
}

/* Nobody goes through hundreds of updates by one command, nor waits while they are looked for. */
static void test_a_way_that_is_too_long(void **unused) {
        (void)unused;
        static const char *const kinds[] = {STOP, FROM("$"), STOP FROM("$")};
        static const char *const endless[] = {FROM(">1.0.0"), STOP FROM(">1.0.0")};
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
                scoped(err_clear) Err err = {0}, no = {0};
                if (!way_of_many(RELEASE_PATH_MAX, kinds[i], &err))
                        fail_msg("%s: %s", kinds[i], err.message);
                assert_false(way_of_many(RELEASE_PATH_MAX + 1, kinds[i], &no));
                assert_string_equal(
                        no.message, "the way from 1.0.0 to 1.0.33 has more than 32 updates");
        }
        for (size_t i = 0; i < COUNT_OF(endless); i++) {
                scoped(err_clear) Err err = {0};
                assert_false(way_of_many(RELEASES_MAX, endless[i], &err));
                assert_null(strstr(err.message, "(null)"));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges_hold),
                cmocka_unit_test(test_what_is_no_range),
                cmocka_unit_test(test_a_whole_feed),
                cmocka_unit_test(test_what_is_no_feed_is_refused_whole),
                cmocka_unit_test(test_a_bad_release_is_left_out_and_the_others_stay),
                cmocka_unit_test(test_numbers_and_sizes_are_limited),
                cmocka_unit_test(test_a_page_of_releases),
                cmocka_unit_test(test_changelogs),
                cmocka_unit_test(test_what_stands_in_front_of_notes),
                cmocka_unit_test(test_notes_in_short),
                cmocka_unit_test(test_breaking_on_the_way),
                cmocka_unit_test(test_the_way_through_stops),
                cmocka_unit_test(test_a_way_that_is_too_long),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
