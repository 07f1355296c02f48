#include "check/log_kind.h"

#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"

enum { HEX_WORD_LEAST = 8 };

/* "ESC [ ... letter" and "ESC x": what a terminal would take for an order (ECMA-48). */
static size_t escape_bytes(const char *at, size_t left) {
        if (left < 2 || at[1] != '[')
                return left < 2 ? left : 2;
        size_t n = 2;
        while (n < left && (at[n] < '@' || at[n] > '~'))
                n++;
        return n < left ? n + 1 : left;
}

char *log_line_clean(const char *bytes, size_t n) {
        scoped(str_done) Str plain = {0};
        for (size_t i = 0; i < n;) {
                if (bytes[i] == '\033') {
                        i += escape_bytes(bytes + i, n - i);
                        continue;
                }
                str_add_char(&plain, bytes[i] == '\0' ? '?' : bytes[i] == '\t' ? ' ' : bytes[i]);
                i++;
        }
        scoped(free_str) char *text = str_take(&plain);
        scoped(free_str) char *shown = str_printable(text, false);
        return str_copy(str_trim(shown));
}

static uint64_t fnv(uint64_t hash, unsigned char byte) {
        return (hash ^ byte) * UINT64_C(1099511628211);
}

static bool is_server_error(const char *at) {
        return at[0] == '5' && at[1] == '0' && at[2] >= '0' && at[2] <= '4' &&
               !isalnum((unsigned char)at[3]);
}

/* How many bytes at `at`, the start of a word, are a number or identifier that changes from line to line. */
static size_t changing_bytes(const char *at) {
        size_t hex = strspn(at, "0123456789abcdefABCDEF-");
        bool has_digit = strcspn(at, "0123456789") < hex;
        if (hex >= HEX_WORD_LEAST && has_digit && !isalnum((unsigned char)at[hex]))
                return hex;
        return strspn(at, "0123456789");
}

uint64_t log_line_kind(const char *clean) {
        uint64_t hash = UINT64_C(14695981039346656037);
        bool in_word = false;
        for (const char *at = clean; *at;) {
                bool keep = !in_word && is_server_error(at);
                size_t n = keep ? 0 : in_word ? strspn(at, "0123456789") : changing_bytes(at);
                in_word = isalnum((unsigned char)*at) != 0;
                hash = fnv(hash, n > 0 ? '#' : (unsigned char)*at);
                if (keep)
                        hash = fnv(fnv(hash, (unsigned char)at[1]), (unsigned char)at[2]);
                at += keep ? 3 : n > 0 ? n : 1;
        }
        return hash ? hash : 1;
}

/* A word in the line, not a part of a longer one ("errors" and "ERROR:" count, "terror" does not). */
static bool has_word(const char *line, const char *word) {
        size_t n = strlen(word);
        for (const char *at = strcasestr(line, word); at; at = strcasestr(at + 1, word)) {
                bool starts = at == line || !isalpha((unsigned char)at[-1]);
                const char *end = at + n + (tolower((unsigned char)at[n]) == 's');
                if (starts && !isalpha((unsigned char)*end))
                        return true;
        }
        return false;
}

bool log_line_is_error(const char *clean) {
        static const char *const words[] = {
                "error", "err", "fatal", "critical", "crit", "panic", "emerg", "severe"};
        /* Class names: KeyError, java.lang.NullPointerException. */
        static const char *const parts[] = {
                "exception", "Error:", "traceback (most recent call last)"};
        static const char *const harmless[] = {"0 errors", "no error", "without error", "errors=0",
                "error=null", "error: null", "err=<nil>", "error=nil"};
        for (size_t i = 0; i < COUNT_OF(harmless); i++)
                if (strcasestr(clean, harmless[i]))
                        return false;
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (has_word(clean, words[i]))
                        return true;
        for (size_t i = 0; i < COUNT_OF(parts); i++)
                if (strcasestr(clean, parts[i]))
                        return true;
        return false;
}

enum {
        FLAG_MEMORY,
        FLAG_MIGRATION,
        FLAG_DAMAGED,
        FLAG_DATABASE_REFUSED,
        FLAG_SCHEMA,
        FLAG_CRASH,
        FLAG_SERVER_ERRORS
};

const RedFlag red_flags[RED_FLAGS] = {
        [FLAG_MEMORY] = {"out of memory", 1},
        [FLAG_MIGRATION] = {"a migration failed", 1},
        [FLAG_DAMAGED] = {"the database is damaged", 1},
        [FLAG_DATABASE_REFUSED] = {"connection to a database refused", 3},
        [FLAG_SCHEMA] = {"the database is not as the program expects it", 3},
        [FLAG_CRASH] = {"repeated crash", 3},
        [FLAG_SERVER_ERRORS] = {"persistent HTTP 5xx", 5},
};

