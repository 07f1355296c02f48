#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { LINES_MAX = 40 };

void backup_loss_done(BackupLoss *loss) {
        for (size_t i = 0; i < loss->n_tables; i++) {
                free(loss->tables[i].content);
                free(loss->tables[i].table);
        }
        free(loss->tables);
        strv_free(loss->lines);
        *loss = (BackupLoss){0};
}

static void say(BackupLoss *loss, char *owned) {
        if (strv_count(loss->lines) < LINES_MAX) {
                strv_push(&loss->lines, owned);
                return;
        }
        free(owned);
}

static void seen_at(BackupLoss *loss, int64_t ns) {
        if (ns / 1000000 > loss->last_change_ms)
                loss->last_change_ms = ns / 1000000;
}

/* What has become another kind of thing (a program moves its database, and leaves a link) cannot be read as what it
 * was. That is a difference, not an error: a restore is what mends it. */
static bool is_another_kind(BackupLoss *loss, const SetItem *item, bool *ret, Err *err) {
        bool file = item->kind == CONTENT_SQLITE || item->is_file, there = false;
        struct stat st;
        *ret = false;
        if (!item->present || !file_exists(item->path))
                return true;
        if (!file_stat(item->path, &st, &there, err))
                return false;
        *ret = there && (file ? !S_ISREG(st.st_mode) : !S_ISDIR(st.st_mode));
        if (!*ret)
                return true;
        loss->changed = loss->missing_files = true;
        loss->schema_changed |= item->kind == CONTENT_SQLITE;
        loss->files_missing += file ? 1 : item->files;
        say(loss, str_format("%s is %s now", item->path, file_kind(st.st_mode)));
        return true;
}

/* -- paths -- */

typedef struct Comparison {
        const SetItem *item;
        BackupLoss *loss;
        size_t at;
        bool stop_early; /* only whether anything differs */
} Comparison;

static void missing(Comparison *c, const FileEntry *entry) {
        if (entry->type == FILE_SOCKET)
                return;
        c->loss->changed = true;
        if (entry->type == FILE_DIRECTORY)
                return;
        c->loss->missing_files = true;
        c->loss->files_missing++;
        say(c->loss, str_format("%s/%s is gone", c->item->path, entry->path));
}

static const FileEntry *advance(Comparison *c, const char *path) {
        const FileList *list = &c->item->list;
        while (c->at < list->n) {
                int order = path_order(list->items[c->at].path, path);
                if (order > 0)
                        return NULL;
                const FileEntry *entry = &list->items[c->at++];
                if (order == 0)
                        return entry;
                missing(c, entry);
        }
        return NULL;
}

static const FileEntry *content_of(const SetItem *item, const FileEntry *entry) {
        return entry->type == FILE_HARDLINK ? file_list_find(&item->list, entry->link) : entry;
}

static bool same_target(const FileEntry *content, const WalkPlace *place) {
        char target[4097];
        ssize_t n = readlinkat(place->dir_fd, place->name, target, sizeof(target) - 1);
        return n > 0 && strlen(content->link) == (size_t)n &&
               memcmp(target, content->link, (size_t)n) == 0;
}

static bool same_shape(const FileEntry *content, const FileEntry *now) {
        return content && content->type == now->type && content->mode == now->mode &&
               content->uid == now->uid && content->gid == now->gid && content->size == now->size;
}

/* Times and inodes may differ (after a restore they do): what counts is what a program reads. */
static bool same_content(Comparison *c, const FileEntry *listed, const WalkPlace *place,
        FileEntry *now, bool *ret, Err *err) {
        const FileEntry *content = content_of(c->item, listed);
        bool there = true;
        *ret = same_shape(content, now);
        if (!*ret)
                return true;
        if (now->type == FILE_SYMLINK)
                *ret = same_target(content, place);
        if (now->type != FILE_REGULAR || (file_entry_same(listed, now) && !content->doubtful))
                return true;
        if (!file_content_sum(place, now, &there, err))
                return false;
        *ret = there && now->sparse == content->sparse &&
               memcmp(now->sha256, content->sha256, sizeof(now->sha256)) == 0;
        return true;
}

static bool compare(void *context, const WalkPlace *place, const struct stat *st, Err *err) {
        Comparison *c = context;
        scoped(file_entry_done) FileEntry now = {0};
        const FileEntry *listed = advance(c, place->path);
        bool same = false;
        if (c->stop_early && c->loss->changed)
                return true;
        if (!file_entry_of(place->path, st, &now, err))
                return false;
        if (now.type == FILE_SOCKET)
                return true;
        if (listed && !same_content(c, listed, place, &now, &same, err))
                return false;
        if (same)
                return true;
        c->loss->changed = true;
        seen_at(c->loss, now.mtime_ns > now.ctime_ns ? now.mtime_ns : now.ctime_ns);
        if (now.type == FILE_DIRECTORY)
                return true;
        *(listed ? &c->loss->files_changed : &c->loss->files_added) += 1;
        c->loss->bytes_changed += now.size;
        say(c->loss,
                str_format("%s/%s %s", c->item->path, place->path, listed ? "changed" : "is new"));
        return true;
}

