#include "model/release_data.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/version.h"
#include "model/version_range.h"

void release_info_done(ReleaseInfo *info) {
        free(info->version);
        free(info->requires_from);
        for (size_t i = 0; i < info->n_settings; i++)
                free(info->settings[i].name);
        free(info->settings);
        free(info->notes);
        free(info->migration_guide);
        *info = (ReleaseInfo){0};
}

void release_data_done(ReleaseData *data) {
        free(data->product);
        for (size_t i = 0; i < data->n; i++)
                release_info_done(&data->items[i]);
        free(data->items);
        for (size_t i = 0; i < data->n_support; i++)
                free(data->support[i].versions);
        free(data->support);
        strv_free(data->warnings);
        *data = (ReleaseData){0};
}

/* -- adding -- */

void release_data_warn(ReleaseData *data, const char *format, ...) {
        size_t n = strv_count(data->warnings);
        if (n > RELEASE_WARNINGS_MAX)
                return;
        if (n == RELEASE_WARNINGS_MAX) {
                strv_add(&data->warnings, "more of the release data was left out");
                return;
        }
        va_list args;
        va_start(args, format);
        scoped(free_str) char *text = str_vformat(format, args);
        va_end(args);
        strv_push(&data->warnings, str_printable(text, false));
}

bool release_data_add(ReleaseData *data, ReleaseInfo *info) {
        scoped(release_info_done) ReleaseInfo own = *info;
        *info = (ReleaseInfo){0};
        if (data->n == RELEASES_MAX) {
                release_data_warn(data, "there are more than %d releases: the others are left out",
                        RELEASES_MAX);
                return false;
        }
        if (release_data_find(data, own.version)) {
                release_data_warn(
                        data, "release %s is there twice: the second is left out", own.version);
                return false;
        }
        PUSH(data->items, data->n, own);
        own = (ReleaseInfo){0};
        return true;
}

static int newest_first(const void *a, const void *b) {
        bool ordered = false;
        const ReleaseInfo *left = a, *right = b;
        int order = version_text_compare(right->version, left->version, &ordered);
        return order ? order : strcmp(right->version, left->version);
}

void release_data_sort(ReleaseData *data) {
        if (data->n > 1)
                qsort(data->items, data->n, sizeof(ReleaseInfo), newest_first);
}

/* Tabs stay, carriage returns go; the cut is at the end of a line where there is one. */
char *release_text(const char *text) {
        if (!text || text[strspn(text, " \t\r\n")] == '\0')
                return NULL;
        scoped(str_done) Str plain = {0};
        size_t bytes = strlen(text), most = bytes < RELEASE_TEXT_MAX ? bytes : RELEASE_TEXT_MAX;
        for (size_t i = 0; i < most; i++)
                if (text[i] != '\r')
                        str_add_char(&plain, text[i]);
        if (bytes > most && plain.text) {
                char *end = strrchr(plain.text, '\n');
                if (end)
                        *end = '\0';
        }
        scoped(free_str) char *shown = str_printable(plain.text ? plain.text : "", true);
        return str_format("%s%s", str_trim(shown), bytes > most ? "\n\n(the rest is cut off)" : "");
}

/* -- asking -- */

const ReleaseInfo *release_data_find(const ReleaseData *data, const char *version) {
        for (size_t i = 0; version && i < data->n; i++)
                if (version_same(data->items[i].version, version))
                        return &data->items[i];
        return NULL;
}

static int order_of(const char *a, const char *b) {
        bool ordered = false;
        return version_text_compare(a, b, &ordered);
}

static bool is_version(const char *text, bool *ret_pre) {
        scoped(version_done) Version version = {0};
        if (!text || !version_parse(text, &version))
                return false;
        *ret_pre = version.pre != NULL;
        return true;
}

const ReleaseInfo **release_data_between(
        const ReleaseData *data, const char *from, const char *to, size_t *ret_n) {
        const ReleaseInfo **found = NEW_ARRAY(const ReleaseInfo *, data->n + 1);
        bool to_is_pre = false, ignored = false, pre = false;
        bool from_known = is_version(from, &ignored);
        size_t n = 0;
        *ret_n = 0;
        if (!is_version(to, &to_is_pre))
                return found;
        for (size_t i = data->n; i-- > 0;) {
                const ReleaseInfo *item = &data->items[i];
                (void)is_version(item->version, &pre);
                bool is_target = order_of(item->version, to) == 0;
                if (order_of(item->version, to) > 0 || (!is_target && pre && !to_is_pre) ||
                        (!is_target && !from_known) ||
                        (from_known && order_of(item->version, from) <= 0))
                        continue;
                found[n++] = item;
        }
        *ret_n = n;
        return found;
}

bool release_data_breaking(
        const ReleaseData *data, const char *from, const char *to, const char **ret_which) {
        size_t n = 0;
        scoped(free_mem) const ReleaseInfo **way = release_data_between(data, from, to, &n);
        const char *before = from;
        for (size_t i = 0; i < n; i++) {
                bool breaks = way[i]->breaking == NOT_SAID
                                      ? version_is_breaking(before, way[i]->version)
                                      : way[i]->breaking == SAID_YES;
                *ret_which = way[i]->version;
                if (breaks)
                        return true;
                before = way[i]->version;
        }
        *ret_which = to;
        return before && version_is_breaking(before, to);
}

SupportStatus release_data_support(const ReleaseData *data, const char *version) {
        for (size_t i = 0; i < data->n_support; i++)
                if (version_range_holds(data->support[i].versions, version))
                        return data->support[i].status;
        return SUPPORT_NOT_SAID;
}

const char *support_name(SupportStatus status) {
        static const char *const names[] = {NULL, "current", "maintenance", "end-of-life"};
        return names[status];
}

const char *release_migrations_name(ReleaseMigrations migrations) {
        static const char *const names[] = {NULL, "none", "automatic", "manual"};
        return names[migrations];
}

/* Headings, rules and comments say nothing; marks of lists and emphasis are left out. */
static char *line_that_says(const char *line, size_t bytes) {
        scoped(free_str) char *copy = str_copy_n(line, bytes);
        char *text = str_trim(copy);
        if (text[0] == '#' || str_starts(text, "<!--") || text[strspn(text, "-=*_ ")] == '\0')
                return NULL;
        while (*text && strchr("-*+> \t", *text))
                text++;
        Str plain = {0};
        for (; *text; text++)
                if (*text != '*' && *text != '`')
                        str_add_char(&plain, *text);
        return str_take(&plain);
}

/* Not within a character. */
static void cut_at(Str *text, size_t most) {
        size_t at = most;
        while (at > 0 && ((unsigned char)text->text[at] & 0xC0) == 0x80)
                at--;
        text->text[at] = '\0';
        text->len = at;
        str_add(text, "…");
}

char *release_notes_short(const char *notes, size_t most) {
        Str out = {0};
        for (const char *line = notes; line && *line && out.len <= most;) {
                size_t bytes = strcspn(line, "\n");
                scoped(free_str) char *says = line_that_says(line, bytes);
                if (says && *says)
                        str_addf(&out, "%s%s", out.len ? " · " : "", says);
                line += bytes + (line[bytes] == '\n');
        }
        if (out.len > most)
                cut_at(&out, most);
        return str_take(&out);
}
