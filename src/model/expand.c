#include "model/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

typedef struct Name {
        const char *name;
        size_t offset;
} Name;

#define NAME(field)                                                                                \
        { #field, offsetof(Expansion, field) }
static const Name names[] = {
        NAME(version),
        NAME(tag),
        NAME(commit),
        NAME(previous_version),
        NAME(service),
        NAME(component),
        NAME(port),
        NAME(digest),
        NAME(image),
};

static const char *value_of(
        const char *name, size_t bytes, const Expansion *values, bool *ret_known) {
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                if (strlen(names[i].name) != bytes || strncmp(names[i].name, name, bytes) != 0)
                        continue;
                *ret_known = true;
                const char *value = NULL;
                memcpy(&value, (const char *)values + names[i].offset, sizeof(value));
                return value ? value : "";
        }
        *ret_known = false;
        return "";
}

char *expand(const char *text, const Expansion *values, Err *err) {
        scoped(str_done) Str out = {0};
        while (*text) {
                if (str_starts(text, "$${")) {
                        str_add(&out, "${");
                        text += 3;
                        continue;
                }
                if (!str_starts(text, "${")) {
                        str_add_char(&out, *text++);
                        continue;
                }
                size_t bytes = strcspn(text + 2, "}");
                bool known = false;
                const char *value =
                        text[2 + bytes] ? value_of(text + 2, bytes, values, &known) : "";
                if (!known) {
                        err_fail(err, ERR_MANIFEST, "unknown '${%.*s}'",
                                (int)(bytes > 60 ? 60 : bytes), text + 2);
                        err_hint(err, "Known are ${version}, ${tag}, ${commit}, "
                                      "${previous_version}, ${service}, "
                                      "${component} and ${port}; $${ stands for a literal ${.");
                        return NULL;
                }
                str_add(&out, value);
                text += 2 + bytes + 1;
        }
        return str_take(&out);
}

bool expand_ok(const char *text, Err *err) {
        static const Expansion nothing = {0};
        scoped(free_str) char *out = expand(text, &nothing, err);
        return out != NULL;
}