static bool compare_path(
        const Set *set, const SetItem *item, bool stop_early, BackupLoss *loss, Err *err) {
        scoped(strv_freep) Strv skip = item_databases(set, item);
        Comparison c = {.item = item, .loss = loss, .stop_early = stop_early};
        Walk w = item_walk(item, skip, NULL);
        w.visit = compare;
        w.context = &c;
        if (!file_exists(item->path)) {
                loss->changed |= item->present;
                loss->missing_files |= item->present;
                loss->files_missing += item->present ? item->files : 0;
                return true;
        }
        if (!walk(&w, err))
                return false;
        while (c.at < item->list.n)
                missing(&c, &item->list.items[c.at++]);
        return true;
}

/* -- databases -- */

static bool pages_differ(const Set *set, const SetItem *item, bool *ret, Err *err) {
        const Object *object = set_object(set, OBJECT_SQLITE, item->slug);
        scoped(free_str) char *path = object ? set_path(set, object->name) : NULL;
        scoped(close_fd) int fd =
                path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
        if (fd < 0)
                return err_fail(
                        err, ERR_CORRUPT, "the copy of database '%s' is missing", item->path);
        for (unsigned i = 0; i < 3; i++) {
                scoped(page_source_done) PageSource source = {.wal = {.fd = -1}};
                bool same = false, steady = false;
                if (!page_source_open(item->path, false, &source, err) ||
                        !pages_equal(&source, fd, &same, err) ||
                        !page_source_steady(&source, &steady, err))
                        return false;
                *ret = !same;
                if (steady)
                        return true;
        }
        *ret = true; /* it is being written */
        return true;
}

static int64_t rows_of(const DatabaseFacts *facts, const char *table) {
        for (size_t i = 0; i < facts->n_tables; i++)
                if (strcmp(facts->tables[i].name, table) == 0)
                        return facts->tables[i].rows;
        return -1;
}

static void table_differs(
        BackupLoss *loss, const SetItem *item, const char *table, int64_t then, int64_t now) {
        LossTable one = {str_copy(item->slug), str_copy(table), then, now};
        PUSH(loss->tables, loss->n_tables, one);
        if (now < then) {
                loss->fewer_rows = true;
                loss->rows_fewer += then - (now < 0 ? 0 : now);
        } else {
                loss->rows_more += now - (then < 0 ? 0 : then);
        }
        if (now < 0)
                say(loss, str_format("%s: table %s is gone (%" PRId64 " rows then)", item->slug,
                                  table, then));
        else if (then < 0)
                say(loss, str_format(
                                  "%s: table %s is new, %" PRId64 " rows", item->slug, table, now));
        else
                say(loss, str_format("%s: %s had %" PRId64 " rows then, %" PRId64 " now",
                                  item->slug, table, then, now));
}

static void compare_rows(BackupLoss *loss, const SetItem *item, const DatabaseFacts *now) {
        const DatabaseFacts *then = &item->facts;
        for (size_t i = 0; i < then->n_tables; i++) {
                int64_t rows = rows_of(now, then->tables[i].name);
                if (rows != then->tables[i].rows)
                        table_differs(loss, item, then->tables[i].name, then->tables[i].rows, rows);
        }
        for (size_t i = 0; i < now->n_tables; i++)
                if (rows_of(then, now->tables[i].name) < 0)
                        table_differs(loss, item, now->tables[i].name, -1, now->tables[i].rows);
}

static bool live_facts(const SetItem *item, DatabaseFacts *ret, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        return database_open(item->path, DATABASE_READ_WRITE, &db, err) &&
               database_run(db, "BEGIN", err) && database_facts(db, true, ret, err);
}

/* A live database that cannot be read is a difference, not an error: a restore is what mends it. */
static bool unreadable(BackupLoss *loss, const SetItem *item, Err *found, Err *err) {
        if (found->code != ERR_CORRUPT) {
                err_move(err, found);
                return false;
        }
        loss->changed = loss->schema_changed = true;
        say(loss, str_format("%s cannot be read: %s", item->slug, found->message));
        err_clear(found);
        return true;
}

static bool vanished_or_new(BackupLoss *loss, const SetItem *item, bool there, bool *ret) {
        *ret = there != item->present;
        if (!*ret)
                return !there;
        loss->changed = true;
        loss->missing_files |= !there;
        loss->files_missing += !there;
        loss->files_added += there;
        say(loss, str_format("%s %s", item->path, there ? "is new" : "is gone"));
        return true;
}

