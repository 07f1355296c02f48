/* A line of a Procfile or a script, read as a shell reads it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/startup_parts.h"
#include "manifest/value.h"

typedef struct Reader {
        const char *at;
        Str word;
        bool in_word, quoted; /* quoted: some of the word was */
        bool shell;           /* only a shell can do this */
        Startup *start;
} LineReader;

/* ${PORT:-8000} and ${PORT-8000}: the bytes of it, 0 when it is another variable. */
static size_t port_variable(const char *at, unsigned *ret_port) {
        uint64_t port = 0;
        if (str_starts(at, "$PORT") && !isalnum((unsigned char)at[5]) && at[5] != '_')
                return 5;
        if (str_starts(at, "${PORT}"))
                return 7;
        if (!str_starts(at, "${PORT:-") && !str_starts(at, "${PORT-"))
                return 0;
        const char *digits = strchr(at, '-') + 1, *end = strchr(digits, '}');
        scoped(free_str) char *number = end ? str_copy_n(digits, (size_t)(end - digits)) : NULL;
        if (!number || !str_to_uint(number, UINT16_MAX, &port))
                return 0;
        *ret_port = (unsigned)port;
        return (size_t)(end - at) + 1;
}

static void take_dollar(LineReader *r) {
        unsigned port = 0;
        size_t bytes = port_variable(r->at, &port);
        r->shell = r->shell || bytes == 0;
        if (port)
                r->start->port = port;
        str_add(&r->word, bytes ? "${port}" : "$");
        r->at += bytes ? bytes : 1;
}

/* A literal "${" must not be taken for a value of Belay's. */
static void take_literal(LineReader *r) {
        str_add(&r->word, str_starts(r->at, "${") ? "$$" : (char[]){r->at[0], '\0'});
        r->at++;
}

static void take_single(LineReader *r) {
        for (r->at++; *r->at && *r->at != '\'';)
                take_literal(r);
        r->shell = r->shell || !*r->at;
        r->at += *r->at != '\0';
}

static void take_double(LineReader *r) {
        for (r->at++; *r->at && *r->at != '"';) {
                if (*r->at == '$')
                        take_dollar(r);
                else if (*r->at == '`')
                        r->shell = true, r->at++;
                else {
                        if (*r->at == '\\' && r->at[1] && strchr("\"\\$`", r->at[1]))
                                r->at++;
                        take_literal(r);
                }
        }
        r->shell = r->shell || !*r->at;
        r->at += *r->at != '\0';
}

static bool is_assignment(const char *word, char **ret_name) {
        const char *equals = strchr(word, '=');
        if (!equals)
                return false;
        scoped(free_str) char *name = str_copy_n(word, (size_t)(equals - word));
        if (env_name_problem(name))
                return false;
        *ret_name = TAKE(name);
        return true;
}

static void end_word(LineReader *r) {
        if (!r->in_word)
                return;
        scoped(free_str) char *word = str_take(&r->word);
        scoped(free_str) char *name = NULL;
        bool first = r->start->command == NULL;
        if (first && is_assignment(word, &name))
                startup_environment_add(r->start, name, word + strlen(name) + 1);
        else if (!first || r->quoted || (strcmp(word, "exec") != 0 && strcmp(word, "env") != 0))
                strv_add(&r->start->command, word);
        r->in_word = r->quoted = false;
}

static void take_one(LineReader *r) {
        char c = *r->at;
        if (isspace((unsigned char)c)) {
                end_word(r);
                r->at++;
                return;
        }
        bool first = !r->in_word;
        r->in_word = true;
        r->quoted = r->quoted || c == '\'' || c == '"' || c == '\\';
        if (c == '\'')
                take_single(r);
        else if (c == '"')
                take_double(r);
        else if (c == '$')
                take_dollar(r);
        else if (c == '\\' && r->at[1]) {
                r->at++;
                take_literal(r);
        } else {
                r->shell = r->shell || strchr("|&;<>()`*?[", c) || (first && strchr("~#", c));
                take_literal(r);
        }
}

static char *for_shell(const char *line) {
        Str text = {0};
        for (; *line; line++)
                str_add(&text, str_starts(line, "${") ? "$$" : (char[]){*line, '\0'});
        return str_take(&text);
}

static void startup_forget(Startup *start) {
        for (size_t i = 0; i < start->n_environment; i++) {
                free(start->environment[i].name);
                free(start->environment[i].value);
        }
        free(start->environment);
        start->environment = NULL;
        start->n_environment = 0;
        strv_free(start->command);
        start->command = NULL;
}

bool startup_line(const char *line, Startup *ret) {
        scoped(free_str) char *copy = str_copy(line);
        LineReader reader = {.at = str_trim(copy), .start = ret};
        while (*reader.at)
                take_one(&reader);
        end_word(&reader);
        str_done(&reader.word);
        if (!reader.shell)
                return ret->command != NULL;
        startup_forget(ret);
        strv_add(&ret->command, "sh");
        strv_add(&ret->command, "-c");
        strv_push(&ret->command, for_shell(str_trim(copy)));
        return true;
}

/* -- ports in commands ------------------------------------------------------------------------ */

static bool name_in_word(char **word, const char *number) {
        size_t n = strlen(*word), m = strlen(number);
        if (n < m || strcmp(*word + n - m, number) != 0 || strstr(*word, "${"))
                return false;
        if (n > m && !strchr("=:", (*word)[n - m - 1]))
                return false;
        scoped(free_str) char *front = str_copy_n(*word, n - m);
        str_replace_owned(word, str_format("%s${port}", front));
        return true;
}

bool startup_name_port(Strv command, unsigned port) {
        scoped(free_str) char *number = str_format("%u", port);
        bool named = false;
        for (size_t i = 1; port && command && command[0] && command[i]; i++)
                named = name_in_word(&command[i], number) || named;
        return named;
}

/* -- ports in programs ------------------------------------------------------------------------ */

enum { PORT_LEAST = 80, NEAR = 40 };

/* The first whole number that can be a port, not further than NEAR bytes and in the same line. */
static unsigned port_near(const char *at) {
        for (size_t i = 0; i < NEAR && at[i] && at[i] != '\n'; i++) {
                if (!isdigit((unsigned char)at[i]))
                        continue;
                size_t digits = strspn(at + i, "0123456789");
                scoped(free_str) char *number = str_copy_n(at + i, digits);
                uint64_t port = 0;
                bool whole = at[i + digits] != '.' && !isalnum((unsigned char)at[i + digits]) &&
                             (i == 0 || (at[i - 1] != '.' && !isalpha((unsigned char)at[i - 1])));
                if (whole && str_to_uint(number, UINT16_MAX, &port) && port >= PORT_LEAST)
                        return (unsigned)port;
                i += digits - 1;
        }
        return 0;
}

unsigned startup_port_in(const char *text) {
        static const char *const words[] = {"PORT", "port", "listen("};
        for (size_t w = 0; w < COUNT_OF(words); w++) {
                for (const char *at = text; (at = strstr(at, words[w]));) {
                        at += strlen(words[w]);
                        unsigned port = port_near(at);
                        if (port)
                                return port;
                }
        }
        return 0;
}
