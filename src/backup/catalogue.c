#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "backup/restore_place.h"
#include "backup/retention.h"
#include "backup/session.h"
#include "base/own.h"
#include "platform/file.h"

void backup_info_done(BackupInfo *info) {
        free(info->id);
        free(info->name);
        free(info->dir);
        free(info->version);
        free(info->reference);
        free(info->reason);
        free(info->why);
        json_decref(info->manifest);
        *info = (BackupInfo){0};
}

void backup_list_done(BackupList *list) {
        for (size_t i = 0; i < list->n; i++)
                backup_info_done(&list->items[i]);
        free(list->items);
        *list = (BackupList){0};
}

/* -- one -- */

static void damage(BackupInfo *info, const char *why) {
        info->damaged = true;
        str_replace_owned(&info->why, str_copy(why));
}

static void fill_from_json(BackupInfo *info, json_t *manifest) {
        info->manifest = manifest;
        str_replace_owned(&info->id, str_copy(js_str(manifest, "id")));
        info->version = str_copy(js_str(manifest, "version"));
        info->reference = str_copy(js_str(manifest, "reference"));
        info->reason = str_copy(js_str(manifest, "reason"));
        info->run = (unsigned)js_int(manifest, "run", 0);
        info->taken_ms = js_int(manifest, "taken_ms", 0);
        info->level = (int)js_int(manifest, "verified_level", 0);
}

/* Sizes are looked at here, bytes by backup_verify. */
static void look_at_objects(BackupInfo *info, const Set *set) {
        for (size_t i = 0; i < set->n_items; i++)
                info->files += set->items[i].files;
        for (size_t i = 0; i < set->n_objects; i++) {
                scoped(free_str) char *path = set_path(set, set->objects[i].name);
                struct stat st;
                info->bytes += set->objects[i].bytes;
                if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
                        (uint64_t)st.st_size == set->objects[i].bytes)
                        continue;
                scoped(free_str) char *why =
                        str_format("'%s' is missing or has another size", set->objects[i].name);
                damage(info, why);
        }
}

static void read_backup(BackupInfo *info) {
        scoped(set_done) Set set = {0};
        scoped(err_clear) Err err = {0};
        const char *dash = strrchr(info->name, '-');
        info->id = str_copy(dash ? dash + 1 : info->name);
        if (!set_load(info->dir, &set, &err)) {
                damage(info, err.message);
                return;
        }
        if (set.pass != 3) {
                damage(info, "its manifest is missing");
                return;
        }
        fill_from_json(info, set_to_json(&set));
        look_at_objects(info, &set);
}

static void read_salvage(BackupInfo *info) {
        scoped(err_clear) Err err = {0};
        json_t *manifest = NULL;
        info->salvage = true;
        info->id = str_copy(info->name);
        if (!salvage_load(info->dir, &manifest, &err)) {
                damage(info, err.message);
                return;
        }
        fill_from_json(info, manifest);
        info->level = 0;
        if (salvage_places_left(manifest) == 0)
                damage(info, "nothing of it is left");
}

/* -- all -- */

static int newest_first(const void *a, const void *b) {
        const BackupInfo *x = a, *y = b;
        if (x->taken_ms != y->taken_ms)
                return x->taken_ms < y->taken_ms ? 1 : -1;
        return strcmp(y->name, x->name);
}

bool backup_list(const char *store, const char *service, BackupList *ret, Err *err) {
        scoped(free_str) char *base = store_service_dir(store, service);
        scoped(backup_list_done) BackupList list = {0};
        scoped(close_dir) DIR *dir = opendir(base);
        struct dirent *d;
        if (!dir)
                return errno == ENOENT || err_fail_errno(err, ERR_IO, errno, "listing '%s'", base);
        for (errno = 0; (d = readdir(dir)) != NULL; errno = 0) {
                if (d->d_name[0] == '.')
                        continue;
                BackupInfo info = {.name = str_copy(d->d_name), .dir = path_join(base, d->d_name)};
                if (str_starts(info.name, "salvage-"))
                        read_salvage(&info);
                else
                        read_backup(&info);
                PUSH(list.items, list.n, info);
        }
        if (errno != 0)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", base);
        if (list.n > 1)
                qsort(list.items, list.n, sizeof(BackupInfo), newest_first);
        *ret = list;
        list = (BackupList){0};
        return true;
}

static bool is_meant(const BackupInfo *info, const char *what) {
        if (!what)
                return !info->salvage && !info->damaged;
        if (str_equal(info->id, what) || str_equal(info->name, what))
                return true;
        return !info->salvage && str_equal(info->version, what[0] == 'v' ? what + 1 : what);
}

static bool begins(const BackupInfo *info, const char *what) {
        return what && strlen(what) >= 4 &&
               (str_starts(info->id, what) || str_starts(info->name, what));
}

static bool not_found(const BackupList *list, const char *service, const char *what, Err *err) {
        scoped(free_str) char *shown = what ? str_printable(what, false) : NULL;
        if (!shown)
                err_fail(err, ERR_UNKNOWN, "'%s' has no backup", service);
        else
                err_fail(err, ERR_UNKNOWN, "'%s' has no backup '%.80s'", service, shown);
        if (list->n == 0)
                return err_hint(err, "`belay backup create %s` makes one.", service);
        return err_hint(err, "The newest is '%s'. `belay backup list %s` shows all.",
                list->items[0].name, service);
}