static bool compare_database(
        const Set *set, const SetItem *item, bool stop_early, BackupLoss *loss, Err *err) {
        scoped(database_facts_done) DatabaseFacts now = {0};
        Stamp stamps[STAMP_COUNT];
        Err found = {0};
        bool differs = false, decided;
        if (vanished_or_new(loss, item, file_exists(item->path), &decided))
                return true;
        if (!stamp_take(item->path, stamps, err))
                return false;
        if (stamp_same(stamps, item->stamps))
                return true;
        if (!pages_differ(set, item, &differs, &found))
                return unreadable(loss, item, &found, err);
        if (!differs)
                return true;
        loss->changed = true;
        for (size_t i = 0; i < STAMP_COUNT; i++)
                seen_at(loss, stamps[i].size >= 0 ? stamps[i].mtime_ns : 0);
        if (stop_early)
                return true;
        if (!live_facts(item, &now, &found))
                return unreadable(loss, item, &found, err);
        loss->schema_changed |= strcmp(now.schema_sha256, item->facts.schema_sha256) != 0;
        if (strcmp(now.schema_sha256, item->facts.schema_sha256) != 0)
                say(loss, str_format("%s: the schema is another", item->slug));
        compare_rows(loss, item, &now);
        return true;
}

/* -- both -- */

static bool compare_item(
        const Set *set, const SetItem *item, bool stop_early, BackupLoss *loss, Err *err) {
        bool decided = false;
        if (!is_another_kind(loss, item, &decided, err) || decided)
                return decided;
        return item->kind == CONTENT_SQLITE ? compare_database(set, item, stop_early, loss, err)
                                            : compare_path(set, item, stop_early, loss, err);
}

static bool compare_all(const char *store, const char *service, const char *id, bool stop_early,
        BackupLoss *loss, Err *err) {
        scoped(set_done) Set set = {0};
        if (!store_load(store, service, id, &set, err))
                return false;
        if (set.pass < 2)
                return err_fail(err, ERR_CORRUPT, "backup '%s' was never completed", id);
        if (!set_load_files(&set, err) || (set.pass == 2 && !set_merge_databases(&set, err)))
                return false;
        for (size_t i = 0; i < set.n_items && !(stop_early && loss->changed); i++) {
                if (!compare_item(&set, &set.items[i], stop_early, loss, err))
                        return err_context(
                                err, "comparing '%s' with backup '%s'", set.items[i].slug, id);
        }
        return true;
}

bool backup_changed(const char *store, const char *service, const char *id, bool *ret, Err *err) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        if (!compare_all(store, service, id, true, &loss, err))
                return false;
        *ret = loss.changed;
        return true;
}

bool backup_loss(
        const char *store, const char *service, const char *id, BackupLoss *ret, Err *err) {
        scoped(backup_loss_done) BackupLoss loss = {0};
        if (!compare_all(store, service, id, false, &loss, err))
                return false;
        *ret = loss;
        loss = (BackupLoss){0};
        return true;
}

/* -- has anything been written in between? -- */

static void add_stat(Sha256 *sum, const char *path, const struct stat *st) {
        scoped(free_str) char *line = str_format("%s %" PRIu64 " %" PRId64 " %" PRId64
                                                 ".%ld %" PRId64 ".%ld %o %u %u\n",
                path, (uint64_t)st->st_ino, (int64_t)st->st_size, (int64_t)st->st_mtim.tv_sec,
                st->st_mtim.tv_nsec, (int64_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, st->st_mode,
                st->st_uid, st->st_gid);
        sha256_add(sum, line, strlen(line));
}

/* Readers of a database write to its -shm, and sidecars come and go: neither says that data was written. */
static bool add_entry(void *context, const WalkPlace *place, const struct stat *st, Err *err) {
        (void)err;
        bool empty_sidecar = st->st_size == 0 &&
                             (str_ends(place->path, "-wal") || str_ends(place->path, "-journal"));
        if (!S_ISDIR(st->st_mode) && !S_ISSOCK(st->st_mode) && !str_ends(place->path, "-shm") &&
                !empty_sidecar)
                add_stat(context, place->path, st);
        return true;
}

static bool add_database(Sha256 *sum, const char *path, Err *err) {
        Stamp stamps[STAMP_COUNT];
        if (!stamp_take(path, stamps, err))
                return false;
        for (size_t i = 0; i < STAMP_COUNT; i++) {
                if (i != STAMP_DB && stamps[i].size <= 0)
                        continue;
                scoped(free_str) char *line = str_format("%zu %" PRId64 " %" PRId64 " %" PRId64
                                                         " %" PRIu64 "\n",
                        i, stamps[i].size, stamps[i].mtime_ns, stamps[i].ctime_ns, stamps[i].inode);
                sha256_add(sum, line, strlen(line));
        }
        return true;
}

bool backup_fingerprint(const Service *service, char **ret, Err *err) {
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        char hex[65];
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                scoped(free_str) char *real = file_real(content->path);
                struct stat st;
                bool there = false;
                if (real && !file_stat(real, &st, &there, err))
                        return false;
                sha256_add(sum, content->path, strlen(content->path) + 1);
                if (!there)
                        continue;
                Walk w = {.root = real,
                        .is_file = !S_ISDIR(st.st_mode),
                        .visit = add_entry,
                        .context = sum};
                bool ok = content->kind == CONTENT_SQLITE ? add_database(sum, real, err)
                                                          : walk(&w, err);
                if (!ok)
                        return err_context(err, "looking at '%s'", content->path);
        }
        sha256_end(sum, hex);
        *ret = str_copy(hex);
        return true;
}
