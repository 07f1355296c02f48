#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/archive_read.h"
#include "backup/session.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { READ_BYTES = 1024 * 1024, DOUBT_MS = 2000, SETTLE_BYTES = 4 * 1024 * 1024 };

/* -- level 1 -- */

static bool sum_from_disk(const char *path, uint64_t *ret_bytes, char ret_hex[65],
        const BackupWatch *watch, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        scoped(free_mem) char *buffer = mem_new(READ_BYTES, 1);
        if (fd < 0)
                return err_fail_errno(
                        err, errno == ENOENT ? ERR_CORRUPT : ERR_IO, errno, "opening '%s'", path);
        file_forget(fd);
        *ret_bytes = 0;
        for (;;) {
                ssize_t n = read(fd, buffer, READ_BYTES);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
                if (n == 0)
                        break;
                sha256_add(sum, buffer, (size_t)n);
                *ret_bytes += (uint64_t)n;
                if (watch_cancelled(watch, err))
                        return false;
        }
        sha256_end(sum, ret_hex);
        return true;
}

static bool prove_object(const Set *set, const Object *object, const BackupWatch *watch, Err *err) {
        scoped(free_str) char *path = set_path(set, object->name);
        uint64_t bytes = 0;
        char hex[65];
        if (!sum_from_disk(path, &bytes, hex, watch, err))
                return false;
        if (bytes == object->bytes && strcmp(hex, object->sha256) == 0)
                return true;
        return err_fail(err, ERR_CORRUPT, "'%s' is not what was written", path);
}

/* -- level 2 -- */

static bool no_sidecars(const char *path, Err *err) {
        static const char *const endings[] = {"-wal", "-shm", "-journal"};
        for (size_t i = 0; i < COUNT_OF(endings); i++) {
                scoped(free_str) char *sidecar = str_format("%s%s", path, endings[i]);
                if (file_exists(sidecar))
                        return err_fail(err, ERR_CORRUPT,
                                "'%s' lies beside the copy: the copy is not finished", sidecar);
        }
        return true;
}

static bool same_rows(const DatabaseFacts *a, const DatabaseFacts *b) {
        if (!a->counted || !b->counted)
                return true;
        if (a->n_tables != b->n_tables)
                return false;
        for (size_t i = 0; i < a->n_tables; i++)
                if (strcmp(a->tables[i].name, b->tables[i].name) != 0 ||
                        a->tables[i].rows != b->tables[i].rows)
                        return false;
        return true;
}

static bool prove_database(const Set *set, const SetItem *item, Err *err) {
        const Object *object = set_object(set, OBJECT_SQLITE, item->slug);
        scoped(free_str) char *path = object ? set_path(set, object->name) : NULL;
        scoped(database_close) sqlite3 *db = NULL;
        scoped(database_facts_done) DatabaseFacts facts = {0};
        if (!path)
                return err_fail(
                        err, ERR_CORRUPT, "the copy of database '%s' is missing", item->path);
        if (!no_sidecars(path, err) || !database_open(path, DATABASE_IMMUTABLE, &db, err) ||
                !database_check(db, err) || !database_facts(db, item->facts.counted, &facts, err))
                return false;
        if (facts.page_count == item->facts.page_count && same_rows(&facts, &item->facts) &&
                strcmp(facts.schema_sha256, item->facts.schema_sha256) == 0)
                return true;
        return err_fail(err, ERR_CORRUPT,
                "the copy of database '%s' differs from it in pages, schema or rows", item->path);
}

static bool is_archive(const Object *object) {
        return object->kind == OBJECT_PATHS || object->kind == OBJECT_DELTA;
}

