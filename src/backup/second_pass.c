#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "platform/clock.h"
#include "platform/file.h"

void pass_stats_done(PassStats *stats) {
        free(stats->slowest);
        *stats = (PassStats){0};
}

/* -- paths -- */

typedef struct DeltaPass {
        Archiver archiver;
        Set *set;
        SetItem *item;
        ZWriter *out; /* NULL until something differs */
        size_t at;    /* in the list: both come in the same order */
        Str deleted;  /* names to be removed before the archive is laid over, each with its NUL */
        uint64_t gone;
} DeltaPass;

static void note_deleted(DeltaPass *p, const char *path) {
        str_addf(&p->deleted, "./%s", path);
        str_add_n(&p->deleted, "", 1);
}

static void note_gone(DeltaPass *p, const FileEntry *entry) {
        FileEntry gone = {.path = str_copy(entry->path), .gone = true};
        if (entry->type != FILE_SOCKET)
                note_deleted(p, entry->path);
        p->gone++;
        file_list_push(&p->item->newer, &gone);
}

/* The listed entry of this path; what comes before it in the list is gone. */
static const FileEntry *advance(DeltaPass *p, const char *path) {
        const FileList *list = &p->item->list;
        while (p->at < list->n) {
                int order = path_order(list->items[p->at].path, path);
                if (order > 0)
                        return NULL;
                const FileEntry *entry = &list->items[p->at++];
                if (order == 0)
                        return entry;
                note_gone(p, entry);
        }
        return NULL;
}

static bool unchanged(const SetItem *item, const FileEntry *listed, const WalkPlace *place,
        const struct stat *st, bool *ret, Err *err) {
        scoped(file_entry_done) FileEntry now = {0};
        /* The bytes of a further name are those of the first. */
        const FileEntry *bytes =
                listed->type == FILE_HARDLINK ? file_list_find(&item->list, listed->link) : listed;
        bool there;
        *ret = false;
        if (!file_entry_of(place->path, st, &now, err))
                return false;
        if (!file_entry_same(listed, &now))
                return true;
        *ret = bytes && !bytes->doubtful;
        if (*ret || !bytes || bytes->type != FILE_REGULAR)
                return true;
        if (!file_content_sum(place, &now, &there, err))
                return false;
        *ret = there && now.sparse == bytes->sparse && file_entry_same(listed, &now) &&
               memcmp(now.sha256, bytes->sha256, sizeof(now.sha256)) == 0;
        return true;
}

static char *delta_name(const SetItem *item) { return str_format("path-%s.delta.tar", item->slug); }

/* Plain: compressing is for later. */
static bool open_delta(DeltaPass *p, Err *err) {
        if (p->out)
                return true;
        scoped(free_str) char *name = delta_name(p->item);
        scoped(free_str) char *path = set_path(p->set, name);
        if (!file_unlink(path, err) || !zwriter_open(path, false, &p->out, err))
                return false;
        p->archiver.tar.out = p->out;
        return true;
}

/* The service goes on running: what is written meanwhile is not this backup's. */
static bool is_live(const Set *set) { return !str_equal(set->reason, "update"); }

static bool still_written(const char *path, const char *inner, Err *err) {
        err_fail(err, ERR_IN_USE, "'%s%s%s' is still being written", path, inner ? "/" : "",
                inner ? inner : "");
        return err_hint(
                err, "Something other than the service writes it: see `fuser`, and stop that.");
}

static FileType kind_of(const FileEntry *entry) {
        return entry->type == FILE_HARDLINK ? FILE_REGULAR : entry->type;
}

