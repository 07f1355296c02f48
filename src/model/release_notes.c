/* Release notes as people write them: Markdown with headings, and changelogs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "model/release_data.h"

enum { HEADING_WORDS = 8, BLOCK_LINES_MAX = 64 };

typedef struct Line {
        const char *text;
        size_t bytes;     /* without its end */
        const char *next; /* NULL: it was the last */
} Line;

static bool line_at(const char *text, Line *ret) {
        if (!text || !*text)
                return false;
        size_t bytes = strcspn(text, "\n");
        *ret = (Line){text, bytes, text[bytes] ? text + bytes + 1 : NULL};
        while (ret->bytes && ret->text[ret->bytes - 1] == '\r')
                ret->bytes--;
        return true;
}

static bool line_is(const Line *line, const char *text) {
        return line->bytes == strlen(text) && strncmp(line->text, text, line->bytes) == 0;
}

/* Its level, 0: it is none. Inside ``` nothing is one; *fenced is kept up to date. */
static size_t heading_level(const Line *line, bool *fenced) {
        if (line->bytes >= 3 &&
                (strncmp(line->text, "```", 3) == 0 || strncmp(line->text, "~~~", 3) == 0)) {
                *fenced = !*fenced;
                return 0;
        }
        size_t level = strspn(line->text, "#");
        bool is = level > 0 && level <= 6 && level < line->bytes && line->text[level] == ' ';
        return is && !*fenced ? level : 0;
}

/* "Title\n=====": of level 1, "Title\n-----": of level 2. */
static size_t underlined_level(const Line *line) {
        Line below = {0};
        bool begins =
                line->bytes && (isalnum((unsigned char)line->text[0]) || line->text[0] == '[');
        if (!begins || !line_at(line->next, &below) || below.bytes < 3)
                return 0;
        if (strspn(below.text, "=") >= below.bytes)
                return 1;
        return strspn(below.text, "-") >= below.bytes ? 2 : 0;
}

/* -- what is said in a block: "key: value" lines -- */

static json_t *value_of(const char *text) {
        size_t n = strlen(text);
        if (str_equal(text, "true") || str_equal(text, "false"))
                return json_boolean(text[0] == 't');
        if (text[0] == '[' || text[0] == '{')
                return js_parse(text, n, "a value of the notes", NULL);
        if (n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n - 1] == text[0])
                return json_stringn(text + 1, n - 2);
        return json_stringn(text, n);
}

/* What the notes are of, and the notes themselves, are said elsewhere. */
static bool take_field(ReleaseInfo *info, const Line *line, Err *err) {
        scoped(free_str) char *copy = str_copy_n(line->text, line->bytes);
        char *colon = strchr(copy, ':');
        if (!colon)
                return true;
        *colon = '\0';
        const char *name = str_trim(copy), *text = str_trim(colon + 1);
        if (!*text || str_equal(name, "version") || str_equal(name, "notes"))
                return true;
        scoped(js_freep) json_t *value = value_of(text);
        if (!value)
                return err_fail(err, ERR_CORRUPT, "'%.40s' has a value that cannot be read", name);
        return release_info_set(info, name, value, err);
}

/* Lines up to `end`; *ret_after is what follows, and stays when the block does not end. */
static bool take_block(
        ReleaseInfo *info, const char *text, const char *end, const char **ret_after, Err *err) {
        Line line = {0};
        const char *at = text;
        for (unsigned n = 0; n < BLOCK_LINES_MAX && line_at(at, &line); n++, at = line.next)
                if (line_is(&line, end))
                        break;
        if (!line_at(at, &line) || !line_is(&line, end))
                return true;
        for (const char *each = text; each != at; each = line.next)
                if (line_at(each, &line) && !take_field(info, &line, err))
                        return false;
        (void)line_at(at, &line);
        *ret_after = line.next ? line.next : at + strlen(at);
        return true;
}

/* The text without the block, owned. */
static bool take_blocks(ReleaseInfo *info, const char *text, char **ret_rest, Err *err) {
        const char *start = text + strspn(text, "\r\n \t"), *after = start;
        Line line = {0};
        if (line_at(start, &line) && line_is(&line, "---") &&
                !take_block(info, line.next, "---", &after, err))
                return false;
        const char *comment = strstr(after, "<!-- belay");
        const char *behind = comment;
        if (comment && line_at(comment, &line) && line_is(&line, "<!-- belay") &&
                !take_block(info, line.next, "-->", &behind, err))
                return false;
        *ret_rest = behind == comment ? str_copy(after)
                                      : str_format("%.*s%s", (int)(comment - after), after, behind);
        return true;
}

/* -- what headings say -- */

static bool heading_begins(const Line *line, const char *const *words) {
        size_t at = 0;
        while (at < line->bytes && !isalpha((unsigned char)line->text[at]))
                at++;
        for (; *words; words++) {
                size_t n = strlen(*words);
                if (line->bytes - at >= n && strncasecmp(line->text + at, *words, n) == 0)
                        return true;
        }
        return false;
}

