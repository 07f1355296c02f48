#include "platform/overlay.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"
#include "platform/file.h"

/* Not durable: what becomes of a copy in a power cut is the same as of a copy that is removed. */
static bool make_like(const char *path, const struct stat *like, Err *err) {
        if (fault_before("mkdir", path))
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        fault_after();
        if (fault_before("chown", path))
                return err_fail_errno(err, ERR_IO, errno, "giving '%s' its owner", path);
        /* Without root the layer of somebody else's directory (/tmp) is this user's: who looks is the same one. */
        bool given =
                chown(path, like->st_uid, like->st_gid) == 0 || (errno == EPERM && geteuid() != 0);
        if (!given || chmod(path, like->st_mode & 07777) < 0)
                return err_fail_errno(err, ERR_IO, errno, "giving '%s' its owner", path);
        fault_after();
        return true;
}

static bool look(const char *path, struct stat *ret, Err *err) {
        return stat(path, ret) == 0 || err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
}

bool overlay_make(const char *base, const char *lower, Err *err) {
        struct stat like;
        scoped(free_str) char *upper = path_join(base, "upper");
        scoped(free_str) char *work = path_join(base, "work");
        return look(lower, &like, err) && dir_make(base, err) && make_like(upper, &like, err) &&
               dir_make(work, err);
}

bool overlay_place(const char *base, const char *lower, const char *in, char **ret, Err *err) {
        scoped(free_str) char *at = path_join(base, "upper");
        scoped(free_str) char *there = str_copy(lower);
        for (const char *next; (next = strchr(in, '/')); in = next + 1) {
                scoped(free_str) char *name = str_copy_n(in, (size_t)(next - in));
                struct stat like;
                if (!name[0])
                        continue;
                str_replace_owned(&at, path_join(at, name));
                str_replace_owned(&there, path_join(there, name));
                if (!look(there, &like, err) || !make_like(at, &like, err))
                        return false;
        }
        *ret = in[0] ? path_join(at, in) : TAKE(at);
        return true;
}

/* Documentation/filesystems/overlayfs.rst: "userxattr" mounts look at user.overlay., others at trusted.overlay. */
bool overlay_replace(const char *dir, Err *err) {
        const char *name = geteuid() == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque";
        if (fault_before("setxattr", dir) || setxattr(dir, name, "y", 1, 0) < 0)
                return err_fail_errno(err, ERR_IO, errno, "marking '%s' as replaced", dir);
        fault_after();
        return true;
}

bool overlay_can_write(const char *path, char **ret_why) {
        static const struct {
                long type;
                const char *name;
        } cannot[] = {
                {OVERLAYFS_SUPER_MAGIC, "itself an overlay (a container's?)"},
                {NFS_SUPER_MAGIC, "on NFS"},
                {FUSE_SUPER_MAGIC, "on FUSE"},
                {MSDOS_SUPER_MAGIC, "on FAT"},
        };
        struct statfs fs;
        if (statfs(path, &fs) < 0)
                return true;
        for (size_t i = 0; i < COUNT_OF(cannot); i++)
                if ((long)fs.f_type == cannot[i].type) {
                        *ret_why = str_format("'%s' is %s, where no overlay can be written", path,
                                cannot[i].name);
                        return false;
                }
        return true;
}
