#include "model/envfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"

enum { ENV_NAME_MAX = 256, ENV_ENTRIES_MAX = 10000 };

static const char byte_order_mark[] = "\xef\xbb\xbf";

void envfile_done(EnvFile *file) {
        for (size_t i = 0; i < file->n; i++) {
                free(file->entries[i].name);
                free(file->entries[i].value);
        }
        free(file->entries);
        *file = (EnvFile){0};
}

static bool name_byte(char c, bool first) {
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_')
                return true;
        return !first && ((c >= '0' && c <= '9') || c == '.' || c == '-');
}

static size_t name_length(const char *text) {
        size_t n = 0;
        while (name_byte(text[n], n == 0))
                n++;
        return n;
}

bool envfile_name_ok(const char *name) {
        size_t n = name ? name_length(name) : 0;
        return n > 0 && n <= ENV_NAME_MAX && name[n] == '\0';
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool ends_line(char c) { return c == '\0' || c == '\n'; }

static const char *skip_blanks(const char *at) {
        while (is_blank(*at))
                at++;
        return at;
}

static const char *line_end_of(const char *at) {
        while (!ends_line(*at))
                at++;
        return at;
}

/* From the first byte of a plain value to behind its last. */
static const char *plain_end(const char *at) {
        const char *end = at, *seen = at;
        while (!ends_line(*seen)) {
                bool comment = *seen == '#' && is_blank(seen[-1]);
                if (comment)
                        break;
                seen++;
                if (!is_blank(seen[-1]) && seen[-1] != '\r')
                        end = seen;
        }
        return end;
}

/* To behind the closing quote, or NULL when there is none. */
static const char *quoted_end(const char *at) {
        char quote = *at;
        for (at++; *at; at++) {
                if (*at == '\\' && quote == '"' && at[1] != '\0')
                        at++;
                else if (*at == quote)
                        return at + 1;
        }
        return NULL;
}

static const struct {
        char letter, meaning;
} escapes[] = {
        {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'"', '"'}, {'\\', '\\'}, {'$', '$'}, {'`', '`'}};

static char escape_meaning(char letter) {
        for (size_t i = 0; i < COUNT_OF(escapes); i++)
                if (escapes[i].letter == letter)
                        return escapes[i].meaning;
        return '\0';
}

static char *double_decode(const char *at, const char *end) {
        Str s = {0};
        while (at < end) {
                char meaning = *at == '\\' && at + 1 < end ? escape_meaning(at[1]) : '\0';
                str_add_char(&s, meaning ? meaning : *at);
                at += meaning ? 2 : 1;
        }
        return str_take(&s);
}

typedef struct Reader {
        const char *text, *at;
        unsigned line;
        EnvFile *file;
} Reader;

static size_t offset_of(const Reader *r, const char *at) { return (size_t)(at - r->text); }

/* Moves behind `end`'s line, counting newlines on the way. */
static void move_behind(Reader *r, const char *end) {
        for (const char *at = r->at; at < end; at++)
                r->line += *at == '\n';
        r->at = end;
        if (*r->at == '\n') {
                r->at++;
                r->line++;
        }
}

static bool quoted_value(Reader *r, const char *value, EnvEntry *entry, Err *err) {
        const char *end = quoted_end(value);
        if (!end)
                return err_fail(err, ERR_REFUSED,
                        "line %u: the quote that opens the value of '%s' is never closed", r->line,
                        entry->name);
        const char *rest = skip_blanks(end);
        if (*rest == '\r')
                rest++;
        if (!ends_line(*rest) && !(*rest == '#' && is_blank(rest[-1])))
                return err_fail(err, ERR_REFUSED,
                        "line %u: there is text after the closing quote of '%s'", r->line,
                        entry->name);
        entry->quote = *value == '"' ? ENV_DOUBLE : ENV_SINGLE;
        entry->value_end = offset_of(r, end);
        entry->value = entry->quote == ENV_DOUBLE
                               ? double_decode(value + 1, end - 1)
                               : str_copy_n(value + 1, (size_t)(end - value - 2));
        return true;
}

static bool entry_value(Reader *r, const char *after_sign, EnvEntry *entry, Err *err) {
        const char *value = skip_blanks(after_sign);
        if (*value == '"' || *value == '\'') {
                entry->value_at = offset_of(r, value);
                return quoted_value(r, value, entry, err);
        }
        bool empty = ends_line(*value) || *value == '\r' || (*value == '#' && value > after_sign);
        if (empty)
                value = after_sign;
        const char *end = empty ? value : plain_end(value);
        entry->value_at = offset_of(r, value);
        entry->value_end = offset_of(r, end);
        entry->value = str_copy_n(value, (size_t)(end - value));
        return true;
}

static void entry_free(EnvEntry *entry) {
        free(entry->name);
        free(entry->value);
}

/* One line, or one assignment over several. */
static bool read_line(Reader *r, Err *err) {
        const char *start = r->at, *name = skip_blanks(start);
        if (strncmp(name, "export", 6) == 0 && is_blank(name[6]))
                name = skip_blanks(name + 6);
        size_t n = name_length(name);
        const char *sign = skip_blanks(name + n);
        if (n == 0 || n > ENV_NAME_MAX || *sign != '=') {
                move_behind(r, line_end_of(start));
                return true;
        }
        scoped(entry_free) EnvEntry entry = {
                .name = str_copy_n(name, n), .line = r->line, .line_at = offset_of(r, start)};
        if (!entry_value(r, sign + 1, &entry, err))
                return false;
        if (r->file->n == ENV_ENTRIES_MAX)
                return err_fail(
                        err, ERR_REFUSED, "line %u: more than %d names", r->line, ENV_ENTRIES_MAX);
        move_behind(r, line_end_of(r->text + entry.value_end));
        entry.line_end = offset_of(r, r->at);
        PUSH(r->file->entries, r->file->n, entry);
        entry = (EnvEntry){0};
        return true;
}

bool envfile_parse(const char *text, EnvFile *ret, Err *err) {
        if (strnlen(text, LIMIT_ENV_FILE + 1) > LIMIT_ENV_FILE)
                return err_fail(err, ERR_REFUSED, "more than %d bytes", LIMIT_ENV_FILE);
        scoped(envfile_done) EnvFile file = {0};
        Reader r = {.text = text, .at = text, .line = 1, .file = &file};
        if (str_starts(text, byte_order_mark))
                r.at += strlen(byte_order_mark);
        const char *first = strchr(text, '\n');
        file.crlf = first && first > text && first[-1] == '\r';
        while (*r.at)
                if (!read_line(&r, err))
                        return false;
        *ret = file;
        file = (EnvFile){0};
        return true;
}

const EnvEntry *envfile_find(const EnvFile *file, const char *name) {
        for (size_t i = file->n; i > 0; i--)
                if (str_equal(file->entries[i - 1].name, name))
                        return &file->entries[i - 1];
        return NULL;
}

bool envfile_values(const char *text, Strv *ret_env, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(text, &file, err))
                return false;
        scoped(strv_freep) Strv env = NULL;
        for (size_t i = 0; i < file.n; i++) {
                const EnvEntry *entry = &file.entries[i];
                if (envfile_find(&file, entry->name) == entry)
                        strv_addf(&env, "%s=%s", entry->name, entry->value);
        }
        *ret_env = TAKE(env);
        return true;
}