static bool compare_entry(void *context, const WalkPlace *place, const struct stat *st, Err *err) {
        DeltaPass *p = context;
        const FileEntry *listed = advance(p, place->path);
        bool same = false;
        FileEntry entry;
        if (listed && !unchanged(p->item, listed, place, st, &same, err))
                return false;
        if (same)
                return true;
        FileType was = listed ? kind_of(listed) : FILE_NONE;
        if (!open_delta(p, err) || !archiver_put(&p->archiver, place, st, &entry, err))
                return false;
        if (!entry.path) {
                if (listed)
                        note_gone(p, listed);
                return true;
        }
        bool moving = entry.doubtful && entry.earlier == 2;
        if (moving && !is_live(p->set)) {
                file_entry_done(&entry);
                return still_written(p->item->path, place->path, err);
        }
        if (moving)
                strv_addf(
                        &p->set->warnings, "'%s/%s' was being written", p->item->path, place->path);
        entry.doubtful = moving;
        entry.delta = true;
        if (was != FILE_NONE && was != kind_of(&entry))
                note_deleted(p, entry.path);
        file_list_push(&p->item->newer, &entry);
        return true;
}

static bool put_deleted(DeltaPass *p, Err *err) {
        if (p->deleted.len == 0)
                return true;
        scoped(free_str) char *name = str_format("path-%s.deleted", p->item->slug);
        scoped(free_str) char *path = set_path(p->set, name);
        scoped(zwriter_freep) ZWriter *w = NULL;
        return file_unlink(path, err) && zwriter_open(path, false, &w, err) &&
               zwriter_add(w, p->deleted.text, p->deleted.len, err) &&
               put_stream_object(p->set, name, OBJECT_DELETED, p->item->slug, w, err);
}

static bool finish_delta(DeltaPass *p, Err *err) {
        while (p->at < p->item->list.n)
                note_gone(p, &p->item->list.items[p->at++]);
        if (p->out) {
                scoped(free_str) char *name = delta_name(p->item);
                if (!tar_finish(&p->archiver.tar, err) ||
                        !put_stream_object(p->set, name, OBJECT_DELTA, p->item->slug, p->out, err))
                        return false;
        }
        return put_deleted(p, err);
}

bool second_pass_path(Backup *b, SetItem *item, PassStats *stats, Err *err) {
        scoped(strv_freep) Strv skip = item_databases(&b->set, item);
        struct stat st;
        bool there;
        if (!file_stat(item->path, &st, &there, err))
                return false;
        if (!there && item->present)
                return err_fail(err, ERR_IO, "'%s' vanished since the first pass", item->path);
        if (!there)
                return true;
        if (!item->present)
                item->is_file = S_ISREG(st.st_mode);
        uint64_t done = 0;
        DeltaPass p = {.set = &b->set, .item = item};
        p.archiver = (Archiver){.root = item->path,
                .watch = &b->watch,
                .slug = item->slug,
                .done = &done,
                .total = item->bytes,
                .trusted_before_ns = INT64_MAX};
        Walk w = item_walk(item, skip, NULL);
        w.visit = compare_entry;
        w.context = &p;
        file_list_done(&item->newer);
        bool ok = walk(&w, err) && finish_delta(&p, err);
        item->present = true;
        stats->bytes += p.archiver.bytes;
        stats->files += p.archiver.files;
        stats->deleted += p.gone;
        archiver_done(&p.archiver);
        zwriter_freep(&p.out);
        str_done(&p.deleted);
        return ok;
}

/* -- databases -- */

/* The private copy and the whole WAL are the database now: while our transaction was held, the WAL could not begin
 * anew but once, before anything was written that the copy lacks, and no checkpoint could write to the database
 * what the copy does not hold. */