/* From below the heading up to the next of its level or above. */
static char *section_below(const Line *heading, size_t level) {
        Line line = {0};
        bool fenced = false;
        const char *at = heading->next;
        for (; line_at(at, &line); at = line.next) {
                size_t other = heading_level(&line, &fenced);
                if (other && other <= level)
                        break;
        }
        size_t bytes = !heading->next ? 0
                       : at           ? (size_t)(at - heading->next)
                                      : strlen(heading->next);
        scoped(free_str) char *text = str_copy_n(heading->next ? heading->next : "", bytes);
        return release_text(text);
}

static void take_headings(ReleaseInfo *info, const char *text) {
        static const char *const guides[] = {"migration guide", "migration notes", "migrating",
                "upgrade guide", "upgrade notes", "upgrade instructions", "upgrading", NULL};
        static const char *const breaks[] = {"breaking", NULL};
        static const char *const security[] = {"security", NULL};
        Line line = {0};
        bool fenced = false;
        for (const char *at = text; line_at(at, &line); at = line.next) {
                size_t level = heading_level(&line, &fenced);
                if (!level)
                        continue;
                if (heading_begins(&line, breaks) && info->breaking == NOT_SAID)
                        info->breaking = SAID_YES;
                if (heading_begins(&line, security))
                        info->security = true;
                if (heading_begins(&line, guides) && !info->migration_guide)
                        info->migration_guide = section_below(&line, level);
        }
}

bool release_info_add_markdown(ReleaseInfo *info, const char *text, Err *err) {
        scoped(free_str) char *rest = NULL;
        if (!take_blocks(info, text, &rest, err))
                return false;
        str_replace_owned(&info->notes, release_text(rest));
        take_headings(info, rest);
        return true;
}

void release_data_add_notes(ReleaseData *ret, const char *version, const char *text) {
        scoped(release_info_done) ReleaseInfo info = {.version = str_copy(version_bare(version))};
        scoped(err_clear) Err why = {0};
        if (release_info_add_markdown(&info, text, &why))
                (void)release_data_add(ret, &info);
        else
                release_data_warn(ret, "release '%.40s' is left out: %s", version, why.message);
}

/* -- a changelog -- */

/* "[1.2.0](https://...)", "v1.2.0:", "(2026-02-03)": without what is around it. */
static char *bare_word(const char *word) {
        word += strspn(word, "[(*_`");
        char *bare = str_copy_n(word, strcspn(word, "])*_`:,;"));
        return bare;
}

/* The version that a heading is about, and its date; NULL: it is about something else. */
static char *heading_version(const Line *line, int64_t *ret_released_ms) {
        scoped(free_str) char *text = str_copy_n(line->text, line->bytes);
        scoped(free_str) char *found = NULL;
        char *rest = NULL;
        int words = 0;
        for (char *word = strtok_r(text, " #\t", &rest); word && words < HEADING_WORDS;
                word = strtok_r(NULL, " \t", &rest), words++) {
                scoped(version_done) Version version = {0};
                scoped(free_str) char *bare = bare_word(word);
                if (!found && words < 3 && version_parse(bare, &version))
                        found = str_copy(version_bare(bare));
                else if (found && strlen(bare) == strlen("2026-02-03"))
                        (void)time_parse(bare, ret_released_ms);
        }
        return TAKE(found);
}

static void end_entry(ReleaseData *data, ReleaseInfo *info, const char *start, const char *end) {
        scoped(err_clear) Err why = {0};
        if (!info->version)
                return;
        scoped(free_str) char *text = str_copy_n(start, end > start ? (size_t)(end - start) : 0);
        if (release_info_add_markdown(info, text, &why))
                (void)release_data_add(data, info);
        else
                release_data_warn(
                        data, "release '%.40s' is left out: %s", info->version, why.message);
        release_info_done(info);
}

void release_data_add_changelog(ReleaseData *ret, const char *text) {
        scoped(release_info_done) ReleaseInfo info = {0};
        const char *start = text, *at = text;
        bool fenced = false;
        for (Line line = {0}; line_at(at, &line); at = line.next) {
                int64_t released_ms = 0;
                size_t marked = heading_level(&line, &fenced), under = 0;
                if (!marked && !fenced)
                        under = underlined_level(&line);
                scoped(free_str) char *version = (marked && marked <= 3) || under
                                                         ? heading_version(&line, &released_ms)
                                                         : NULL;
                if (!version)
                        continue;
                end_entry(ret, &info, start, line.text);
                info = (ReleaseInfo){.version = TAKE(version), .released_ms = released_ms};
                if (under)
                        (void)line_at(line.next, &line);
                start = line.next ? line.next : line.text + line.bytes;
        }
        end_entry(ret, &info, start, start + strlen(start));
}
