#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"

enum { COPY_BYTES = 256 * 1024 };

void published_done(Published *p) {
        free(p->id);
        free(p->name);
        free(p->dir);
        *p = (Published){0};
}

/* -- databases -- */

static bool checkpoint(const char *path, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        int64_t busy;
        if (!database_open(path, DATABASE_READ_WRITE, &db, err) ||
                !database_int(db, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, err))
                return false;
        if (busy != 0)
                return err_fail(err, ERR_IN_USE, "somebody has the copy '%s' open", path);
        /* The last one to close may tidy up: this copy is nobody else's. */
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        return true;
}

bool wal_apply(const char *path, Err *err) {
        static const char *const endings[] = {"-wal", "-shm"};
        if (!checkpoint(path, err))
                return false;
        for (size_t i = 0; i < COUNT_OF(endings); i++) {
                scoped(free_str) char *sidecar = str_format("%s%s", path, endings[i]);
                struct stat st;
                bool there;
                if (!file_stat(sidecar, &st, &there, err))
                        return false;
                if (there && i == 0 && st.st_size != 0)
                        return err_fail(err, ERR_CORRUPT, "'%s' could not be applied", sidecar);
                if (there && !file_unlink(sidecar, err))
                        return false;
        }
        return true;
}

/* True in *ret_left: the WAL is there as it was copied. An empty or absent one was applied before a death. */
static bool wal_left(const Set *set, const Object *wal, bool *ret_left, Err *err) {
        scoped(free_str) char *path = set_path(set, wal->name);
        struct stat st;
        bool there;
        char hex[65];
        if (!file_stat(path, &st, &there, err))
                return false;
        *ret_left = there && st.st_size > 0;
        if (!*ret_left)
                return true;
        return file_sha256(path, hex, err) &&
               (strcmp(hex, wal->sha256) == 0 ||
                       err_fail(err, ERR_CORRUPT, "'%s' is not what was written", path));
}

static bool take_facts(SetItem *item, const char *path, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        scoped(database_facts_done) DatabaseFacts facts = {0};
        if (!database_open(path, DATABASE_IMMUTABLE, &db, err) ||
                !database_facts(db, true, &facts, err))
                return false;
        if (facts.page_count != item->facts.page_count ||
                strcmp(facts.schema_sha256, item->facts.schema_sha256) != 0)
                return err_fail(err, ERR_CORRUPT,
                        "the merged copy of database '%s' differs from it in pages or schema",
                        item->path);
        str_replace_owned(&facts.journal_mode, TAKE(item->facts.journal_mode));
        database_facts_done(&item->facts);
        item->facts = facts;
        facts = (DatabaseFacts){0};
        return true;
}

static bool merge_database(Set *set, SetItem *item, Err *err) {
        Object *wal = set_object(set, OBJECT_WAL, item->slug),
               *object = set_object(set, OBJECT_SQLITE, item->slug);
        if (!object)
                return err_fail(
                        err, ERR_CORRUPT, "the copy of database '%s' is missing", item->path);
        scoped(free_str) char *name = str_copy(object->name);
        scoped(free_str) char *path = set_path(set, name);
        bool left = false;
        if (!wal && !object->patched && item->facts.counted)
                return true;
        if (wal && (!wal_left(set, wal, &left, err) || (left && !wal_apply(path, err))))
                return false;
        if (wal && !left && !wal_apply(path, err))
                return false;
        if (!sync_file(path, err) || !take_facts(item, path, err))
                return false;
        if (wal) {
                scoped(free_str) char *wal_name = str_copy(wal->name);
                set_drop_object(set, wal_name);
        }
        return put_file_object(set, name, OBJECT_SQLITE, item->slug, err);
}

bool set_merge_databases(Set *set, Err *err) {
        for (size_t i = 0; i < set->n_items; i++)
                if (set->items[i].kind == CONTENT_SQLITE && set->items[i].present &&
                        !merge_database(set, &set->items[i], err))
                        return err_context(
                                err, "merging the copy of database '%s'", set->items[i].path);
        return true;
}

/* -- paths -- */

static bool compress(
        const char *from, const char *to, const Object *object, ZWriter **w, Err *err) {
        scoped(zreader_freep) ZReader *r = NULL;
        scoped(free_mem) char *buffer = mem_new(COPY_BYTES, 1);
        StreamSum sum;
        size_t got = 1;
        if (!file_unlink(to, err) || !zreader_open(from, false, object->plain_bytes, &r, err) ||
                !zwriter_open(to, true, w, err))
                return false;
        while (got > 0)
                if (!zreader_get(r, buffer, COPY_BYTES, &got, err) ||
                        !zwriter_add(*w, buffer, got, err))
                        return false;
        if (!zreader_end(r, &sum, err))
                return false;
        return strcmp(sum.sha256, object->sha256) == 0 ||
               err_fail(err, ERR_CORRUPT, "'%s' is not what was written", from);
}

