/*
 * Three lines as versions: parsing never depends on what lies behind the text, comparison is an order,
 * and what says "the same" says so in both directions.
 */
#include "base/version.h"
#include "fuzz/fuzz.h"

enum { TEXTS = 3 };

static int sign(int n) { return (n > 0) - (n < 0); }

static void versions_are_ordered(const Version v[TEXTS]) {
        for (int a = 0; a < TEXTS; a++) {
                MUST(version_compare(&v[a], &v[a]) == 0);
                for (int b = 0; b < TEXTS; b++)
                        MUST(sign(version_compare(&v[a], &v[b])) ==
                                -sign(version_compare(&v[b], &v[a])));
        }
        if (version_compare(&v[0], &v[1]) <= 0 && version_compare(&v[1], &v[2]) <= 0)
                MUST(version_compare(&v[0], &v[2]) <= 0);
}

static void texts_agree(const char *a, const char *b) {
        bool there = false, back = false;
        int order = version_text_compare(a, b, &there);
        MUST(sign(order) == -sign(version_text_compare(b, a, &back)) && there == back);
        MUST(there || order == 0);
        MUST(version_same(a, b) == version_same(b, a));
        MUST(version_same(a, a));
        Version left = {0}, right = {0};
        bool both = version_parse(a, &left) && version_parse(b, &right);
        if (both)
                MUST(there && sign(order) == sign(version_compare(&left, &right)));
        else
                MUST(!version_is_breaking(a, b) && !version_step(a, b));
        version_done(&left);
        version_done(&right);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        scoped(free_str) char *all = fuzz_text(bytes, n);
        const char *at = all;
        char *texts[TEXTS];
        Version versions[TEXTS] = {0};
        bool parsed = true;
        for (int i = 0; i < TEXTS; i++) {
                texts[i] = fuzz_line(&at);
                if (version_parse(texts[i], &versions[i])) {
                        MUST(strlen(texts[i]) <= 128);
                        MUST(version_same(version_bare(texts[i]), texts[i]));
                } else
                        parsed = false;
        }
        if (parsed)
                versions_are_ordered(versions);
        texts_agree(texts[0], texts[1]);
        texts_agree(texts[1], texts[2]);
        for (int i = 0; i < TEXTS; i++) {
                version_done(&versions[i]);
                free(texts[i]);
        }
        return 0;
}
