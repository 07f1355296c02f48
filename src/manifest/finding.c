#include "manifest/finding.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/value.h"
#include "model/redact.h"

enum {
        SHOWN = 10,     /* findings printed */
        KEPT = 200,     /* findings collected */
        LINE_SHOWN = 96 /* code points of a source line that are quoted */
};

bool finding_add(Findings *findings, const Finding *finding, const char *format, ...) {
        if (findings->n == KEPT)
                return false;
        va_list args;
        va_start(args, format);
        Finding copy = {
                .at = finding->at,
                .expected = str_copy(finding->expected),
                .hint = str_copy(finding->hint),
                .what = str_vformat(format, args),
        };
        va_end(args);
        PUSH(findings->list, findings->n, copy);
        return false;
}

void findings_done(Findings *findings) {
        for (size_t i = 0; i < findings->n; i++) {
                free_mem(&findings->list[i].expected);
                free_mem(&findings->list[i].hint);
                free(findings->list[i].what);
        }
        free(findings->list);
        findings->list = NULL;
        findings->n = 0;
}

static bool is_continuation(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static size_t points_in(const char *text, size_t bytes) {
        size_t points = 0;
        for (size_t i = 0; i < bytes; i++)
                points += !is_continuation(text[i]);
        return points;
}

/* The source line without its break; LF, CR LF and CR end one. A BOM in front is no part of it. */
static const char *line_find(const Findings *findings, size_t line, size_t *ret_bytes) {
        const char *at = findings->text, *end = at + findings->bytes;
        if (end - at >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
                at += 3;
        for (size_t n = 1; n < line && at < end; at++)
                if (*at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n')))
                        n++;
        const char *stop = at;
        while (stop < end && *stop != '\n' && *stop != '\r')
                stop++;
        *ret_bytes = (size_t)(stop - at);
        return at;
}

/* Skips `points` code points. */
static const char *skip_points(const char *at, const char *end, size_t points) {
        while (at < end && points > 0) {
                at++;
                while (at < end && is_continuation(*at))
                        at++;
                points--;
        }
        return at;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-'; }

/* Stars from `at` on until what ends a value in YAML; one star per code point keeps the columns. */
static char *star_value(char *at) {
        char quote = *at == '"' || *at == '\'' ? *at : '\0';
        char *to = at + (quote != '\0');
        char *from = to;
        for (; *from; from++) {
                if (quote ? *from == quote : strchr(",]}#", *from) != NULL)
                        break;
                if (!is_continuation(*from))
                        *to++ = isspace((unsigned char)*from) ? *from : '*';
        }
        char *next = to;
        memmove(to, from, strlen(from) + 1);
        return next;
}

static bool is_reference(const char *value) {
        value += *value == '"' || *value == '\'';
        return str_starts(value, "env:") || str_starts(value, "file:") || str_starts(value, "${");
}

/* The value after a name that sounds secret is not to be seen, and no password of a URL. */
static void star_secrets(char *line) {
        for (char *at = line; *at;) {
                if (strncmp(at, "://", 3) == 0) {
                        size_t authority = strcspn(at + 3, "/ \t\"'");
                        char *sign = memrchr(at + 3, '@', authority);
                        for (char *c = at + 3; sign && c < sign; c++)
                                *c = '*';
                        at += 3;
                        continue;
                }
                if (!is_word(*at)) {
                        at++;
                        continue;
                }
                char *word = at;
                while (is_word(*at))
                        at++;
                scoped(free_str) char *name = str_copy_n(word, (size_t)(at - word));
                char *value = at + strspn(at, "\"' \t");
                if (*value != ':' || !name_is_secret(name))
                        continue;
                value += 1 + strspn(value + 1, " \t");
                at = value;
                if (*value && !strchr("{[&*!|>", *value) && !is_reference(value))
                        at = star_value(value);
        }
}

/* Two lines: the source, cut to what fits, and the caret under the place. */
static void quote(const Findings *findings, const Finding *finding, Str *out) {
        size_t bytes = 0;
        const char *line = line_find(findings, finding->at.line, &bytes);
        scoped(free_str) char *whole = str_copy_n(line, bytes);
        scoped(free_str) char *shown = str_printable(whole, true);
        star_secrets(shown);
        for (char *c = shown; *c; c++)
                if (*c == '\t')
                        *c = ' ';
        const char *end = shown + strlen(shown);
        size_t column = finding->at.column - 1, total = points_in(shown, strlen(shown));
        size_t first = column > LINE_SHOWN - 16 ? column - 32 : 0;
        const char *from = skip_points(shown, end, first);
        const char *to = skip_points(from, end, LINE_SHOWN);
        size_t left = total > column ? total - column : 1;
        size_t width = finding->at.width < left ? finding->at.width : left;
        size_t room = LINE_SHOWN - (column - first);
        str_addf(out, "\n  %5zu | %s%.*s%s\n        | ", finding->at.line, first ? "…" : "",
                (int)(to - from), from, to < end ? "…" : "");
        for (size_t i = 0; i < column - first + (first > 0); i++)
                str_add_char(out, ' ');
        for (size_t i = 0; i < (width > room ? room : width); i++)
                str_add_char(out, '^');
        if (finding->expected)
                str_addf(out, " %s", finding->expected);
}

static void finding_print(const Findings *findings, const Finding *finding, Str *out) {
        scoped(free_str) char *safe = redact(finding->what, NULL);
        scoped(free_str) char *what = str_printable(safe, false);
        if (finding->at.line == 0) {
                str_addf(out, "%s: %s", findings->path, what);
        } else {
                str_addf(out, "%s:%zu:%zu: %s", findings->path, finding->at.line,
                        finding->at.column, what);
                quote(findings, finding, out);
        }
        if (finding->hint) {
                scoped(free_str) char *hint = str_printable(finding->hint, false);
                str_addf(out, "\n  %s", hint);
        }
}

static int by_place(const void *a, const void *b) {
        const Finding *one = a, *two = b;
        if (one->at.line != two->at.line)
                return one->at.line < two->at.line ? -1 : 1;
        if (one->at.column != two->at.column)
                return one->at.column < two->at.column ? -1 : 1;
        return 0;
}

bool findings_fail(Findings *findings, Err *err) {
        scoped(str_done) Str out = {0};
        qsort(findings->list, findings->n, sizeof(*findings->list), by_place);
        size_t shown = findings->n < SHOWN ? findings->n : SHOWN;
        for (size_t i = 0; i < shown; i++) {
                if (i > 0)
                        str_add_char(&out, '\n');
                finding_print(findings, &findings->list[i], &out);
        }
        if (findings->n > shown)
                str_addf(&out, "\n%s: and %zu more", findings->path, findings->n - shown);
        return err_fail(err, ERR_MANIFEST, "%s", out.text);
}