static bool copy_wal(Backup *b, const SetItem *item, PassStats *stats, Err *err) {
        scoped(free_str) char *from = str_format("%s-wal", item->path);
        scoped(free_str) char *object = database_object_name(&b->set, item->slug);
        scoped(free_str) char *name = str_format("%s-wal", object);
        scoped(free_str) char *to = set_path(&b->set, name);
        scoped(zreader_freep) ZReader *r = NULL;
        scoped(zwriter_freep) ZWriter *w = NULL;
        const size_t size = (size_t)256 * 1024;
        scoped(free_mem) char *buffer = mem_new(size, 1);
        struct stat st;
        bool there;
        if (!file_stat(from, &st, &there, err) || !file_unlink(to, err))
                return false;
        if (!there || st.st_size == 0)
                return true;
        if (!zreader_open(from, false, INT64_MAX, &r, err) || !zwriter_open(to, false, &w, err))
                return false;
        /* Of a database that is being written no more than was there: what comes later is not of this moment. */
        scoped(close_fd) int wal = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
        uint64_t left = (uint64_t)st.st_size;
        for (left = wal < 0 ? left : wal_bytes_in_force(wal, left); left > 0;) {
                size_t part = left < size ? (size_t)left : size;
                if (!zreader_need(r, buffer, part, err) || !zwriter_add(w, buffer, part, err))
                        return false;
                left -= part;
        }
        stats->bytes += zwriter_plain(w);
        stats->files++;
        return put_stream_object(&b->set, name, OBJECT_WAL, item->slug, w, err);
}

static bool source_facts(sqlite3 *db, SetItem *item, bool changed, Err *err) {
        DatabaseFacts facts = {0};
        if (!changed)
                return true; /* those of the first pass, rows and all */
        if (!database_facts(db, false, &facts, err))
                return false;
        database_facts_done(&item->facts);
        item->facts = facts;
        return true;
}

/* A service that was killed may have written a whole commit to its WAL and not have announced it to those who had the
 * database open: who opens it next finds it there, and so must we. As root this sets the owner of the WAL to what
 * it is, and its ctime with that. */
static bool open_anew(sqlite3 **hold, const char *path, Err *err) {
        database_close(hold);
        return database_open(path, DATABASE_READ_WRITE, hold, err) &&
               database_run(*hold, "BEGIN", err);
}

static bool same_but_ctime(Stamp a[STAMP_COUNT], Stamp b[STAMP_COUNT]) {
        for (size_t i = 0; i < STAMP_COUNT; i++)
                a[i].ctime_ns = b[i].ctime_ns = 0;
        return stamp_same(a, b);
}

static bool complete_held(Backup *b, size_t index, PassStats *stats, Err *err) {
        SetItem *item = &b->set.items[index];
        uint64_t before = stats->bytes;
        Stamp first[STAMP_COUNT], copied[STAMP_COUNT], last[STAMP_COUNT];
        if (!stamp_take(item->path, first, err) || !copy_wal(b, item, stats, err) ||
                !stamp_take(item->path, copied, err) ||
                !open_anew(&b->holds[index], item->path, err) ||
                !source_facts(b->holds[index], item, stats->bytes > before, err) ||
                !stamp_take(item->path, last, err))
                return false;
        database_close(&b->holds[index]);
        return (stamp_same(first, copied) && same_but_ctime(copied, last)) ||
               still_written(item->path, NULL, err);
}

/* The copy is whole as of the first pass. */
static bool leave_as_it_is(Backup *b, size_t index) {
        SetItem *item = &b->set.items[index];
        database_close(&b->holds[index]);
        for (size_t i = 0; i < STAMP_COUNT; i++)
                item->stamps[i] = (Stamp){.size = STAMP_UNKNOWN};
        return true;
}

/* Without a held transaction all pages are compared: rollback-journal mode, a database made meanwhile, or a first
 * pass whose process died. */
static bool compare_pages(
        SetItem *item, const char *path, bool facts, uint64_t *ret_written, Err *err) {
        scoped(close_fd) int fd = -1;
        if (!open_copy(path, &fd, err))
                return false;
        for (unsigned i = 0; i < 3; i++) {
                scoped(page_source_done) PageSource source = {.wal = {.fd = -1}};
                uint64_t written = 0;
                bool steady = false;
                if (!page_source_open(item->path, true, &source, err) ||
                        !pages_copy(&source, fd, path, NULL, &written, err) ||
                        !page_source_steady(&source, &steady, err))
                        return false;
                *ret_written += written;
                if (!steady)
                        continue;
                return source_facts(
                               source.db, item, facts || *ret_written > 0 || !item->present, err) &&
                       fd_sync(fd, path, err);
        }
        return still_written(item->path, NULL, err);
}

