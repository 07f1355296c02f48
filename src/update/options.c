#include "update/options.h"

#include <stddef.h>

#include "base/own.h"

typedef struct OptionName {
        const char *name;
        size_t offset;
} OptionName;

static const OptionName names[] = {
        {"no_backup", offsetof(Options, no_backup)},
        {"no_migrations", offsetof(Options, no_migrations)},
        {"accept_breaking", offsetof(Options, accept_breaking)},
        {"accept_unhealthy", offsetof(Options, accept_unhealthy)},
        {"allow_downgrade", offsetof(Options, allow_downgrade)},
        {"even_if_bad", offsetof(Options, even_if_bad)},
        {"reinstall", offsetof(Options, reinstall)},
        {"fix", offsetof(Options, fix)},
        {"revert", offsetof(Options, revert)},
        {"restore", offsetof(Options, restore)},
};

json_t *options_to_json(const Options *options) {
        json_t *object = json_object();
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (*(const bool *)((const char *)options + names[i].offset))
                        js_set_bool(object, names[i].name, true);
        if (options->wait_lock_ms)
                js_set_int(object, "wait_lock_ms", options->wait_lock_ms);
        return object;
}

Options options_from_json(const json_t *object) {
        Options options = {.wait_lock_ms = js_int(object, "wait_lock_ms", 0)};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                *(bool *)((char *)&options + names[i].offset) =
                        js_bool(object, names[i].name, false);
        return options;
}
