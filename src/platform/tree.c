/* Walks over whole trees by descriptors: no link is followed, no path is looked up twice. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/file_parts.h"

/* One entry, seen by its name below an open directory; directories come after what is in them. */
typedef struct Entry {
        int dir;
        const char *name;
        const char *path; /* for messages */
        struct stat st;
} Entry;

typedef bool Visit(const Entry *entry, void *context, Err *err);

typedef struct Walk {
        Visit *visit;
        void *context;
        bool one_file_system; /* a mount point on the way is an error */
        bool open_up;         /* directories that their owner cannot read are made readable */
} Walk;

/* A directory being walked. Its descriptor is closed while one below it is open, so that depth costs
 * no descriptors: the way back is "..", checked against what was left. */
typedef struct Level {
        struct stat st;
        char **names;
        size_t count, next;
        size_t path_len; /* of the directory's own path */
} Level;

static void level_done(Level *level) {
        for (size_t i = 0; i < level->count; i++)
                free(level->names[i]);
        free(level->names);
        *level = (Level){0};
}

typedef struct Levels {
        Level *all;
        size_t count;
} Levels;

static void levels_done(Levels *levels) {
        for (size_t i = 0; i < levels->count; i++)
                level_done(&levels->all[i]);
        free(levels->all);
}

static bool list_names(int fd, const char *path, Level *level, Err *err) {
        int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        scoped(close_dir) DIR *dir = own < 0 ? NULL : fdopendir(own);
        if (!dir) {
                err_fail_errno(err, ERR_IO, errno, "opening directory '%s'", path);
                if (own >= 0)
                        close(own);
                return false;
        }
        for (;;) {
                errno = 0;
                struct dirent *entry = readdir(dir);
                if (!entry)
                        return errno == 0 ||
                               err_fail_errno(err, ERR_IO, errno, "reading directory '%s'", path);
                if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
                        PUSH(level->names, level->count, str_copy(entry->d_name));
        }
}