bool envfile_get(const char *text, const char *name, char **ret, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(text, &file, err))
                return false;
        const EnvEntry *entry = envfile_find(&file, name);
        *ret = entry ? str_copy(entry->value) : NULL;
        return true;
}

/* ---- edits ---- */

/* Plain text that compose, systemd and a shell all read as itself. */
static bool plain_holds(const char *value) {
        static const char safe[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%^~";
        return value[strspn(value, safe)] == '\0' && *value != '~';
}

static EnvQuote quote_for(const char *value, EnvQuote wanted) {
        if (wanted == ENV_PLAIN && plain_holds(value))
                return ENV_PLAIN;
        if (wanted == ENV_DOUBLE || strchr(value, '\''))
                return ENV_DOUBLE;
        return ENV_SINGLE;
}

static void add_encoded(Str *s, const char *value, EnvQuote quote) {
        if (quote == ENV_PLAIN) {
                str_add(s, value);
                return;
        }
        str_add_char(s, quote == ENV_DOUBLE ? '"' : '\'');
        for (; *value; value++) {
                if (quote == ENV_DOUBLE && strchr("\"\\$`", *value))
                        str_add_char(s, '\\');
                str_add_char(s, *value);
        }
        str_add_char(s, quote == ENV_DOUBLE ? '"' : '\'');
}

static char *encoded_value(const char *value, EnvQuote quote) {
        Str s = {0};
        add_encoded(&s, value, quote_for(value, quote));
        return str_take(&s);
}

static char *with_new_line(const char *text, bool crlf, const char *name, const char *encoded) {
        Str s = {0};
        str_add(&s, text);
        bool bare = *text == '\0' || str_equal(text, byte_order_mark);
        if (!bare && !str_ends(text, "\n"))
                str_add(&s, crlf ? "\r\n" : "\n");
        str_addf(&s, "%s=%s%s", name, encoded, crlf ? "\r\n" : "\n");
        return str_take(&s);
}

static char *with_value_at(const char *text, const EnvEntry *entry, const char *encoded) {
        Str s = {0};
        str_add_n(&s, text, entry->value_at);
        str_add(&s, encoded);
        str_add(&s, text + entry->value_end);
        return str_take(&s);
}

static bool value_is(const EnvFile *file, const char *name, const char *value) {
        const EnvEntry *entry = envfile_find(file, name);
        return value ? entry && str_equal(entry->value, value) : !entry;
}

/* Whether `after` says the same as `before` but for `name`, which must mean `value` (NULL: be gone). */
static bool edit_is_right(
        const EnvFile *before, const char *after, const char *name, const char *value, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(after, &file, err))
                return err_context(err, "reading the edited text again");
        bool same = value_is(&file, name, value);
        size_t j = 0;
        for (size_t i = 0; same && i < before->n; i++) {
                const EnvEntry *old = &before->entries[i];
                if (str_equal(old->name, name))
                        continue;
                while (j < file.n && str_equal(file.entries[j].name, name))
                        j++;
                same = j < file.n && str_equal(file.entries[j].name, old->name) &&
                       str_equal(file.entries[j].value, old->value);
                j++;
        }
        if (!same)
                return err_fail(err, ERR_REFUSED,
                        "'%s' cannot be edited without changing something else", name);
        return true;
}