static const struct {
        const char *text;
        int flag;
} texts[] = {
        {"OutOfMemory", FLAG_MEMORY},
        {"out of memory", FLAG_MEMORY},
        {"OOMKilled", FLAG_MEMORY},
        {"cannot allocate memory", FLAG_MEMORY},
        {"MemoryError", FLAG_MEMORY},
        {"std::bad_alloc", FLAG_MEMORY},
        {"migration failed", FLAG_MIGRATION},
        {"migrations failed", FLAG_MIGRATION},
        {"failed migration", FLAG_MIGRATION},
        {"failed to migrate", FLAG_MIGRATION},
        {"migration error", FLAG_MIGRATION},
        {"could not apply migration", FLAG_MIGRATION},
        {"database disk image is malformed", FLAG_DAMAGED},
        {"file is not a database", FLAG_DAMAGED},
        {"no such table", FLAG_SCHEMA},
        {"no such column", FLAG_SCHEMA},
        {"has no column named", FLAG_SCHEMA},
        {"unknown column", FLAG_SCHEMA},
        {"undefined column", FLAG_SCHEMA},
        {"undefined table", FLAG_SCHEMA},
        {"unable to open database file", FLAG_SCHEMA},
        {"segmentation fault", FLAG_CRASH},
        {"core dumped", FLAG_CRASH},
        {"panic:", FLAG_CRASH},
        {"fatal error", FLAG_CRASH},
        {"unhandled exception", FLAG_CRASH},
        {"uncaught exception", FLAG_CRASH},
        {"uncaughtException", FLAG_CRASH},
        {"traceback (most recent call last)", FLAG_CRASH},
};

static bool database_refused(const char *line) {
        static const char *const refused[] = {"connection refused", "ECONNREFUSED",
                "could not connect to server", "can't connect to"};
        static const char *const databases[] = {"postgres", "mysql", "mariadb", "redis", "mongo",
                "database", "sql", "memcached", ":5432", ":3306", ":6379", ":27017"};
        bool is_refused = false;
        for (size_t i = 0; i < COUNT_OF(refused); i++)
                is_refused |= strcasestr(line, refused[i]) != NULL;
        for (size_t i = 0; is_refused && i < COUNT_OF(databases); i++)
                if (strcasestr(line, databases[i]))
                        return true;
        return false;
}

/* An access log's status ('"GET / HTTP/1.1" 500 12'), or "status=502", "status: 503", "HTTP 500". */
static bool server_error(const char *line) {
        static const char *const before[] = {"\" ",
                "status=", "status: ", "status\":", "status\": ", "HTTP ",
                "code=", "code: ", "HTTP/1.1 ", "HTTP/1.0 ", "HTTP/2 "};
        for (size_t i = 0; i < COUNT_OF(before); i++) {
                size_t n = strlen(before[i]);
                for (const char *at = strcasestr(line, before[i]); at;
                        at = strcasestr(at + n, before[i]))
                        if (is_server_error(at + n))
                                return true;
        }
        return false;
}

int log_line_red_flag(const char *clean) {
        for (size_t i = 0; i < COUNT_OF(texts); i++)
                if (strcasestr(clean, texts[i].text))
                        return texts[i].flag;
        if (database_refused(clean))
                return FLAG_DATABASE_REFUSED;
        return server_error(clean) ? FLAG_SERVER_ERRORS : -1;
}

bool log_line_has(const char *clean, char *const *wanted) {
        for (; wanted && *wanted; wanted++)
                if (**wanted && strcasestr(clean, *wanted))
                        return true;
        return false;
}

static void end_line(LineCutter *cutter) {
        if (!cutter->dropping && cutter->line.len > 0)
                cutter->take(cutter->context, cutter->line.text, cutter->line.len);
        cutter->line.len = 0;
}

void line_cutter_add(LineCutter *cutter, const char *bytes, size_t n) {
        while (n > 0) {
                const char *newline = memchr(bytes, '\n', n);
                size_t piece = newline ? (size_t)(newline - bytes) : n;
                size_t room = LIMIT_LOG_LINE - cutter->line.len;
                if (!cutter->dropping)
                        str_add_n(&cutter->line, bytes, piece < room ? piece : room);
                if (newline || (!cutter->dropping && piece >= room)) {
                        end_line(cutter);
                        cutter->dropping = !newline;
                }
                piece += newline != NULL;
                bytes += piece;
                n -= piece;
        }
}

void line_cutter_done(LineCutter *cutter) { str_done(&cutter->line); }
