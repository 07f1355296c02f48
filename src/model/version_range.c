#include "model/version_range.h"

#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/version.h"

enum { RANGE_BYTES_MAX = 128, RANGE_TERMS_MAX = 4 };

typedef enum Compare { AT_LEAST, AT_MOST, ABOVE, BELOW, WITHIN } Compare;

typedef struct Term {
        Compare compare;
        unsigned parts; /* how many numbers are given: 0 ("*") to 3 */
        uint64_t number[3];
        char *whole; /* all of it, for those with three numbers; owned */
} Term;

static void term_done(Term *term) { free(term->whole); }

static const struct {
        const char *sign;
        Compare compare;
} signs[] = {{">=", AT_LEAST}, {"<=", AT_MOST}, {">", ABOVE}, {"<", BELOW}, {"=", WITHIN}};

static Compare take_sign(const char **text) {
        for (size_t i = 0; i < COUNT_OF(signs); i++)
                if (str_starts(*text, signs[i].sign)) {
                        *text += strlen(signs[i].sign);
                        return signs[i].compare;
                }
        return WITHIN;
}

static bool is_any(const char *text) { return str_equal(text, "*") || str_equal(text, "x"); }

/* "1", "1.2", "1.x", "1.2.*": numbers, then at most one that stands for any. */
static bool read_parts(const char *text, Term *ret) {
        scoped(strv_freep) Strv parts = strv_split(text, '.');
        size_t n = strv_count(parts);
        if (n == 0 || n > 3 || str_ends(text, "."))
                return false;
        for (size_t i = 0; i < n; i++) {
                if (is_any(parts[i]) && i + 1 == n)
                        return true;
                bool padded = parts[i][0] == '0' && parts[i][1] != '\0';
                if (padded || !str_to_uint(parts[i], UINT64_MAX - 1, &ret->number[i]))
                        return false;
                ret->parts++;
        }
        return true;
}

static bool read_term(const char *text, Term *ret) {
        scoped(version_done) Version version = {0};
        Term term = {.compare = take_sign(&text)};
        const char *bare = version_bare(text);
        if (version_parse(bare, &version)) {
                term.parts = 3;
                term.whole = str_copy(bare);
        } else if (!read_parts(bare, &term) || (term.parts == 0 && term.compare != WITHIN)) {
                return false;
        }
        *ret = term;
        return true;
}

/* Below, at or above what a term with fewer than three numbers names. */
static int place(const Term *term, const Version *version) {
        const uint64_t has[3] = {version->major, version->minor, version->patch};
        for (unsigned i = 0; i < term->parts && i < COUNT_OF(has); i++)
                if (has[i] != term->number[i])
                        return has[i] < term->number[i] ? -1 : 1;
        return 0;
}

static bool term_holds(const Term *term, const char *text, const Version *version) {
        bool ordered = false;
        int at = term->whole ? version_text_compare(text, term->whole, &ordered)
                             : place(term, version);
        switch (term->compare) {
        case AT_LEAST:
                return at >= 0;
        case AT_MOST:
                return at <= 0;
        case ABOVE:
                return at > 0;
        case BELOW:
                return at < 0;
        case WITHIN:
                return at == 0;
        }
        return false;
}

/* *ret_holds is only meaningful when the range is one. `version` NULL: only the range is looked at. */
static bool evaluate(const char *range, const char *text, const Version *version, bool *ret_holds) {
        scoped(free_str) char *copy = str_copy(range);
        char *rest = NULL;
        unsigned terms = 0;
        if (!range || strlen(range) > RANGE_BYTES_MAX)
                return false;
        *ret_holds = true;
        for (char *word = strtok_r(copy, " ,", &rest); word; word = strtok_r(NULL, " ,", &rest)) {
                scoped(term_done) Term term = {0};
                if (++terms > RANGE_TERMS_MAX || !read_term(word, &term))
                        return false;
                if (version && !term_holds(&term, text, version))
                        *ret_holds = false;
        }
        return terms > 0;
}

bool version_range_ok(const char *range) {
        bool holds = false;
        return evaluate(range, NULL, NULL, &holds);
}

bool version_range_holds(const char *range, const char *version) {
        scoped(version_done) Version parsed = {0};
        bool holds = false;
        if (!version || !version_parse(version, &parsed))
                return false;
        return evaluate(range, version, &parsed, &holds) && holds;
}
