#include "update/options.h"

#include <stddef.h>

#include "base/own.h"
#include "base/str.h"

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
        {"no_rehearsal", offsetof(Options, no_rehearsal)},
        {"revert", offsetof(Options, revert)},
        {"restore", offsetof(Options, restore)},
        {"any_time", offsetof(Options, any_time)},
        {"in_window", offsetof(Options, in_window)},
        {"no_schedule", offsetof(Options, no_schedule)},
};

/* "--even-if-bad" is the flag of even_if_bad. */
static bool is_flag(const char *flag, const char *name) {
        if (!str_starts(flag, "--"))
                return false;
        for (flag += 2; *flag && *name; flag++, name++)
                if (*flag != (*name == '_' ? '-' : *name))
                        return false;
        return *flag == *name;
}

bool options_given(const Options *options, const char *flag) {
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (is_flag(flag, names[i].name))
                        return *(const bool *)((const char *)options + names[i].offset);
        return false;
}

json_t *options_to_json(const Options *options) {
        json_t *object = json_object();
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (*(const bool *)((const char *)options + names[i].offset))
                        js_set_bool(object, names[i].name, true);
        if (options->at_ms)
                js_set_int(object, "at_ms", options->at_ms);
        if (options->wait_lock_ms)
                js_set_int(object, "wait_lock_ms", options->wait_lock_ms);
        return object;
}

Options options_from_json(const json_t *object) {
        Options options = {.wait_lock_ms = js_int(object, "wait_lock_ms", 0),
                .at_ms = js_int(object, "at_ms", 0)};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                *(bool *)((char *)&options + names[i].offset) =
                        js_bool(object, names[i].name, false);
        return options;
}