static bool same_inode(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A bind mount of the same file system has the same device number; only the kernel's word tells. */
static bool is_mount_point(const Entry *entry) {
        struct statx st;
        if (statx(entry->dir, entry->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) <
                0)
                return false;
        return st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static bool refuse_mounts(
        const Walk *walk, const Entry *entry, const struct stat *above, Err *err) {
        if (!walk->one_file_system || (entry->st.st_dev == above->st_dev && !is_mount_point(entry)))
                return true;
        err_fail(err, ERR_IO, "'%s' is a mount point: another file system begins there",
                entry->path);
        return err_hint(err, "Unmount it ('umount %s'), then try again.", entry->path);
}

/* Read-only directories (a Go module cache has them) hinder their owner, not root. */
static void open_up(const Walk *walk, const Entry *entry) {
        if (!walk->open_up || geteuid() == 0 || (entry->st.st_mode & 0700) == 0700)
                return;
        if (fault_before("chmod", entry->path))
                return;
        if (fchmodat(entry->dir, entry->name, (entry->st.st_mode & 07777) | 0700, 0) == 0)
                fault_after();
}

/* Steps into a directory: replaces *fd. */
static bool enter(const Walk *walk, const Entry *entry, Levels *levels, int *fd, Err *err) {
        open_up(walk, entry);
        scoped(close_fd) int below =
                openat(entry->dir, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        Level level = {.st = entry->st, .path_len = strlen(entry->path)};
        struct stat st;
        if (below < 0 || fstat(below, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening directory '%s'", entry->path);
        if (!same_inode(&st, &entry->st))
                return err_fail(
                        err, ERR_IO, "'%s' was replaced while it was being read", entry->path);
        if (!list_names(below, entry->path, &level, err)) {
                level_done(&level);
                return false;
        }
        PUSH(levels->all, levels->count, level);
        if (*fd >= 0)
                close(*fd);
        *fd = TAKE_FD(below);
        return true;
}

/* Steps out of the directory at the end of `levels`: replaces *fd by its parent. */
static bool leave(Levels *levels, int *fd, const char *path, Err *err) {
        const Level *parent = &levels->all[levels->count - 2];
        scoped(close_fd) int above = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        if (above < 0 || fstat(above, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "going back from '%s'", path);
        if (!same_inode(&st, &parent->st))
                return err_fail(err, ERR_IO, "'%s' was moved while it was being read", path);
        close(*fd);
        *fd = TAKE_FD(above);
        return true;
}

static void cut(Str *path, size_t len) {
        path->len = len;
        path->text[len] = '\0';
}

/* The next entry of the innermost directory. */
static bool step(const Walk *walk, Levels *levels, int *fd, Str *path, Err *err) {
        Level *level = &levels->all[levels->count - 1];
        const char *name = level->names[level->next++];
        cut(path, level->path_len);
        str_addf(path, "/%s", name);
        Entry entry = {.dir = *fd, .name = name, .path = path->text};
        if (fstatat(*fd, name, &entry.st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path->text);
        if (!refuse_mounts(walk, &entry, &level->st, err))
                return false;
        return S_ISDIR(entry.st.st_mode) ? enter(walk, &entry, levels, fd, err)
                                         : walk->visit(&entry, walk->context, err);
}

/* Everything in the innermost directory was seen: back to its parent, and the directory itself. */
static bool finish(const Walk *walk, Levels *levels, int *fd, Str *path, Err *err) {
        Level *level = &levels->all[levels->count - 1];
        cut(path, level->path_len);
        if (!leave(levels, fd, path->text, err))
                return false;
        Level *above = level - 1;
        Entry entry = {.dir = *fd,
                .name = above->names[above->next - 1],
                .path = path->text,
                .st = level->st};
        bool ok = walk->visit(&entry, walk->context, err);
        level_done(level);
        levels->count--;
        return ok;
}

/* What lies below the directory `top`; not `top` itself. */
static bool walk_below(const Walk *walk, const Entry *top, Err *err) {
        scoped(levels_done) Levels levels = {0};
        scoped(close_fd) int fd = -1;
        scoped(str_done) Str path = {0};
        str_add(&path, top->path);
        if (!enter(walk, top, &levels, &fd, err))
                return false;
        for (;;) {
                assert(levels.count > 0);
                const Level *level = &levels.all[levels.count - 1];
                bool more = level->next < level->count;
                if (!more && levels.count == 1)
                        return true;
                bool ok = more ? step(walk, &levels, &fd, &path, err)
                               : finish(walk, &levels, &fd, &path, err);
                if (!ok)
                        return false;
        }
}

/* All of a tree, the top last; *ret_there false when there is nothing. */
static bool walk_all(const Walk *walk, const char *path, bool *ret_there, Err *err) {
        Entry top = {.dir = AT_FDCWD, .name = path, .path = path};
        if (!file_stat(path, &top.st, ret_there, err))
                return false;
        if (!*ret_there)
                return true;
        if (walk->one_file_system && S_ISDIR(top.st.st_mode) &&
                !refuse_mounts(walk, &top, &top.st, err))
                return false;
        if (S_ISDIR(top.st.st_mode) && !walk_below(walk, &top, err))
                return false;
        return walk->visit(&top, walk->context, err);
}

/* -- the walks ---------------------------------------------------------------------------- */

static bool visit_nothing(const Entry *entry, void *context, Err *err) {
        (void)entry, (void)context, (void)err;
        return true;
}

static bool visit_remove(const Entry *entry, void *context, Err *err) {
        (void)context;
        if (fault_before("unlink", entry->path))
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", entry->path);
        int flags = S_ISDIR(entry->st.st_mode) ? AT_REMOVEDIR : 0;
        if (unlinkat(entry->dir, entry->name, flags) < 0 && errno != ENOENT)
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", entry->path);
        fault_after();
        return true;
}

/* Looked through before anything is removed: a mount point deep inside leaves the tree as it was. */
bool tree_remove(const char *path, Err *err) {
        bool there = false;
        const Walk look = {.visit = visit_nothing, .one_file_system = true, .open_up = true};
        const Walk remove = {.visit = visit_remove, .one_file_system = true};
        if (!walk_all(&look, path, &there, err) || (there && !walk_all(&remove, path, &there, err)))
                return err_context(err, "removing '%s'", path);
        scoped(free_str) char *parent = path_dirname(path);
        return !file_exists(parent) || dir_sync(parent, err);
}

static bool visit_sync(const Entry *entry, void *context, Err *err) {
        (void)context;
        bool directory = S_ISDIR(entry->st.st_mode);
        if (!directory && !S_ISREG(entry->st.st_mode))
                return true;
        scoped(close_fd) int fd = openat(
                entry->dir, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, errno, "opening '%s'", entry->path);
        return directory ? fd_sync_directory(fd, entry->path, err)
                         : fd_sync_whole(fd, entry->path, err);
}

static bool need_there(bool there, const char *path, Err *err) {
        return there || err_fail(err, ERR_UNKNOWN, "there is nothing at '%s'", path);
}

bool tree_sync(const char *path, Err *err) {
        bool there = false;
        return walk_all(&(Walk){.visit = visit_sync}, path, &there, err) &&
               need_there(there, path, err);
}

static bool visit_size(const Entry *entry, void *context, Err *err) {
        (void)err;
        uint64_t *sum = context;
        if (S_ISREG(entry->st.st_mode))
                *sum += (uint64_t)entry->st.st_size;
        return true;
}

bool tree_size(const char *path, uint64_t *ret_bytes, Err *err) {
        bool there = false;
        uint64_t sum = 0;
        if (!walk_all(&(Walk){.visit = visit_size, .context = &sum}, path, &there, err) ||
                !need_there(there, path, err))
                return false;
        *ret_bytes = sum;
        return true;
}