bool set_prove(const Set *set, int level, const BackupWatch *watch, Err *err) {
        for (size_t i = 0; i < set->n_objects; i++) {
                /* Level 2 reads archives anyway, with their sum. */
                if (level >= 2 && is_archive(&set->objects[i]))
                        continue;
                if (!prove_object(set, &set->objects[i], watch, err))
                        return err_context(err, "proving backup '%s'", set->id);
        }
        for (size_t i = 0; level >= 2 && i < set->n_items; i++) {
                const SetItem *item = &set->items[i];
                if (!item->present)
                        continue;
                bool ok = item->kind == CONTENT_SQLITE ? prove_database(set, item, err)
                                                       : archives_read(set, item, NULL, watch, err);
                if (!ok)
                        return err_context(err, "proving backup '%s'", set->id);
        }
        return true;
}

/* -- doubtful files -- */

/*
 * A file written just before it was read may be written again without its times showing it (their grain is some
 * milliseconds, and stores through a shared mapping count once until they are written back). Comparing all such files
 * by content in the gap could take long, so those that have come to rest are compared now.
 */
static bool settle_one(
        const SetItem *item, int root, FileEntry *entry, int64_t trusted_before_ns, Err *err) {
        struct stat st;
        scoped(free_str) char *dir = path_dirname(entry->path);
        scoped(close_fd) int dir_fd = open_beneath(root, dir, O_RDONLY | O_DIRECTORY, 0, true);
        scoped(file_entry_done) FileEntry now = {0};
        WalkPlace place = {dir_fd, path_basename(entry->path), entry->path};
        bool there;
        if (dir_fd < 0 || fstatat(dir_fd, place.name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
                !S_ISREG(st.st_mode))
                return true; /* the second pass will see */
        if (!file_entry_of(entry->path, &st, &now, err))
                return false;
        if (!file_entry_same(entry, &now) || now.ctime_ns >= trusted_before_ns ||
                now.mtime_ns >= trusted_before_ns)
                return true;
        if (!file_content_sum(&place, &now, &there, err))
                return err_context(err, "reading '%s/%s' again", item->path, entry->path);
        if (there && file_entry_same(entry, &now) &&
                memcmp(entry->sha256, now.sha256, sizeof(now.sha256)) == 0)
                entry->doubtful = false;
        return true;
}

static bool settle_item(const SetItem *item, Err *err) {
        scoped(free_str) char *dir =
                item->is_file ? path_dirname(item->path) : str_copy(item->path);
        scoped(close_fd) int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int64_t trusted_before = kernel_now_ns() - doubt_ns;
        if (root < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", dir);
        if (!write_back(item->path, err))
                return false;
        for (size_t i = 0; i < item->list.n; i++)
                if (item->list.items[i].doubtful && item->list.items[i].type == FILE_REGULAR &&
                        !settle_one(item, root, &item->list.items[i], trusted_before, err))
                        return false;
        return true;
}

static uint64_t doubtful_bytes(const Set *set) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < set->n_items; i++)
                for (size_t j = 0; j < set->items[i].list.n; j++)
                        if (set->items[i].list.items[j].doubtful)
                                bytes += set->items[i].list.items[j].size;
        return bytes;
}

static bool settle(Backup *b, Err *err) {
        if (doubtful_bytes(&b->set) <= SETTLE_BYTES)
                return true;
        int64_t until = clock_now_ms() + DOUBT_MS + 200;
        while (clock_now_ms() < until) {
                if (watch_cancelled(&b->watch, err))
                        return false;
                clock_sleep_ms(50);
        }
        for (size_t i = 0; i < b->set.n_items; i++)
                if (b->set.items[i].list.n > 0 && !settle_item(&b->set.items[i], err))
                        return false;
        return true;
}

bool backup_prove(Backup *b, int level, Err *err) {
        if (b->set.pass >= 1)
                return true;
        if (!settle(b, err) || !set_write_files(&b->set, FILES_PASS1, false, err) ||
                !dir_sync(b->set.dir, err))
                return false;
        b->set.pass = 1;
        if (!set_prove(&b->set, level, &b->watch, err)) {
                b->set.pass = 0;
                return false;
        }
        b->set.level = level;
        return set_save(&b->set, err);
}
