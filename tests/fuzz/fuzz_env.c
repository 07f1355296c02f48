/*
 * A name, a value and an env file, a line each and the rest: an edit changes what the name means and no
 * other byte; what cannot be edited so is refused.
 */
#include "fuzz/fuzz.h"
#include "model/envfile.h"

static void others_same(const EnvFile *before, const char *after, const char *name) {
        for (size_t i = 0; i < before->n; i++) {
                const char *other = before->entries[i].name;
                if (strcmp(other, name) == 0)
                        continue;
                scoped(free_str) char *value = NULL;
                MUST(envfile_get(after, other, &value, NULL) && value);
                MUST(strcmp(value, envfile_find(before, other)->value) == 0);
        }
}

static void bytes_kept(const char *text, const EnvEntry *entry, const char *after) {
        size_t had = strlen(text), has = strlen(after);
        size_t tail = had - entry->value_end;
        MUST(has >= entry->value_at + tail);
        MUST(memcmp(text, after, entry->value_at) == 0);
        MUST(memcmp(text + entry->value_end, after + has - tail, tail) == 0);
}

static void set_and_look(
        const char *text, const EnvFile *file, const char *name, const char *value) {
        scoped(free_str) char *after = NULL, *got = NULL;
        if (!envfile_set(text, name, value, &after, NULL)) {
                MUST(!after);
                return;
        }
        const EnvEntry *entry = envfile_find(file, name);
        MUST(envfile_get(after, name, &got, NULL) && got && strcmp(got, value) == 0);
        others_same(file, after, name);
        if (entry)
                bytes_kept(text, entry, after);
        else
                MUST(strncmp(text, after, strlen(text)) == 0);
        scoped(free_str) char *again = NULL;
        MUST(envfile_set(after, name, value, &again, NULL) && strcmp(again, after) == 0);
}

static void remove_and_look(const char *text, const EnvFile *file, const char *name) {
        scoped(free_str) char *after = NULL, *got = NULL;
        if (!envfile_remove(text, name, &after, NULL))
                return;
        MUST(envfile_get(after, name, &got, NULL) && !got);
        others_same(file, after, name);
        if (!envfile_find(file, name))
                MUST(strcmp(after, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        scoped(free_str) char *all = fuzz_text(bytes, n);
        const char *at = all;
        scoped(free_str) char *name = fuzz_line(&at);
        scoped(free_str) char *value = fuzz_line(&at);
        scoped(err_clear) Err err = {0};
        scoped(envfile_done) EnvFile file = {0};
        if (!envfile_parse(at, &file, &err)) {
                MUST(err.code == ERR_REFUSED);
                return 0;
        }
        for (size_t i = 0; i < file.n; i++) {
                const EnvEntry *e = &file.entries[i];
                MUST(envfile_name_ok(e->name));
                MUST(e->line_at <= e->value_at && e->value_at <= e->value_end &&
                        e->value_end <= e->line_end && e->line_end <= strlen(at));
        }
        scoped(strv_freep) Strv values = NULL;
        MUST(envfile_values(at, &values, NULL));
        set_and_look(at, &file, name, value);
        remove_and_look(at, &file, name);
        if (file.n > 0) {
                set_and_look(at, &file, file.entries[0].name, value);
                remove_and_look(at, &file, file.entries[file.n - 1].name);
        }
        return 0;
}
