#include "backup/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backup/archive_read.h"
#include "backup/session.h"
#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { COPY_BYTES = 256 * 1024 };

typedef struct Tree {
        const Extraction *x;
        const SetItem *item;
        const char *dir;
        int root; /* everything goes below this descriptor */
        int fd;   /* of the file whose bytes are coming */
} Tree;

static bool fail_at(const Tree *t, const char *doing, const char *path, Err *err) {
        int number = errno;
        return err_fail_errno(err, ERR_IO, number, "%s '%s/%s'", doing, t->dir, path);
}

bool make_private_dir(const char *path, Err *err) {
        if (fault_before("mkdir", path) || mkdir(path, 0700) != 0)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        fault_after();
        return true;
}

/* -- what a file is besides its bytes -- */

static bool wanted_xattr(const Tree *t, const char *name) {
        return t->x->keep_setuid || strcmp(name, "security.capability") != 0;
}

/* Only what programs themselves set must come back; what the system sets (labels) it sets anew. */
static bool set_xattrs(const Tree *t, int fd, const char *at, const FileEntry *e, Err *err) {
        for (size_t i = 0; i < e->n_xattrs; i++) {
                const Xattr *x = &e->xattrs[i];
                int failed = !wanted_xattr(t, x->name) ? 0
                             : at                      ? lsetxattr(at, x->name, x->value, x->n, 0)
                                                       : fsetxattr(fd, x->name, x->value, x->n, 0);
                if (failed == 0)
                        continue;
                if (str_starts(x->name, "user.") || str_starts(x->name, "system.posix_acl"))
                        return fail_at(t, "setting attributes of", e->path, err);
        }
        return true;
}

static mode_t wanted_mode(const Tree *t, const FileEntry *e) {
        bool strip = !t->x->keep_setuid && e->type == FILE_REGULAR;
        return strip ? e->mode & 01777 : e->mode;
}

