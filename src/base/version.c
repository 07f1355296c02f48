#include "base/version.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

enum { VERSION_TEXT_MAX = 128, TAG_TEXT_MAX = 200 };

const char *version_bare(const char *text) {
        return text[0] == 'v' && text[1] >= '0' && text[1] <= '9' ? text + 1 : text;
}

bool version_same(const char *a, const char *b) {
        return a && b && strcmp(version_bare(a), version_bare(b)) == 0;
}

static bool read_number(const char **at, uint64_t *ret) {
        size_t digits = strspn(*at, "0123456789");
        if (digits == 0 || digits > 18 || (digits > 1 && **at == '0'))
                return false;
        scoped(free_str) char *number = str_copy_n(*at, digits);
        *at += digits;
        return str_to_uint(number, UINT64_MAX, ret);
}

static bool identifiers_ok(const char *text, size_t bytes, bool numbers_strict) {
        size_t start = 0;
        for (size_t i = 0; i <= bytes; i++) {
                if (i < bytes && text[i] != '.')
                        continue;
                size_t n = i - start;
                if (n == 0 ||
                        strspn(text + start,
                                "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") <
                                n)
                        return false;
                bool number = strspn(text + start, "0123456789") >= n;
                if (numbers_strict && number && n > 1 && text[start] == '0')
                        return false;
                start = i + 1;
        }
        return true;
}

bool version_parse(const char *text, Version *ret) {
        if (!text || strlen(text) > VERSION_TEXT_MAX)
                return false;
        Version v = {0};
        const char *at = version_bare(text);
        if (!read_number(&at, &v.major) || *at++ != '.' || !read_number(&at, &v.minor) ||
                *at++ != '.' || !read_number(&at, &v.patch))
                return false;
        const char *pre = NULL;
        size_t pre_bytes = 0;
        if (*at == '-') {
                pre = at + 1;
                pre_bytes = strcspn(pre, "+");
                if (!identifiers_ok(pre, pre_bytes, true))
                        return false;
                at = pre + pre_bytes;
        }
        if (*at == '+' && !identifiers_ok(at + 1, strlen(at + 1), false))
                return false;
        if (*at && *at != '+')
                return false;
        v.pre = pre ? str_copy_n(pre, pre_bytes) : NULL;
        *ret = v;
        return true;
}

void version_done(Version *v) {
        free(v->pre);
        *v = (Version){0};
}

static int compare_numbers(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static int compare_identifier(const char *a, const char *b) {
        bool number_a = a[strspn(a, "0123456789")] == '\0',
             number_b = b[strspn(b, "0123456789")] == '\0';
        if (number_a != number_b)
                return number_a ? -1 : 1;
        if (number_a && strlen(a) != strlen(b))
                return strlen(a) < strlen(b) ? -1 : 1;
        return strcmp(a, b);
}

static int compare_pre(const char *a, const char *b) {
        if (!a || !b)
                return a ? -1 : b ? 1 : 0;
        scoped(strv_freep) Strv left = strv_split(a, '.');
        scoped(strv_freep) Strv right = strv_split(b, '.');
        for (size_t i = 0;; i++) {
                if (!left[i] || !right[i])
                        return left[i] ? 1 : right[i] ? -1 : 0;
                int order = compare_identifier(left[i], right[i]);
                if (order)
                        return order;
        }
}

int version_compare(const Version *a, const Version *b) {
        int order = compare_numbers(a->major, b->major);
        if (!order)
                order = compare_numbers(a->minor, b->minor);
        if (!order)
                order = compare_numbers(a->patch, b->patch);
        return order ? order : compare_pre(a->pre, b->pre);
}

int version_text_compare(const char *a, const char *b, bool *ret_ordered) {
        scoped(version_done) Version left = {0};
        scoped(version_done) Version right = {0};
        *ret_ordered = true;
        if (version_parse(a, &left) && version_parse(b, &right))
                return version_compare(&left, &right);
        *ret_ordered = version_same(a, b);
        return 0;
}

const char *version_step(const char *from, const char *to) {
        scoped(version_done) Version a = {0};
        scoped(version_done) Version b = {0};
        if (!version_parse(from, &a) || !version_parse(to, &b))
                return NULL;
        return a.major != b.major ? "major" : a.minor != b.minor ? "minor" : "patch";
}

bool version_is_breaking(const char *from, const char *to) {
        scoped(version_done) Version a = {0};
        scoped(version_done) Version b = {0};
        if (!version_parse(from, &a) || !version_parse(to, &b))
                return false;
        if (b.major != a.major)
                return b.major > a.major;
        return a.major == 0 && b.minor > a.minor;
}

/* Readable as it stands: no control bytes, no marks of direction, nothing but UTF-8. */
static bool readable(const char *text) {
        scoped(free_str) char *shown = str_printable(text, false);
        return str_equal(shown, text);
}

static bool bytes_ok(const char *text) {
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c <= 0x20 || *c == 0x7F ||
                        strchr("~^:?*[\\'\"`$;|&<>(){}!#%", *c))
                        return false;
        return true;
}

bool version_text_ok(const char *text) {
        static const char *const nowhere[] = {"..", "//", "@{", "/.", ".lock/"};
        size_t n = text ? strlen(text) : 0;
        if (n == 0 || n > TAG_TEXT_MAX || strchr("-/.", text[0]) || strchr("/.", text[n - 1]))
                return false;
        for (size_t i = 0; i < COUNT_OF(nowhere); i++)
                if (strstr(text, nowhere[i]))
                        return false;
        return !str_ends(text, ".lock") && strcmp(text, "@") != 0 && bytes_ok(text) &&
               readable(text);
}
