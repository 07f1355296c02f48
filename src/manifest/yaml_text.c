#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "manifest/yaml_tree.h"

/* Code points that break lines for some programs only, reorder text on a screen, or are no text. */
typedef struct Range {
        uint32_t first, last;
        const char *what;
} Range;

static const Range refused[] = {
        {0x00, 0x00, "a NUL byte: this is no text"},
        {0x01, 0x08, "a control character"},
        {0x0B, 0x0C, "a control character"},
        {0x0E, 0x1F, "a control character"},
        {0x7F, 0x9F, "a control character"},
        {0x2028, 0x2029, "an invisible line break (U+2028 or U+2029)"},
        {0x202A, 0x202E, "a character that reorders text on the screen"},
        {0x2066, 0x2069, "a character that reorders text on the screen"},
        {0xFEFF, 0xFEFF, "a byte order mark in the middle of the text"},
        {0xFFFE, 0xFFFF, "a code point that is no character"},
};

/* RFC 3629: the form of the first byte, and the least code point that needs so many bytes. */
static const struct {
        unsigned char mask, lead;
        uint32_t least;
} forms[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};

static bool is_scalar_value(uint32_t point) {
        return point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
}

/* Decodes one code point; returns its bytes, 0 when they are invalid. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *ret) {
        size_t n = 0;
        while (n < COUNT_OF(forms) && (s[0] & forms[n].mask) != forms[n].lead)
                n++;
        if (n == COUNT_OF(forms) || n >= left)
                return 0;
        uint32_t point = s[0] & (unsigned char)~forms[n].mask;
        for (size_t i = 1; i <= n; i++) {
                if ((s[i] & 0xC0) != 0x80)
                        return 0;
                point = point << 6 | (s[i] & 0x3F);
        }
        if (point < forms[n].least || !is_scalar_value(point))
                return 0;
        *ret = point;
        return n + 1;
}

static const char *refusal(uint32_t point) {
        for (size_t i = 0; i < COUNT_OF(refused); i++)
                if (point >= refused[i].first && point <= refused[i].last)
                        return refused[i].what;
        return NULL;
}

static bool is_utf16(const unsigned char *s, size_t n) {
        if (n >= 2 && ((s[0] == 0xFF && s[1] == 0xFE) || (s[0] == 0xFE && s[1] == 0xFF)))
                return true;
        return n >= 2 && (s[0] == 0) != (s[1] == 0);
}

bool yaml_text_check(Findings *findings) {
        const unsigned char *s = (const unsigned char *)findings->text, *end = s + findings->bytes;
        if (is_utf16(s, findings->bytes))
                return finding_add(findings, &(Finding){.hint = "Save it as UTF-8."},
                        "the file is UTF-16, not UTF-8");
        if (findings->bytes >= 3 && memcmp(s, "\xEF\xBB\xBF", 3) == 0)
                s += 3;
        Spot at = {1, 1, 1};
        bool indent = true;
        while (s < end) {
                uint32_t point = 0;
                size_t n = decode(s, (size_t)(end - s), &point);
                if (n == 0)
                        return finding_add(findings,
                                &(Finding){.at = at, .hint = "Save it as UTF-8."},
                                "byte 0x%02X is not valid UTF-8", *s);
                const char *what = refusal(point);
                if (what)
                        return finding_add(findings, &(Finding){.at = at}, "%s", what);
                if (point == '\t' && indent)
                        return finding_add(findings,
                                &(Finding){.at = at, .expected = "expected spaces"},
                                "a tab in the indentation");
                bool ends = point == '\n' || (point == '\r' && (s + 1 == end || s[1] != '\n'));
                indent = ends || (indent && point == ' ');
                at = ends ? (Spot){at.line + 1, 1, 1} : (Spot){at.line, at.column + 1, 1};
                s += n;
        }
        return true;
}