static void times_of(const FileEntry *e, struct timespec ret[2]) {
        int64_t seconds = e->mtime_ns / 1000000000, rest = e->mtime_ns % 1000000000;
        if (rest < 0) {
                rest += 1000000000;
                seconds--;
        }
        ret[0] = (struct timespec){.tv_nsec = UTIME_NOW};
        ret[1] = (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

static bool set_owner(const Tree *t, int fd, const FileEntry *e, Err *err) {
        struct stat st;
        if (fstat(fd, &st) == 0 && st.st_uid == e->uid && st.st_gid == e->gid)
                return true;
        return fchown(fd, e->uid, e->gid) == 0 || fail_at(t, "giving its owner to", e->path, err);
}

static bool dress(const Tree *t, int fd, const FileEntry *e, Err *err) {
        struct timespec times[2];
        times_of(e, times);
        if (!set_owner(t, fd, e, err))
                return false;
        if (fchmod(fd, wanted_mode(t, e)) != 0)
                return fail_at(t, "setting the mode of", e->path, err);
        if (!set_xattrs(t, fd, NULL, e, err))
                return false;
        return futimens(fd, times) == 0 || fail_at(t, "setting the time of", e->path, err);
}

/* -- regular files, as their bytes come -- */

static bool open_file(void *context, const FileEntry *e, Err *err) {
        Tree *t = context;
        close_fd(&t->fd);
        t->fd = -1;
        if (!fault_before("create", e->path))
                t->fd = open_beneath(t->root, e->path, O_WRONLY | O_CREAT | O_EXCL, 0600, true);
        if (t->fd < 0)
                return fail_at(t, "making", e->path, err);
        fault_after();
        return !e->sparse || ftruncate(t->fd, (off_t)e->size) == 0 ||
               fail_at(t, "making", e->path, err);
}

static bool put_bytes(
        void *context, const FileEntry *e, uint64_t at, const void *bytes, size_t n, Err *err) {
        Tree *t = context;
        const char *from = bytes;
        while (n > 0) {
                if (fault_before("pwrite", e->path))
                        return fail_at(t, "writing", e->path, err);
                ssize_t done = pwrite(t->fd, from, n, (off_t)at);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done < 0)
                        return fail_at(t, "writing", e->path, err);
                fault_after();
                from += done;
                at += (uint64_t)done;
                n -= (size_t)done;
        }
        return true;
}

static bool close_file(void *context, const FileEntry *e, Err *err) {
        Tree *t = context;
        return dress(t, t->fd, e, err);
}

/* -- the rest -- */

/* The directory that holds an entry, by descriptor, and the name in it. */
static int open_parent(const Tree *t, const FileEntry *e, const char **ret_name) {
        scoped(free_str) char *parent = path_dirname(e->path);
        *ret_name = path_basename(e->path);
        return open_beneath(t->root, parent, O_RDONLY | O_DIRECTORY, 0, true);
}

static bool make_directory(const Tree *t, const FileEntry *e, Err *err) {
        const char *name;
        if (strcmp(e->path, ".") == 0)
                return true;
        scoped(close_fd) int parent = open_parent(t, e, &name);
        if (parent < 0 || fault_before("mkdir", e->path) || mkdirat(parent, name, 0700) != 0)
                return fail_at(t, "making", e->path, err);
        fault_after();
        return true;
}

static bool make_hardlink(const Tree *t, const FileEntry *e, Err *err) {
        const char *name, *target_name;
        const FileEntry *target = file_list_find(&t->item->list, e->link);
        if (!target || target->type != FILE_REGULAR)
                return err_fail(
                        err, ERR_CORRUPT, "'%s' is a link to what is not in the backup", e->path);
        scoped(close_fd) int parent = open_parent(t, e, &name);
        scoped(close_fd) int target_parent = open_parent(t, target, &target_name);
        if (parent < 0 || target_parent < 0 || fault_before("link", e->path) ||
                linkat(target_parent, target_name, parent, name, 0) != 0)
                return fail_at(t, "linking", e->path, err);
        fault_after();
        return true;
}

static bool make_symlink(const Tree *t, const FileEntry *e, Err *err) {
        const char *name;
        struct timespec times[2];
        scoped(close_fd) int parent = open_parent(t, e, &name);
        if (parent < 0 || fault_before("symlink", e->path) || symlinkat(e->link, parent, name) != 0)
                return fail_at(t, "linking", e->path, err);
        fault_after();
        times_of(e, times);
        if (fchownat(parent, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) != 0)
                return fail_at(t, "giving its owner to", e->path, err);
        return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0 ||
               fail_at(t, "setting the time of", e->path, err);
}

static bool make_fifo(const Tree *t, const FileEntry *e, Err *err) {
        const char *name;
        struct timespec times[2];
        scoped(close_fd) int parent = open_parent(t, e, &name);
        if (parent < 0 || fault_before("mkfifo", e->path) || mkfifoat(parent, name, 0600) != 0)
                return fail_at(t, "making", e->path, err);
        fault_after();
        times_of(e, times);
        if (fchownat(parent, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) != 0 ||
                fchmodat(parent, name, e->mode, 0) != 0)
                return fail_at(t, "giving its owner to", e->path, err);
        scoped(free_str) char *at = str_format("/proc/self/fd/%d/%s", parent, name);
        if (!set_xattrs(t, -1, at, e, err))
                return false;
        return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0 ||
               fail_at(t, "setting the time of", e->path, err);
}

static bool make_all(const Tree *t, FileType type,
        bool (*make)(const Tree *, const FileEntry *, Err *), Err *err) {
        for (size_t i = 0; i < t->item->list.n; i++)
                if (t->item->list.items[i].type == type && !make(t, &t->item->list.items[i], err))
                        return false;
        return true;
}

static bool make_databases(const Tree *t, Err *err) {
        const Set *set = t->x->set;
        for (size_t i = 0; i < set->n_items; i++) {
                const SetItem *member = &set->items[i];
                if (!member->present || !str_equal(member->within, t->item->slug))
                        continue;
                scoped(free_str) char *to = path_join(t->dir, member->inner);
                if (!extract_database(t->x, member, to, err))
                        return false;
        }
        return true;
}

/* Deepest first: what is put into a directory changes its time. */
static bool dress_directories(const Tree *t, Err *err) {
        for (size_t i = t->item->list.n; i-- > 0;) {
                const FileEntry *e = &t->item->list.items[i];
                if (e->type != FILE_DIRECTORY)
                        continue;
                scoped(close_fd) int fd =
                        open_beneath(t->root, e->path, O_RDONLY | O_DIRECTORY, 0, true);
                if (fd < 0)
                        return fail_at(t, "opening", e->path, err);
                if (!dress(t, fd, e, err))
                        return false;
        }
        return true;
}

static bool fill_tree(Tree *t, Err *err) {
        ArchiveSink sink = {.begin = open_file, .data = put_bytes, .end = close_file, .context = t};
        return make_all(t, FILE_DIRECTORY, make_directory, err) &&
               archives_read(t->x->set, t->item, &sink, t->x->watch, err) &&
               make_all(t, FILE_HARDLINK, make_hardlink, err) &&
               make_all(t, FILE_FIFO, make_fifo, err) && make_databases(t, err) &&
               make_all(t, FILE_SYMLINK, make_symlink, err) && tree_sync(t->dir, err) &&
               dress_directories(t, err) && tree_sync(t->dir, err);
}

bool extract_path(const Extraction *x, const SetItem *item, const char *dir, Err *err) {
        if (!make_private_dir(dir, err))
                return false;
        scoped(close_fd) int root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (root < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", dir);
        Tree t = {.x = x, .item = item, .dir = dir, .root = root, .fd = -1};
        bool ok = fill_tree(&t, err);
        close_fd(&t.fd);
        return ok || err_context(err, "restoring '%s'", item->slug);
}

/* -- databases -- */

static bool copy_plain(const Set *set, const Object *object, const char *to,
        const BackupWatch *watch, StreamSum *ret, Err *err) {
        scoped(free_str) char *from = set_path(set, object->name);
        scoped(free_mem) char *buffer = mem_new(COPY_BYTES, 1);
        scoped(zreader_freep) ZReader *r = NULL;
        scoped(zwriter_freep) ZWriter *w = NULL;
        size_t got = 1;
        if (!zreader_open(from, false, INT64_MAX, &r, err) || !zwriter_open(to, false, &w, err))
                return false;
        while (got > 0) {
                if (!zreader_get(r, buffer, COPY_BYTES, &got, err) ||
                        !zwriter_add(w, buffer, got, err))
                        return false;
                if (watch_cancelled(watch, err))
                        return false;
        }
        return zwriter_close(w, ret, err);
}

/* Of a partial backup whose WAL is not (or half) merged: the sum of the copy says nothing then, SQLite must. */
static bool copy_wal(const Extraction *x, const Object *wal, const char *to, Err *err) {
        scoped(free_str) char *from = set_path(x->set, wal->name);
        scoped(free_str) char *wal_to = str_format("%s-wal", to);
        struct stat st;
        bool there;
        StreamSum sum;
        if (!file_stat(from, &st, &there, err))
                return false;
        if (there && st.st_size > 0) {
                if (!copy_plain(x->set, wal, wal_to, x->watch, &sum, err))
                        return false;
                if (strcmp(sum.sha256, wal->sha256) != 0)
                        return err_fail(err, ERR_CORRUPT, "'%s' is not what was written", from);
        }
        return wal_apply(to, err);
}

static bool check_merged(const SetItem *item, const char *path, Err *err) {
        scoped(database_close) sqlite3 *db = NULL;
        scoped(database_facts_done) DatabaseFacts facts = {0};
        if (!database_open(path, DATABASE_IMMUTABLE, &db, err) || !database_check(db, err) ||
                !database_facts(db, false, &facts, err))
                return false;
        if (facts.page_count == item->facts.page_count &&
                strcmp(facts.schema_sha256, item->facts.schema_sha256) == 0)
                return true;
        return err_fail(err, ERR_CORRUPT,
                "the copy of database '%s' differs from it in pages or schema", item->path);
}

static bool dress_database(const SetItem *item, const char *path, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
                {.tv_sec = item->mtime_ns / 1000000000, .tv_nsec = item->mtime_ns % 1000000000}};
        bool same =
                fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == item->uid && st.st_gid == item->gid;
        if (fd < 0 || (!same && fchown(fd, item->uid, item->gid) != 0) ||
                fchmod(fd, item->mode) != 0 || futimens(fd, times) != 0)
                return err_fail_errno(err, ERR_IO, errno, "giving owner and mode to '%s'", path);
        return fd_sync(fd, path, err);
}

bool extract_database(const Extraction *x, const SetItem *item, const char *to, Err *err) {
        const Object *object = set_object(x->set, OBJECT_SQLITE, item->slug);
        const Object *wal = set_object(x->set, OBJECT_WAL, item->slug);
        StreamSum sum;
        if (!object)
                return err_fail(
                        err, ERR_CORRUPT, "the copy of database '%s' is missing", item->path);
        if (!copy_plain(x->set, object, to, x->watch, &sum, err))
                return err_context(err, "restoring database '%s'", item->path);
        bool summed = !wal && !object->patched;
        if (summed && strcmp(sum.sha256, object->sha256) != 0)
                return err_fail(err, ERR_CORRUPT,
                        "the copy of database '%s' is not what was written", item->path);
        bool ok = (!wal || copy_wal(x, wal, to, err)) && (summed || check_merged(item, to, err)) &&
                  dress_database(item, to, err);
        return ok || err_context(err, "restoring database '%s'", item->path);
}
