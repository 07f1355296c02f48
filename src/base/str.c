#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

char *str_vformat(const char *format, va_list args) {
        char *text = NULL;
        if (vasprintf(&text, format, args) < 0)
                abort();
        return text;
}

char *str_format(const char *format, ...) {
        va_list args;
        va_start(args, format);
        char *text = str_vformat(format, args);
        va_end(args);
        return text;
}

char *str_copy_n(const char *text, size_t bytes) {
        char *copy = mem_new(bytes + 1, 1);
        memcpy(copy, text, bytes);
        return copy;
}

char *str_copy(const char *text) { return text ? str_copy_n(text, strlen(text)) : NULL; }

bool str_equal(const char *a, const char *b) {
        if (!a || !b)
                return a == b;
        return strcmp(a, b) == 0;
}

bool str_starts(const char *text, const char *prefix) {
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix) {
        size_t n = strlen(text), m = strlen(suffix);
        return n >= m && strcmp(text + n - m, suffix) == 0;
}

void str_replace_owned(char **owned, char *with) {
        free(*owned);
        *owned = with;
}

char *str_trim(char *text) {
        while (isspace((unsigned char)*text))
                text++;
        char *end = text + strlen(text);
        while (end > text && isspace((unsigned char)end[-1]))
                end--;
        *end = '\0';
        return text;
}

char *path_join(const char *dir, const char *name) {
        if (name[0] == '/' || !dir || !dir[0])
                return str_format("%s", name);
        return str_format("%s%s%s", dir, str_ends(dir, "/") ? "" : "/", name);
}

char *path_dirname(const char *path) {
        const char *slash = strrchr(path, '/');
        if (!slash)
                return str_copy(".");
        if (slash == path)
                return str_copy("/");
        return str_copy_n(path, (size_t)(slash - path));
}

