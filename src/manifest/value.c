#include "manifest/value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/own.h"
#include "base/str.h"
#include "base/version.h"
#include "model/service.h"
#include "platform/zone_file.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static bool only(const char *text, const char *allowed) {
        return text[strspn(text, allowed)] == '\0';
}

const char *service_problem(const char *name) {
        return service_name_ok(name)
                       ? NULL
                       : "is no name of a service: 1 to 63 of a-z, 0-9 and '-', not '-' first";
}

const char *env_name_problem(const char *name) {
        bool good = name[0] && !isdigit((unsigned char)name[0]) && strlen(name) <= 128 &&
                    only(name, LETTERS DIGITS "_");
        return good ? NULL : "is no name of a variable: letters, digits and '_', no digit first";
}

const char *user_problem(const char *name) {
        bool good = name[0] && !strchr(DIGITS "-.", name[0]) && strlen(name) <= 32 &&
                    only(name, LETTERS DIGITS "_.-");
        return good ? NULL : "is no name of a user (numbers are not taken)";
}

const char *reference_problem(const char *name) {
        if (name[0] == '-')
                return "begins with '-', which git would take for an option";
        return version_text_ok(name) ? NULL : "is no name that git allows";
}

const char *tag_glob_problem(const char *glob) {
        if (!glob[0] || strlen(glob) > 200)
                return "is empty or longer than 200 bytes";
        if (glob[0] == '-')
                return "begins with '-', which git would take for an option";
        if (strstr(glob, "..") || !only(glob, LETTERS DIGITS "._-+/*?[]!@"))
                return "is no glob for tags: letters, digits, . _ - + / and * ? [ ]";
        const char *open = strchr(glob, '[');
        if (open && !strchr(open, ']'))
                return "has a '[' without ']'";
        return NULL;
}

const char *header_problem(const char *name) {
        bool good = name[0] && strlen(name) <= 128 && only(name, LETTERS DIGITS "!#$%&'*+-.^_`|~");
        return good ? NULL : "is no name of an HTTP header";
}

const char *json_path_problem(const char *path) {
        size_t n = strlen(path);
        if (path[0] != '.' || n < 2 || n > 200)
                return "is no dotted path such as .version";
        if (strstr(path, "..") || path[n - 1] == '.' || strpbrk(path, " \t\n"))
                return "is no dotted path: an empty part or a space";
        return NULL;
}

const char *zone_problem(const char *name) {
        return str_equal(name, "local") ? NULL : zone_name_problem(name);
}

const char *program_problem(const char *argument) {
        if (!argument[0])
                return "names no program";
        return argument[0] == '-' ? "begins with '-': the program comes first" : NULL;
}

bool percent_parse(const char *text, unsigned max, unsigned *ret) {
        size_t n = strlen(text);
        if (n < 2 || n > 8 || text[n - 1] != '%' || (text[0] == '0' && n > 2))
                return false;
        scoped(free_str) char *number = str_copy_n(text, n - 1);
        uint64_t value = 0;
        if (!str_to_uint(number, max, &value))
                return false;
        *ret = (unsigned)value;
        return true;
}

bool threshold_parse(const char *text, unsigned *ret_threshold, unsigned *ret_window) {
        const char *of = strstr(text, " of ");
        if (!of || of - text > 3 || strlen(of) > 7 || text[0] == '0')
                return false;
        scoped(free_str) char *first = str_copy_n(text, (size_t)(of - text));
        uint64_t n = 0, m = 0;
        if (!str_to_uint(first, 100, &n) || !str_to_uint(of + 4, 100, &m) || of[4] == '0' ||
                n < 1 || n > m)
                return false;
        *ret_threshold = (unsigned)n;
        *ret_window = (unsigned)m;
        return true;
}

static bool holds_word(const char *name, const char *word) {
        return strcasestr(name, word) != NULL;
}

bool name_is_secret(const char *name) {
        static const char *const words[] = {
                "token", "secret", "password", "passwd", "authorization", "cookie"};
        size_t n = strlen(name);
        if (n > 5 &&
                (strcasecmp(name + n - 5, "_FILE") == 0 || strcasecmp(name + n - 5, "_PATH") == 0))
                return false;
        for (size_t i = 0; i < COUNT_OF(words); i++)
                if (holds_word(name, words[i]))
                        return true;
        return (n >= 3 && strcasecmp(name + n - 3, "key") == 0) || holds_word(name, "key_");
}

bool value_has_password(const char *value) {
        const char *scheme = strstr(value, "://");
        if (!scheme)
                return false;
        const char *start = scheme + 3;
        size_t authority = strcspn(start, "/?# ");
        const char *sign = memrchr(start, '@', authority);
        const char *colon = sign ? memchr(start, ':', (size_t)(sign - start)) : NULL;
        return colon && colon + 1 < sign && strncmp(colon + 1, "${", 2) != 0;
}