bool backup_find(
        const char *store, const char *service, const char *what, BackupInfo *ret, Err *err) {
        scoped(backup_list_done) BackupList list = {0};
        size_t at = SIZE_MAX, n_begin = 0, first = 0;
        if (!backup_list(store, service, &list, err))
                return false;
        for (size_t i = list.n; i-- > 0;) {
                if (is_meant(&list.items[i], what))
                        at = i;
                if (begins(&list.items[i], what)) {
                        first = i;
                        n_begin++;
                }
        }
        if (at == SIZE_MAX && n_begin == 1)
                at = first;
        if (at == SIZE_MAX && n_begin > 1)
                return err_fail(err, ERR_UNKNOWN, "'%s' is the beginning of %zu backups of '%s'",
                        what, n_begin, service);
        if (at == SIZE_MAX)
                return not_found(&list, service, what, err);
        *ret = list.items[at];
        list.items[at] = (BackupInfo){0};
        return true;
}

bool backup_stage(
        const char *store, const char *service, const char *id, BackupStage *ret, Err *err) {
        scoped(free_str) char *dir = NULL;
        scoped(set_done) Set set = {0};
        Err found = {0};
        bool published;
        if (!store_locate(store, service, id, &dir, &published, err))
                return false;
        *ret = !dir ? BACKUP_ABSENT : published ? BACKUP_PUBLISHED : BACKUP_BEGUN;
        if (*ret != BACKUP_BEGUN || (!set_load(dir, &set, &found) && found.code == ERR_UNKNOWN)) {
                err_clear(&found);
                return true;
        }
        if (found.code != ERR_NONE) {
                err_move(err, &found);
                return false;
        }
        *ret = set.pass >= 2 ? BACKUP_PASS2 : BACKUP_PASS1;
        return true;
}

bool backup_verify(const char *dir, int level, const BackupWatch *watch, Err *err) {
        scoped(set_done) Set set = {0};
        Err found = {0};
        if (!set_load(dir, &set, &found)) {
                if (found.code == ERR_UNKNOWN)
                        found.code = ERR_CORRUPT;
                err_move(err, &found);
                return false;
        }
        if (set.pass != 3)
                return err_fail(
                        err, ERR_CORRUPT, "'%s' has no manifest: it was never finished", dir);
        return (level < 2 || set_load_files(&set, err)) && set_prove(&set, level, watch, err);
}

/* -- removing -- */

static bool remove_dir(const char *dir, Err *err) {
        static const char *const manifests[] = {"MANIFEST.json", "PASS2.json", "PASS1.json"};
        for (size_t i = 0; i < COUNT_OF(manifests); i++) {
                scoped(free_str) char *path = path_join(dir, manifests[i]);
                if (!file_unlink(path, err))
                        return false;
        }
        /* Out of the catalogue before its objects go, so that a death leaves only what is cleared anyway. */
        scoped(free_str) char *parent = path_dirname(dir);
        const char *name = path_basename(dir), *dash = strrchr(name, '-');
        scoped(free_str) char *hidden =
                str_format("%s/.partial-%s", parent, dash ? dash + 1 : name);
        if (name[0] != '.' && !file_exists(hidden) && !file_rename(dir, hidden, err))
                return false;
        return tree_remove(name[0] == '.' ? dir : hidden, err);
}

bool backup_discard(const char *store, const char *service, const char *id, Err *err) {
        scoped(free_str) char *dir = NULL;
        bool published;
        if (!store_locate(store, service, id, &dir, &published, err))
                return false;
        return !dir || remove_dir(dir, err) || err_context(err, "removing backup '%s'", id);
}

bool backup_discard_leftovers(const char *store, const char *service, char *const *keep, Err *err) {
        scoped(free_str) char *base = store_service_dir(store, service);
        scoped(strv_freep) Strv names = NULL;
        DIR *dir = opendir(base);
        struct dirent *d;
        if (!dir)
                return errno == ENOENT || err_fail_errno(err, ERR_IO, errno, "listing '%s'", base);
        for (errno = 0; (d = readdir(dir)) != NULL; errno = 0)
                if (str_starts(d->d_name, ".partial-") &&
                        !strv_contains(keep, d->d_name + strlen(".partial-")))
                        strv_add(&names, d->d_name);
        int failed = errno;
        (void)closedir(dir);
        if (failed != 0)
                return err_fail_errno(err, ERR_IO, failed, "listing '%s'", base);
        for (size_t i = 0; names && names[i]; i++) {
                scoped(free_str) char *path = path_join(base, names[i]);
                if (!remove_dir(path, err))
                        return err_context(err, "clearing what an unfinished backup left");
        }
        return true;
}

static bool remove_salvage(const BackupInfo *info, Err *err) {
        scoped(free_str) char *manifest = path_join(info->dir, "MANIFEST.json");
        size_t i;
        json_t *one;
        /* Its manifest goes last: it alone knows where the data lies. */
        json_array_foreach(js_get(info->manifest, "places"), i, one) {
                const char *where = js_str(one, "where");
                if (where && !tree_remove(where, err))
                        return err_context(err, "removing '%s'", info->name);
        }
        return file_unlink(manifest, err) && tree_remove(info->dir, err);
}

bool backup_remove(const char *store, const char *service, const char *name, Err *err) {
        scoped(backup_info_done) BackupInfo info = {0};
        if (!backup_find(store, service, name, &info, err))
                return false;
        if (info.salvage)
                return remove_salvage(&info, err);
        return remove_dir(info.dir, err) || err_context(err, "removing backup '%s'", info.name);
}