/* `encoded` is what stands behind the sign; NULL: `value` is written as suits the file. */
static bool set_value(const char *text, const char *name, const char *value, const char *encoded,
        char **ret, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(text, &file, err))
                return false;
        const EnvEntry *entry = envfile_find(&file, name);
        scoped(free_str) char *written =
                encoded ? str_copy(encoded)
                        : encoded_value(value, entry ? entry->quote : ENV_PLAIN);
        scoped(free_str) char *after = NULL;
        if (entry && str_equal(entry->value, value))
                after = str_copy(text);
        else
                after = entry ? with_value_at(text, entry, written)
                              : with_new_line(text, file.crlf, name, written);
        if (!edit_is_right(&file, after, name, value, err))
                return false;
        *ret = TAKE(after);
        return true;
}

bool envfile_set(const char *text, const char *name, const char *value, char **ret, Err *err) {
        if (!envfile_name_ok(name))
                return err_fail(err, ERR_USAGE, "'%s' is no name for an env file", name);
        if (strpbrk(value, "\r\n"))
                return err_fail(err, ERR_USAGE, "the value of '%s' has a line break", name);
        return set_value(text, name, value, NULL, ret, err);
}

bool envfile_take_back(const char *text, const char *old, const char *name, char **ret, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(old, &file, err))
                return false;
        const EnvEntry *was = envfile_find(&file, name);
        if (!was)
                return envfile_remove(text, name, ret, err);
        scoped(free_str) char *encoded =
                str_copy_n(old + was->value_at, was->value_end - was->value_at);
        return set_value(text, name, was->value, encoded, ret, err);
}

bool envfile_remove(const char *text, const char *name, char **ret, Err *err) {
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(text, &file, err))
                return false;
        Str s = {0};
        size_t from = 0;
        for (size_t i = 0; i < file.n; i++) {
                if (!str_equal(file.entries[i].name, name))
                        continue;
                str_add_n(&s, text + from, file.entries[i].line_at - from);
                from = file.entries[i].line_end;
        }
        str_add(&s, text + from);
        scoped(free_str) char *after = str_take(&s);
        if (!edit_is_right(&file, after, name, NULL, err))
                return false;
        *ret = TAKE(after);
        return true;
}
