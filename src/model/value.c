#include "model/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "model/environment.h"
#include "platform/file.h"

void value_freep(char **text) {
        if (*text)
                explicit_bzero(*text, strlen(*text));
        free(*text);
        *text = NULL;
}

static bool from_env(const char *name, char *const *env, char **ret, Err *err) {
        const char *value = environment_get(env, name);
        if (!value)
                value = getenv(name);
        if (!value) {
                err_fail(err, ERR_UNKNOWN, "the variable '%s' is not set", name);
                return err_hint(err, "Set it in the service's env file, or in the environment that "
                                     "belay is called with.");
        }
        *ret = str_copy(value);
        return true;
}

static bool from_file(const char *path, char **ret, Err *err) {
        scoped(value_freep) char *text = NULL;
        size_t bytes = 0;
        if (!file_read(path, VALUE_MAX, &text, &bytes, err))
                return err_context(err, "reading the value of 'file:%s'", path);
        if (strlen(text) != bytes)
                return err_fail(err, ERR_CORRUPT, "the value in '%s' holds a NUL byte", path);
        if (bytes > 0 && text[bytes - 1] == '\n')
                text[--bytes] = '\0';
        if (bytes > 0 && text[bytes - 1] == '\r')
                text[--bytes] = '\0';
        *ret = TAKE(text);
        return true;
}

bool value_resolve(const Value *value, char *const *env, char **ret, Err *err) {
        switch (value->from) {
        case VALUE_NONE:
                *ret = str_copy("");
                return true;
        case VALUE_TEXT:
                *ret = str_copy(value->text);
                return true;
        case VALUE_FILE:
                return from_file(value->text, ret, err);
        case VALUE_ENV:
                return from_env(value->text, env, ret, err);
        }
        return err_fail(err, ERR_BUG, "a value of no kind");
}