static bool complete_compared(Backup *b, SetItem *item, PassStats *stats, Err *err) {
        scoped(free_str) char *name = database_object_name(&b->set, item->slug);
        scoped(free_str) char *path = set_path(&b->set, name);
        scoped(free_str) char *wal = str_format("%s-wal", path);
        uint64_t written = 0;
        /* A second pass that died after it had copied the WAL: the pages say all of it. */
        if (!file_unlink(wal, err) || !compare_pages(item, path, b->reopened, &written, err))
                return false;
        stats->bytes += written;
        stats->files += written > 0;
        Object *object = set_object(&b->set, OBJECT_SQLITE, item->slug);
        if (object) {
                object->patched |= written > 0 || b->reopened;
                return true;
        }
        return put_file_object(&b->set, name, OBJECT_SQLITE, item->slug, err);
}

bool second_pass_database(Backup *b, size_t index, PassStats *stats, Err *err) {
        SetItem *item = &b->set.items[index];
        struct stat st;
        bool there;
        if (!file_stat(item->path, &st, &there, err))
                return false;
        if (!there && item->present)
                return err_fail(
                        err, ERR_IO, "database '%s' vanished since the first pass", item->path);
        if (!there)
                return true;
        if (is_live(&b->set) && item->present && !b->reopened)
                return leave_as_it_is(b, index);
        bool ok = b->holds[index] ? complete_held(b, index, stats, err)
                                  : complete_compared(b, item, stats, err);
        item->present = true;
        return ok && database_stat(item, err) && stamp_take(item->path, item->stamps, err);
}

/* -- the pass -- */

static bool all_items(Backup *b, PassStats *stats, Err *err) {
        int64_t slowest = -1;
        for (size_t i = 0; i < b->set.n_items; i++) {
                SetItem *item = &b->set.items[i];
                int64_t began = clock_now_us();
                bool ok = item->kind == CONTENT_SQLITE ? second_pass_database(b, i, stats, err)
                                                       : second_pass_path(b, item, stats, err);
                if (!ok)
                        return err_context(err, "completing the backup of '%s'", item->slug);
                if (clock_now_us() - began <= slowest)
                        continue;
                slowest = clock_now_us() - began;
                str_replace_owned(&stats->slowest, str_copy(item->slug));
        }
        return true;
}

static bool anything_newer(const Set *set) {
        for (size_t i = 0; i < set->n_items; i++)
                if (set->items[i].newer.n > 0)
                        return true;
        return false;
}

bool backup_second_pass(Backup *b, PassStats *ret, Err *err) {
        scoped(pass_stats_done) PassStats stats = {0};
        int64_t began = clock_now_ms();
        if (b->set.pass >= 2)
                return true;
        if (b->set.pass < 1)
                return err_fail(
                        err, ERR_BUG, "the second pass of a backup whose first is not proven");
        if (!backup_load_lists(b, err) || !all_items(b, &stats, err))
                return false;
        if (anything_newer(&b->set) && !set_write_files(&b->set, FILES_PASS2, true, err))
                return false;
        for (size_t i = 0; i < b->set.n_items; i++)
                file_list_overlay(&b->set.items[i].list, &b->set.items[i].newer);
        b->set.taken_ms = clock_wall_ms();
        b->set.pass = 2;
        if (!set_save(&b->set, err)) {
                b->set.pass = 1;
                return false;
        }
        backup_let_go(b);
        stats.took_ms = clock_now_ms() - began;
        *ret = stats;
        stats = (PassStats){0};
        return true;
}
