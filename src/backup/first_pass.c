#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { ID_BYTES = 6, MEGABYTE = 1024 * 1024, BACKUP_STEP_PAGES = 2048 };

void backup_new_id(char ret_id[33]) {
        unsigned char bytes[ID_BYTES];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                abort();
        bytes_to_hex(bytes, sizeof(bytes), ret_id);
}

/* -- begin -- */

static bool refuse(const BackupPlan *plan, Err *err) {
        scoped(free_str) char *all = strv_join(plan->refusals, "; ");
        return err_fail(err, ERR_REFUSED, "no backup can be taken: %s", all);
}

static void add_items(Set *set, const BackupPlan *plan) {
        set->items = NEW_ARRAY(SetItem, plan->n_items + 1);
        for (size_t i = 0; i < plan->n_items; i++) {
                const PlanItem *from = &plan->items[i];
                SetItem *item = &set->items[set->n_items++];
                *item = (SetItem){
                        .kind = from->kind,
                        .slug = str_copy(from->slug),
                        .path = str_copy(from->path),
                        .within = str_copy(from->within),
                        .present = from->present,
                        .is_file = from->is_file,
                        .bytes = from->bytes,
                        .files = from->files,
                };
        }
        for (size_t i = 0; i < set->n_items; i++) {
                SetItem *item = &set->items[i];
                const SetItem *owner = item->within ? set_item(set, item->within) : NULL;
                if (owner)
                        item->inner = str_copy(item->path + strlen(owner->path) + 1);
        }
}

static char *host_name(void) {
        char name[256] = "";
        (void)gethostname(name, sizeof(name) - 1);
        return str_copy(name);
}

static void fill_set(Set *set, const BackupRequest *request) {
        set->id = str_copy(request->id);
        set->service = str_copy(request->service->name);
        set->version = str_copy(request->version ? request->version : "unknown");
        set->reference = str_copy(request->reference);
        set->reason = str_copy(request->reason);
        set->host = host_name();
        set->run = request->run;
        set->began_ms = set->taken_ms = clock_wall_ms();
        set->migrations = request->migrations ? json_deep_copy(request->migrations) : NULL;
        set->dir = store_partial_dir(request->store, set->service, set->id);
}

static void fill_runtime(Backup *b, const BackupRequest *request) {
        b->service = request->service;
        b->store = str_copy(request->store);
        b->watch = request->watch;
        b->extras = request->extras;
        b->n_extras = request->n_extras;
        b->holds = NEW_ARRAY(sqlite3 *, b->set.n_items + 1);
        for (size_t i = 0; i < b->set.n_items; i++)
                b->total += b->set.items[i].bytes;
}

bool backup_begin(const BackupRequest *request, const BackupPlan *plan, Backup **ret, Err *err) {
        scoped(backup_freep) Backup *b = NEW(Backup);
        if (plan->refusals)
                return refuse(plan, err);
        fill_set(&b->set, request);
        add_items(&b->set, plan);
        fill_runtime(b, request);
        if (!store_prepare(request->store, b->set.service, err))
                return false;
        if (file_exists(b->set.dir))
                return err_fail(err, ERR_BUG, "there is a backup '%s' already", b->set.id);
        if (!dir_make(b->set.dir, err))
                return err_context(err, "beginning a backup");
        b->lists_loaded = true;
        *ret = TAKE(b);
        return true;
}

bool backup_reopen(const BackupRequest *request, Backup **ret, Err *err) {
        scoped(backup_freep) Backup *b = NEW(Backup);
        if (!store_load(request->store, request->service->name, request->id, &b->set, err))
                return err_context(err, "opening backup '%s' again", request->id);
        fill_runtime(b, request);
        b->reopened = true;
        *ret = TAKE(b);
        return true;
}

bool backup_load_lists(Backup *b, Err *err) {
        if (b->lists_loaded)
                return true;
        b->lists_loaded = set_load_files(&b->set, err);
        return b->lists_loaded;
}

void backup_let_go(Backup *b) {
        for (size_t i = 0; i < b->set.n_items; i++)
                database_close(&b->holds[i]);
}

void backup_freep(Backup **b) {
        if (!*b)
                return;
        if ((*b)->holds)
                backup_let_go(*b);
        free((*b)->holds);
        free((*b)->store);
        set_done(&(*b)->set);
        free(*b);
        *b = NULL;
}

/* -- objects -- */

bool put_stream_object(
        Set *set, const char *name, ObjectKind kind, const char *content, ZWriter *w, Err *err) {
        StreamSum sum;
        if (!zwriter_close(w, &sum, err))
                return false;
        Object object = {
                .name = str_copy(name),
                .kind = kind,
                .content = str_copy(content),
                .bytes = sum.bytes,
                .plain_bytes = sum.plain_bytes,
        };
        memcpy(object.sha256, sum.sha256, sizeof(object.sha256));
        set_put_object(set, &object);
        return true;
}

