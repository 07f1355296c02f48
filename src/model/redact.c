#include "model/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"

enum { SECRET_LEAST = 4 };

static const char mask[] = "[secret]";

/* What is followed by a secret: the word, then ':' or '=', then the secret up to white space, a quote,
 * a comma, a semicolon or an ampersand. A word may stand within a longer one: DB_PASSWORD. */
static const char *const words[] = {
        "password",
        "passwd",
        "passphrase",
        "token",
        "secret",
        "api_key",
        "apikey",
        "api-key",
        "access_key",
        "private_key",
        "secret_key",
        "authorization",
        "proxy-authorization",
        "cookie",
};

static size_t longest_match(const char *text, char *const *secrets) {
        size_t longest = 0;
        for (; secrets && *secrets; secrets++) {
                size_t n = strlen(*secrets);
                if (n >= SECRET_LEAST && n > longest && strncmp(text, *secrets, n) == 0)
                        longest = n;
        }
        return longest;
}

static char *without_values(const char *text, char *const *secrets) {
        scoped(str_done) Str out = {0};
        while (*text) {
                size_t n = longest_match(text, secrets);
                if (n > 0)
                        str_add(&out, mask);
                else
                        str_add_char(&out, *text);
                text += n > 0 ? n : 1;
        }
        return str_take(&out);
}

/* The bytes of a word that is at `text`, or 0. */
static size_t word_at(const char *text) {
        for (size_t i = 0; i < COUNT_OF(words); i++) {
                size_t n = strlen(words[i]);
                if (strncasecmp(text, words[i], n) == 0)
                        return n;
        }
        return 0;
}

static bool ends_a_secret(char c, char quote) {
        if (c == '\0' || c == '\n' || c == '\r')
                return true;
        return quote ? c == quote : isspace((unsigned char)c) || strchr("\"',;&)}]", c) != NULL;
}

/* At `text` begins what follows a word: copies the separators, masks the value. Returns where it ends,
 * or NULL when no value follows. "Authorization: Bearer abc" has a scheme before the value. */
static const char *mask_value(const char *text, Str *out) {
        const char *at = text;
        if (*at == '"' || *at == '\'')
                at++;
        at += strspn(at, " \t");
        if (*at != ':' && *at != '=')
                return NULL;
        at++;
        at += strspn(at, " \t");
        if (strncasecmp(at, "bearer ", 7) == 0)
                at += 7;
        else if (strncasecmp(at, "basic ", 6) == 0)
                at += 6;
        char quote = *at == '"' || *at == '\'' ? *at++ : '\0';
        if (str_starts(at, mask) || ends_a_secret(*at, quote))
                return NULL;
        str_add_n(out, text, (size_t)(at - text));
        str_add(out, mask);
        while (!ends_a_secret(*at, quote))
                at++;
        return at;
}

/* "://user:password@": at `text` is "://"; the bytes up to the password, 0 when there is none. */
static size_t before_password(const char *text, size_t *ret_password) {
        size_t authority = 3 + strcspn(text + 3, "/?# \t\r\n\"'");
        const char *at = memrchr(text, '@', authority);
        const char *colon = at ? memchr(text + 3, ':', (size_t)(at - text - 3)) : NULL;
        if (!colon || colon + 1 == at)
                return 0;
        *ret_password = (size_t)(at - colon - 1);
        return (size_t)(colon + 1 - text);
}

static char *without_patterns(const char *text) {
        scoped(str_done) Str out = {0};
        while (*text) {
                size_t password = 0;
                size_t n =
                        str_starts(text, "://") ? before_password(text, &password) : word_at(text);
                str_add_n(&out, text, n > 0 ? n : 1);
                text += n > 0 ? n : 1;
                if (password > 0) {
                        str_add(&out, mask);
                        text += password;
                        continue;
                }
                const char *end = n > 0 ? mask_value(text, &out) : NULL;
                text = end ? end : text;
        }
        return str_take(&out);
}

char *redact(const char *text, char *const *secrets) {
        scoped(free_str) char *plain = without_values(text, secrets);
        return without_patterns(plain);
}