const char *path_basename(const char *path) {
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

bool path_holds(const char *outer, const char *inner) {
        size_t n = strlen(outer);
        while (n > 1 && outer[n - 1] == '/')
                n--;
        if (n == 1 && outer[0] == '/')
                return inner[0] == '/';
        return strncmp(outer, inner, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

enum { DISTANCE_MAX = 64 };

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

unsigned str_distance(const char *a, const char *b) {
        size_t n = strlen(a), m = strlen(b);
        if (n > DISTANCE_MAX || m > DISTANCE_MAX)
                return DISTANCE_MAX;
        unsigned rows[3][DISTANCE_MAX + 1];
        for (unsigned j = 0; j <= m; j++)
                rows[0][j] = j;
        for (unsigned i = 1; i <= n; i++) {
                unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *top = rows[(i + 1) % 3];
                row[0] = i;
                for (unsigned j = 1; j <= m; j++) {
                        unsigned differs = tolower((unsigned char)a[i - 1]) !=
                                           tolower((unsigned char)b[j - 1]);
                        row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + differs);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = least(row[j], top[j - 2] + 1);
                }
        }
        return rows[n % 3][m];
}

const char *str_nearest(const char *text, const char *const *list) {
        const char *nearest = NULL;
        unsigned best = DISTANCE_MAX;
        for (; list && *list; list++) {
                unsigned far = str_distance(text, *list);
                size_t longest = strlen(text) > strlen(*list) ? strlen(text) : strlen(*list);
                if (far < best && far * 3 <= longest + 1) {
                        best = far;
                        nearest = *list;
                }
        }
        return nearest;
}

/* Length of the valid UTF-8 sequence at `s`, or 0; RFC 3629. */
static size_t utf8_length(const unsigned char *s) {
        static const struct {
                unsigned char low, high, second_low, second_high;
                size_t n;
        } ranges[] = {
                {0xC2, 0xDF, 0x80, 0xBF, 2},
                {0xE0, 0xE0, 0xA0, 0xBF, 3},
                {0xE1, 0xEC, 0x80, 0xBF, 3},
                {0xED, 0xED, 0x80, 0x9F, 3},
                {0xEE, 0xEF, 0x80, 0xBF, 3},
                {0xF0, 0xF0, 0x90, 0xBF, 4},
                {0xF1, 0xF3, 0x80, 0xBF, 4},
                {0xF4, 0xF4, 0x80, 0x8F, 4},
        };
        for (size_t i = 0; i < COUNT_OF(ranges); i++) {
                if (s[0] < ranges[i].low || s[0] > ranges[i].high)
                        continue;
                if (s[1] < ranges[i].second_low || s[1] > ranges[i].second_high)
                        return 0;
                for (size_t k = 2; k < ranges[i].n; k++)
                        if ((s[k] & 0xC0) != 0x80)
                                return 0;
                return ranges[i].n;
        }
        return 0;
}

/* Line separators and marks of direction are invisible and can lie (CVE-2021-42574). */
static bool turns_text(const unsigned char *s) {
        if (s[0] != 0xE2)
                return false;
        bool marks = s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xA8 && s[2] <= 0xAE);
        bool isolates = s[2] >= 0xA6 && s[2] <= 0xA9;
        return (s[1] == 0x80 && marks) || (s[1] == 0x81 && isolates);
}

/* Bytes of the character at `s` if it may be shown, else 0. */
static size_t shown_length(const unsigned char *s, bool keep_newlines) {
        if (*s < 0x20)
                return keep_newlines && (*s == '\n' || *s == '\t');
        if (*s < 0x80)
                return *s != 0x7F;
        size_t n = utf8_length(s);
        bool control = n == 2 && s[0] == 0xC2 && s[1] < 0xA0;
        return control || (n == 3 && turns_text(s)) ? 0 : n;
}

char *str_printable(const char *text, bool keep_newlines) {
        Str out = {0};
        const unsigned char *s = (const unsigned char *)text;
        while (*s) {
                size_t n = shown_length(s, keep_newlines);
                if (n == 0) {
                        size_t hidden = *s < 0x80 ? 1 : utf8_length(s);
                        str_add_char(&out, '?');
                        s += hidden ? hidden : 1;
                        continue;
                }
                str_add_n(&out, (const char *)s, n);
                s += n;
        }
        return str_take(&out);
}

bool str_is_printable(const char *text) {
        scoped(free_str) char *printable = str_printable(text, false);
        return strcmp(printable, text) == 0;
}

char *str_last_lines(const char *text, unsigned lines) {
        const char *end = text + strlen(text), *start = end;
        unsigned found = 0;
        /* The newline that ends the last line does not begin another. */
        while (start > text && !(start[-1] == '\n' && start < end && ++found >= lines))
                start--;
        return str_copy(start);
}

bool str_to_uint(const char *text, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;
        if (!text || !*text || strlen(text) > 20)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                uint64_t digit = (uint64_t)(*text - '0');
                if (digit > max || value > (max - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        *ret = value;
        return true;
}

static void make_room(Str *s, size_t more) {
        if (s->len + more + 1 <= s->room)
                return;
        size_t room = s->room ? s->room : 64;
        while (room < s->len + more + 1)
                room *= 2;
        s->text = mem_grow(s->text, room, 1);
        s->room = room;
}

void str_add_n(Str *s, const char *bytes, size_t n) {
        make_room(s, n);
        if (n)
                memcpy(s->text + s->len, bytes, n);
        s->len += n;
        s->text[s->len] = '\0';
}

void str_add(Str *s, const char *text) { str_add_n(s, text, strlen(text)); }

void str_add_char(Str *s, char c) { str_add_n(s, &c, 1); }

void str_addf(Str *s, const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *text = str_vformat(format, args);
        va_end(args);
        str_add(s, text);
}

char *str_take(Str *s) {
        make_room(s, 0);
        s->text[s->len] = '\0';
        char *text = s->text;
        *s = (Str){0};
        return text;
}

void str_done(Str *s) {
        free(s->text);
        *s = (Str){0};
}

size_t strv_length(char *const *v) {
        size_t n = 0;
        while (v[n])
                n++;
        return n;
}

void strv_push(Strv *v, char *owned) {
        size_t n = strv_count(*v);
        *v = mem_grow(*v, n + 2, sizeof(char *));
        (*v)[n] = owned;
        (*v)[n + 1] = NULL;
}

void strv_add(Strv *v, const char *text) { strv_push(v, str_format("%s", text)); }

void strv_addf(Strv *v, const char *format, ...) {
        va_list args;
        va_start(args, format);
        strv_push(v, str_vformat(format, args));
        va_end(args);
}

bool strv_contains(char *const *v, const char *text) {
        for (; v && *v; v++)
                if (strcmp(*v, text) == 0)
                        return true;
        return false;
}

Strv strv_copy(char *const *v) {
        Strv copy = NULL;
        for (; v && *v; v++)
                strv_add(&copy, *v);
        return copy;
}

Strv strv_split(const char *text, char separator) {
        Strv v = NULL;
        while (*text) {
                const char *end = strchrnul(text, separator);
                strv_push(&v, str_copy_n(text, (size_t)(end - text)));
                text = *end ? end + 1 : end;
        }
        return v;
}

char *strv_join(char *const *v, const char *between) {
        Str out = {0};
        for (size_t i = 0; v && v[i]; i++) {
                if (i)
                        str_add(&out, between);
                str_add(&out, v[i]);
        }
        return str_take(&out);
}

void strv_free(Strv v) {
        for (size_t i = 0; v && v[i]; i++)
                free(v[i]);
        free(v);
}

void strv_freep(Strv *v) { strv_free(*v); }
