/*
 * The first byte says as what the rest is read: a feed, a page of releases, a changelog, notes, a range. No crash; what is
 * taken is within its limits, printable, each version once and in order; what is kept is read again as the same; the way
 * from the oldest to the newest only rises.
 */
#include "base/version.h"
#include "fuzz/fuzz.h"
#include "model/release_data.h"
#include "model/release_path.h"
#include "model/version_range.h"

static void is_printable(const char *text) {
        if (!text)
                return;
        scoped(free_str) char *again = str_printable(text, true);
        MUST(strcmp(again, text) == 0);
        MUST(strlen(text) <= RELEASE_TEXT_MAX + 64);
}

static void is_whole(const ReleaseData *data) {
        MUST(data->n <= RELEASES_MAX && data->n_support <= RELEASE_SUPPORT_MAX);
        MUST(strv_count(data->warnings) <= RELEASE_WARNINGS_MAX + 1);
        for (size_t i = 0; data->warnings && data->warnings[i]; i++)
                is_printable(data->warnings[i]);
        for (size_t i = 0; i < data->n; i++) {
                const ReleaseInfo *info = &data->items[i];
                bool ordered = false;
                MUST(release_data_find(data, info->version) == info);
                MUST(i == 0 || version_text_compare(
                                       data->items[i - 1].version, info->version, &ordered) >= 0);
                MUST(!info->requires_from || version_range_ok(info->requires_from));
                MUST(info->n_settings <= RELEASE_SETTINGS_MAX);
                is_printable(info->notes);
                is_printable(info->migration_guide);
                scoped(free_str) char *brief = release_notes_short(info->notes, 80);
                MUST(strlen(brief) <= 80 + strlen("…"));
                is_printable(brief);
        }
}

static void is_kept(const ReleaseData *data) {
        scoped(js_freep) json_t *json = release_data_to_json(data);
        scoped(free_str) char *line = js_line(json);
        scoped(release_data_done) ReleaseData again = {0};
        MUST(release_data_add_feed(&again, line, strlen(line), "kept", NULL));
        release_data_sort(&again);
        is_whole(&again);
        MUST(again.n == data->n && again.n_support == data->n_support);
}

static void way_rises(const ReleaseData *data) {
        scoped(release_path_done) ReleasePath path = {0};
        const char *before = "0.0.0";
        if (!data->n)
                return;
        const ReleaseWay way = {data, before, data->items[0].version, NULL, NULL};
        if (!release_path_find(&way, &path, NULL))
                return;
        for (size_t i = 0; path.hops[i]; i++) {
                bool ordered = false;
                MUST(i + 1 == strv_count(path.hops) ||
                        version_text_compare(before, path.hops[i], &ordered) < 0);
                before = path.hops[i];
        }
        MUST(version_same(before, data->items[0].version));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        if (n == 0)
                return 0;
        scoped(free_str) char *text = fuzz_text(bytes + 1, n - 1);
        scoped(release_data_done) ReleaseData data = {0};
        scoped(err_clear) Err err = {0};
        size_t listed = 0;
        bool taken = true;
        switch (bytes[0]) {
        case 'f':
                taken = release_data_add_feed(&data, text, n - 1, "feed", &err);
                break;
        case 'p':
                taken = release_data_add_page(&data, text, n - 1, "page", &listed, &err);
                break;
        case 'c':
                release_data_add_changelog(&data, text);
                break;
        case 'n':
                release_data_add_notes(&data, "1.2.3", text);
                break;
        default:
                MUST(!version_range_holds(text, "1.2.3") || version_range_ok(text));
                return 0;
        }
        MUST(taken || (err.code == ERR_CORRUPT && data.n == 0));
        release_data_sort(&data);
        is_whole(&data);
        is_kept(&data);
        way_rises(&data);
        return 0;
}
