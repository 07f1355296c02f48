#include <string.h>

#include "backup/session.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"

/* A word for a shell, whatever is in it. */
static char *quoted(const char *text) {
        Str s = {0};
        str_add_char(&s, '\'');
        for (const char *p = text; *p; p++)
                if (*p == '\'')
                        str_add(&s, "'\\''");
                else
                        str_add_char(&s, *p);
        str_add_char(&s, '\'');
        return str_take(&s);
}

static void path_lines(Str *s, const Set *set, const SetItem *item) {
        scoped(free_str) char *into =
                item->is_file ? path_dirname(item->path) : str_copy(item->path);
        scoped(free_str) char *place = quoted(into);
        const Object *paths = set_object(set, OBJECT_PATHS, item->slug);
        const Object *delta = set_object(set, OBJECT_DELTA, item->slug);
        const Object *deleted = set_object(set, OBJECT_DELETED, item->slug);
        scoped(free_str) char *aside = item->is_file ? quoted(item->path) : str_copy(place);
        str_addf(s, "if [ -e %s ]; then mv %s %s\"$aside\"; fi\n", aside, aside, aside);
        if (!item->present)
                return;
        str_addf(s, "mkdir -p %s\n", place);
        if (paths)
                str_addf(s,
                        "tar --zstd --xattrs --xattrs-include='*' --acls --numeric-owner -xpf %s "
                        "-C %s\n",
                        paths->name, place);
        if (deleted)
                str_addf(s, "( from=\"$PWD\"; cd %s && xargs -0 -r rm -rf -- < \"$from\"/%s )\n",
                        place, deleted->name);
        if (delta)
                str_addf(s,
                        "tar --zstd --xattrs --xattrs-include='*' --acls --numeric-owner -xpf %s "
                        "-C %s\n",
                        delta->name, place);
}

static void database_lines(Str *s, const Set *set, const SetItem *item) {
        scoped(free_str) char *place = quoted(item->path);
        const Object *object = set_object(set, OBJECT_SQLITE, item->slug);
        if (!item->within)
                str_addf(s,
                        "for f in '' -wal -shm -journal; do if [ -e %s$f ]; then mv %s$f "
                        "%s\"$aside\"$f; fi; done\n",
                        place, place, place);
        if (!object || !item->present)
                return;
        str_addf(s, "cp %s %s\n", object->name, place);
        str_addf(s, "chmod %04o %s\n", item->mode, place);
        str_addf(s, "if [ \"$(id -u)\" = 0 ]; then chown %u:%u %s; fi\n", item->uid, item->gid,
                place);
}

/* Before anything is moved: what is damaged is not worth it. */
static void proof_line(Str *s, const Set *set, const SetItem *item) {
        const Object *object = set_object(set, OBJECT_SQLITE, item->slug);
        if (object && item->present)
                str_addf(s, "test \"$(sqlite3 %s 'pragma integrity_check')\" = ok\n", object->name);
}

static void config_lines(Str *s, const Set *set) {
        const char *name;
        json_t *belongs;
        if (!set->config || json_object_size(set->config) == 0)
                return;
        str_add(s, "\n# Configuration, as it was (these lines are comments: look before you "
                   "overwrite):\n"
                   "#   mkdir config && tar --zstd -xpf config.tar.zst -C config\n");
        json_object_foreach(set->config, name, belongs) {
                scoped(free_str) char *from = str_format("config/%s", name);
                scoped(free_str) char *quoted_from = quoted(from);
                scoped(free_str) char *to = quoted(json_string_value(belongs));
                str_addf(s, "#   cp -p %s %s\n", quoted_from, to);
        }
}

static char *info_text(const Set *set) {
        Str s = {0};
        scoped(free_str) char *taken = time_text(set->taken_ms);
        scoped(free_str) char *version = str_printable(set->version, false);
        str_addf(&s,
                "# Backup '%s' of %s %s, taken %s on %s.\n"
                "# It can be restored without Belay. Stop the service, change into this directory, "
                "and run what\n"
                "# follows (it is a shell script). What is there now is moved aside to "
                "<name>.before-restore-<time>.\n"
                "# It needs tar, zstd and sqlite3. `sha256sum` of each file is in "
                "MANIFEST.json.\n\nset -e\naside=.before-restore-$(date -u +%%Y%%m%%d-%%H%%M%%S)\n",
                set->id, set->service, version, taken, set->host ? set->host : "?");
        for (size_t i = 0; i < set->n_items; i++)
                proof_line(&s, set, &set->items[i]);
        for (size_t i = 0; i < set->n_items; i++) {
                if (set->items[i].kind != CONTENT_PATH)
                        continue;
                scoped(free_str) char *shown = str_printable(set->items[i].path, false);
                str_addf(&s, "\n# %s\n", shown);
                path_lines(&s, set, &set->items[i]);
        }
        for (size_t i = 0; i < set->n_items; i++) {
                if (set->items[i].kind != CONTENT_SQLITE)
                        continue;
                scoped(free_str) char *shown = str_printable(set->items[i].path, false);
                str_addf(&s, "\n# %s\n", shown);
                database_lines(&s, set, &set->items[i]);
        }
        config_lines(&s, set);
        return str_take(&s);
}

bool write_backup_info(Set *set, Err *err) {
        static const char name[] = "BACKUP_INFO.txt";
        scoped(free_str) char *text = info_text(set);
        scoped(free_str) char *path = set_path(set, name);
        return file_write_durable(path, text, strlen(text), 0600, err) &&
               put_file_object(set, name, OBJECT_OTHER, NULL, err);
}
