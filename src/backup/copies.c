/* A published backup in another store: the same files under the same name, read back there. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backup/set.h"
#include "base/own.h"
#include "platform/file.h"

static bool copy_files(const char *from, const char *to, Err *err) {
        scoped(close_dir) DIR *dir = opendir(from);
        const struct dirent *entry = NULL;
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", from);
        for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                scoped(free_str) char *old = path_join(from, entry->d_name);
                scoped(free_str) char *copy = path_join(to, entry->d_name);
                if (!file_copy_durable(old, copy, err))
                        return false;
        }
        return errno == 0 || err_fail_errno(err, ERR_IO, errno, "listing '%s'", from);
}

bool backup_store_ready(const char *store, const char *service, Err *err) {
        scoped(free_str) char *dir = store_service_dir(store, service);
        if (!store_prepare(store, service, err))
                return false;
        return access(dir, W_OK) == 0 ||
               err_fail_errno(err, ERR_REFUSED, errno, "the store '%s' cannot be written", dir);
}

/* What a copy that died left is made again; a name without a dot is there when all of it was read back. */
bool backup_copy(const char *store, const char *service, const char *id, const char *to, Err *err) {
        scoped(free_str) char *from = NULL;
        scoped(free_str) char *there = NULL;
        bool published = false, done = false;
        if (!store_locate(store, service, id, &from, &published, err))
                return false;
        if (!from || !published)
                return err_fail(err, ERR_UNKNOWN, "'%s' has no finished backup '%s'", store, id);
        if (!store_prepare(to, service, err) || !store_locate(to, service, id, &there, &done, err))
                return false;
        if (done)
                return true;
        scoped(free_str) char *dir = store_service_dir(to, service);
        scoped(free_str) char *partial = store_partial_dir(to, service, id);
        scoped(free_str) char *named = path_join(dir, path_basename(from));
        if (tree_remove(partial, err) && dir_make(partial, err) && copy_files(from, partial, err) &&
                backup_verify(partial, 1, NULL, err) && file_rename(partial, named, err))
                return true;
        (void)tree_remove(partial, NULL);
        return err_context(err, "copying backup '%s' to '%s'", path_basename(from), to);
}