bool put_file_object(Set *set, const char *name, ObjectKind kind, const char *content, Err *err) {
        scoped(free_str) char *path = set_path(set, name);
        Object object = {.name = str_copy(name), .kind = kind, .content = str_copy(content)};
        struct stat st;
        bool there;
        if (!file_stat(path, &st, &there, err) || !file_sha256(path, object.sha256, err)) {
                object_done(&object);
                return false;
        }
        object.bytes = object.plain_bytes = there ? (uint64_t)st.st_size : 0;
        set_put_object(set, &object);
        return true;
}

/* -- paths -- */

bool write_back(const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syncfs(fd) != 0)
                return err_fail_errno(err, ERR_IO, errno, "writing back '%s'", path);
        return true;
}

Strv item_databases(const Set *set, const SetItem *path_item) {
        Strv inner = NULL;
        for (size_t i = 0; i < set->n_items; i++)
                if (str_equal(set->items[i].within, path_item->slug))
                        strv_add(&inner, set->items[i].inner);
        return inner;
}

Walk item_walk(const SetItem *item, Strv skip, const Cancel *cancel) {
        return (Walk){.root = item->path, .is_file = item->is_file, .skip = skip, .cancel = cancel};
}

typedef struct PathPass {
        Archiver archiver;
        SetItem *item;
        Set *set;
} PathPass;

static bool take_entry(void *context, const WalkPlace *place, const struct stat *st, Err *err) {
        PathPass *pass = context;
        FileEntry entry;
        if (!archiver_put(&pass->archiver, place, st, &entry, err))
                return false;
        if (!entry.path)
                return true;
        if (entry.earlier == 2 && entry.doubtful)
                strv_addf(&pass->set->warnings,
                        "'%s/%s' changed each time it was read: taken again when the service is "
                        "stopped",
                        pass->item->path, place->path);
        file_list_push(&pass->item->list, &entry);
        return true;
}

static bool first_pass_path(Backup *b, SetItem *item, Err *err) {
        scoped(free_str) char *name = str_format("path-%s.tar.zst", item->slug);
        scoped(free_str) char *path = set_path(&b->set, name);
        scoped(strv_freep) Strv skip = item_databases(&b->set, item);
        scoped(zwriter_freep) ZWriter *w = NULL;
        int64_t began = kernel_now_ns();
        if (!write_back(item->path, err) || !zwriter_open(path, true, &w, err))
                return false;
        PathPass pass = {.item = item, .set = &b->set};
        pass.archiver = (Archiver){.tar = {.out = w},
                .root = item->path,
                .watch = &b->watch,
                .slug = item->slug,
                .done = &b->done,
                .total = b->total,
                .trusted_before_ns = began - doubt_ns};
        Walk w2 = item_walk(item, skip, b->watch.cancel);
        w2.visit = take_entry;
        w2.context = &pass;
        bool ok = walk(&w2, err) && tar_finish(&pass.archiver.tar, err);
        archiver_done(&pass.archiver);
        item->bytes = pass.archiver.bytes;
        item->files = pass.archiver.files;
        return ok && put_stream_object(&b->set, name, OBJECT_PATHS, item->slug, w, err);
}

/* -- databases -- */

bool database_stat(SetItem *item, Err *err) {
        struct stat st;
        bool there;
        if (!file_stat(item->path, &st, &there, err))
                return false;
        if (!there || !S_ISREG(st.st_mode))
                return err_fail(err, ERR_IO, "database '%s' is gone", item->path);
        item->mode = st.st_mode & 0777;
        item->uid = st.st_uid;
        item->gid = st.st_gid;
        item->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        return true;
}

static void backup_finish(sqlite3_backup **backup) { (void)sqlite3_backup_finish(*backup); }

static bool run_backup(Backup *b, sqlite3 *from, sqlite3 *to, const SetItem *item, Err *err) {
        scoped(backup_finish) sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
        uint64_t before = b->done;
        int rc;
        if (!copy)
                return database_fail(to, err, "beginning a copy of");
        do {
                rc = sqlite3_backup_step(copy, BACKUP_STEP_PAGES);
                uint64_t pages =
                        (uint64_t)(sqlite3_backup_pagecount(copy) - sqlite3_backup_remaining(copy));
                b->done = before + pages * (uint64_t)item->facts.page_size;
                watch_progress(&b->watch, item->slug, b->done, b->total);
                if (watch_cancelled(&b->watch, err))
                        return false;
        } while (rc == SQLITE_OK);
        return rc == SQLITE_DONE ||
               err_fail(err, ERR_IO, "copying database '%s': %s", item->path, sqlite3_errstr(rc));
}

/* WAL mode: one transaction for the copy and, from then on, for keeping the WAL until the second pass. */
static bool copy_held(Backup *b, size_t index, const char *to_path, Err *err) {
        SetItem *item = &b->set.items[index];
        scoped(database_close) sqlite3 *to = NULL;
        sqlite3 *from = b->holds[index];
        if (!database_facts(from, true, &item->facts, err) ||
                !database_open(to_path, DATABASE_CREATE, &to, err) ||
                !database_run(to, "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF", err) ||
                !run_backup(b, from, to, item, err))
                return false;
        return true;
}