static bool compress_delta(Set *set, const SetItem *item, Err *err) {
        const Object *plain = set_object(set, OBJECT_DELTA, item->slug);
        if (!plain || str_ends(plain->name, ".zst"))
                return true;
        scoped(free_str) char *old_name = str_copy(plain->name);
        scoped(free_str) char *name = str_format("%s.zst", old_name);
        scoped(free_str) char *from = set_path(set, old_name);
        scoped(free_str) char *to = set_path(set, name);
        scoped(zwriter_freep) ZWriter *w = NULL;
        if (!compress(from, to, plain, &w, err))
                return false;
        set_drop_object(set, old_name);
        return put_stream_object(set, name, OBJECT_DELTA, item->slug, w, err);
}

/* -- publishing -- */

static void count_items(Set *set) {
        for (size_t i = 0; i < set->n_items; i++) {
                SetItem *item = &set->items[i];
                if (item->kind != CONTENT_PATH)
                        continue;
                item->bytes = item->files = 0;
                for (size_t j = 0; j < item->list.n; j++) {
                        item->bytes += item->list.items[j].size;
                        item->files += item->list.items[j].type != FILE_DIRECTORY;
                }
        }
}

static bool merge(Backup *b, Err *err) {
        Set *set = &b->set;
        if (!backup_load_lists(b, err) || !set_merge_databases(set, err))
                return false;
        for (size_t i = 0; i < set->n_items; i++)
                if (!compress_delta(set, &set->items[i], err))
                        return false;
        count_items(set);
        set_drop_object(set, FILES_PASS1);
        set_drop_object(set, FILES_PASS2);
        if (!set_write_files(set, FILES_NAME, false, err) || !write_backup_info(set, err) ||
                !dir_sync(set->dir, err) || !set_prove(set, 2, &b->watch, err))
                return false;
        set->level = 2;
        set->pass = 3;
        return set_save(set, err);
}

static bool remove_named(const Set *set, const char *name, Err *err) {
        scoped(free_str) char *path = set_path(set, name);
        return file_unlink(path, err);
}

/* What only the way here needed: everything that the manifest does not name. */
static bool tidy(const Set *set, Err *err) {
        static const char *const names[] = {"PASS1.json", "PASS2.json", FILES_PASS1, FILES_PASS2};
        for (size_t i = 0; i < set->n_items; i++) {
                scoped(free_str) char *delta = str_format("path-%s.delta.tar", set->items[i].slug);
                if (set->items[i].kind == CONTENT_PATH && !remove_named(set, delta, err))
                        return false;
        }
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (!remove_named(set, names[i], err))
                        return false;
        return true;
}

/* Versions come from tags: what a file name cannot hold is written as '_'. */
static char *published_name(const Set *set) {
        scoped(free_str) char *time = time_name(set->taken_ms);
        scoped(free_str) char *version = str_copy_n(set->version, strnlen(set->version, 80));
        for (char *p = version; *p; p++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+_",
                            *p))
                        *p = '_';
        return str_format("%s-%s-%s", time, version, set->id);
}

static bool fill_published(const Set *set, const char *dir, Published *ret) {
        *ret = (Published){.id = str_copy(set->id),
                .name = str_copy(path_basename(dir)),
                .dir = str_copy(dir),
                .level = set->level};
        for (size_t i = 0; i < set->n_objects; i++)
                ret->bytes += set->objects[i].bytes;
        return true;
}

bool backup_merge_publish(Backup *b, Published *ret, Err *err) {
        Set *set = &b->set;
        if (set->pass < 2)
                return err_fail(
                        err, ERR_BUG, "publishing backup '%s' without its second pass", set->id);
        bool partial = path_basename(set->dir)[0] == '.';
        if (!partial)
                return fill_published(set, set->dir, ret);
        if (set->pass == 2 && !merge(b, err))
                return err_context(err, "finishing backup '%s'", set->id);
        scoped(free_str) char *parent = path_dirname(set->dir);
        scoped(free_str) char *name = published_name(set);
        scoped(free_str) char *to = path_join(parent, name);
        if (!tidy(set, err) || !file_rename(set->dir, to, err))
                return err_context(err, "publishing backup '%s'", set->id);
        str_replace_owned(&set->dir, TAKE(to));
        return fill_published(set, set->dir, ret);
}