bool open_copy(const char *path, int *ret, Err *err) {
        int fd = -1;
        if (!fault_before("create", path))
                fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        fault_after();
        *ret = fd;
        return true;
}

/* Rollback-journal mode: a reader keeps writers from committing. So most is copied without any lock, whatever comes
 * out, and then compared and mended under the lock, which takes little. */
static bool copy_loose(Backup *b, SetItem *item, const char *to_path, Err *err) {
        scoped(page_source_done) PageSource source = {.wal = {.fd = -1}};
        scoped(close_fd) int fd = -1;
        uint64_t written;
        struct stat st;
        if (stat(item->path, &st) != 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", item->path);
        if (!open_copy(to_path, &fd, err))
                return false;
        if (st.st_size > MEGABYTE) {
                if (!page_source_open(item->path, false, &source, err) ||
                        !database_run(source.db, "COMMIT", err) ||
                        !pages_copy(&source, fd, to_path, b->watch.cancel, &written, err))
                        return false;
                page_source_done(&source);
        }
        bool ok = page_source_open(item->path, false, &source, err) &&
                  pages_copy(&source, fd, to_path, b->watch.cancel, &written, err) &&
                  database_facts(source.db, false, &item->facts, err);
        b->done += item->bytes;
        watch_progress(&b->watch, item->slug, b->done, b->total);
        return ok;
}

static bool begin_hold(Backup *b, size_t index, bool *ret_wal, Err *err) {
        sqlite3 **hold = &b->holds[index];
        scoped(free_str) char *mode = NULL;
        int64_t tables;
        if (!database_open(b->set.items[index].path, DATABASE_READ_WRITE, hold, err))
                return false;
        database_wait(*hold, LIVE_WAIT_MS);
        if (!database_text(*hold, "PRAGMA journal_mode", &mode, err))
                return false;
        *ret_wal = strcmp(mode, "wal") == 0;
        if (!*ret_wal)
                return true;
        return database_run(*hold, "BEGIN", err) &&
               database_int(*hold, "SELECT count(*) FROM sqlite_schema", &tables, err);
}

bool sync_file(const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        return fd_sync(fd, path, err);
}

/* Rows of the rollback-journal kind are counted in the copy, which is the same byte for byte: counting in the
 * live one would keep its writers waiting. */
static bool count_in_copy(SetItem *item, const char *path, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        DatabaseFacts counted = {0};
        if (!database_open(path, DATABASE_IMMUTABLE, &db, err) ||
                !database_facts(db, true, &counted, err))
                return false;
        bool same = counted.page_count == item->facts.page_count &&
                    strcmp(counted.schema_sha256, item->facts.schema_sha256) == 0;
        str_replace_owned(&counted.journal_mode, TAKE(item->facts.journal_mode));
        database_facts_done(&item->facts);
        item->facts = counted;
        return same ||
               err_fail(err, ERR_CORRUPT, "the copy of database '%s' is not like it", item->path);
}

/* "sqlite-pocket.db" for the slug "pocket.db" as for "pocket". */
char *database_object_name(const Set *set, const char *slug) {
        scoped(free_str) char *stem =
                str_copy_n(slug, strlen(slug) - (str_ends(slug, ".db") ? 3 : 0));
        scoped(free_str) char *name = str_format("sqlite-%s.db", stem);
        const Object *other = set_object_named(set, name);
        return other && !str_equal(other->content, slug) ? str_format("sqlite-%s.db", slug)
                                                         : TAKE(name);
}

bool first_pass_database(Backup *b, size_t index, Err *err) {
        SetItem *item = &b->set.items[index];
        scoped(free_str) char *name = database_object_name(&b->set, item->slug);
        scoped(free_str) char *path = set_path(&b->set, name);
        bool wal = false;
        if (!database_stat(item, err) || !begin_hold(b, index, &wal, err))
                return err_context(err, "backing up database '%s'", item->path);
        if (!wal)
                database_close(&b->holds[index]);
        bool ok = wal ? copy_held(b, index, path, err)
                      : copy_loose(b, item, path, err) && count_in_copy(item, path, err);
        if (!ok || !sync_file(path, err) ||
                !put_file_object(&b->set, name, OBJECT_SQLITE, item->slug, err))
                return err_context(err, "backing up database '%s'", item->path);
        return true;
}

/* -- the pass -- */

bool backup_first_pass(Backup *b, Err *err) {
        for (size_t i = 0; i < b->set.n_items; i++) {
                SetItem *item = &b->set.items[i];
                if (watch_cancelled(&b->watch, err))
                        return false;
                if (!item->present)
                        continue;
                bool ok = item->kind == CONTENT_SQLITE ? first_pass_database(b, i, err)
                                                       : first_pass_path(b, item, err);
                if (!ok)
                        return err_context(err, "backing up '%s'", item->slug);
        }
        bool ok = take_extras(b, err) && write_backup_info(&b->set, err);
        b->set.taken_ms = clock_wall_ms();
        return ok;
}
