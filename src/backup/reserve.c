#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backup/backup.h"
#include "backup/restore_place.h"
#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

/* The slack is for what else going back writes: locks, the old index, the keeper's record, a database's sidecars. */
enum { FILE_OVERHEAD = 4096, SLACK = 1024 * 1024 };

static bool reserve_one(const char *path, uint64_t bytes, Err *err) {
        scoped(close_fd) int fd = -1;
        if (!fault_before("create", path))
                fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "making '%s'", path);
        fault_after();
        return fd_reserve(fd, bytes, path, err) && fd_sync(fd, path, err);
}

/* What a content and the databases inside of it take. */
static uint64_t bytes_of(const BackupPlan *plan, const PlanItem *item) {
        uint64_t bytes = SLACK;
        for (size_t i = 0; i < plan->n_items; i++)
                if (&plan->items[i] == item || str_equal(plan->items[i].within, item->slug))
                        bytes += plan->items[i].bytes + plan->items[i].files * FILE_OVERHEAD;
        return bytes;
}

bool backup_reserve(const BackupPlan *plan, const char *mark, Err *err) {
        for (size_t i = 0; i < plan->n_items; i++) {
                const PlanItem *item = &plan->items[i];
                scoped(free_str) char *path = reserve_path(item->path, mark);
                if (!item->within && item->present && !reserve_one(path, bytes_of(plan, item), err))
                        return err_context(err, "reserving room for a restore of '%s'", item->slug);
        }
        return true;
}

static bool unreserve_one(const char *real, const char *mark, Err *err) {
        scoped(free_str) char *path = real ? reserve_path(real, mark) : NULL;
        return !path || file_unlink(path, err);
}

/* Where the content itself has become a link meanwhile, the room is beside the link. */
bool backup_unreserve(const Service *service, const char *mark, Err *err) {
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const char *path = service->backup.contents[i].path;
                scoped(free_str) char *parent = path_dirname(path);
                scoped(free_str) char *real_parent = file_real(parent);
                scoped(free_str) char *real = file_real(path);
                scoped(free_str) char *here =
                        real_parent ? path_join(real_parent, path_basename(path)) : NULL;
                if (!unreserve_one(real, mark, err) ||
                        (!str_equal(here, real) && !unreserve_one(here, mark, err)))
                        return false;
        }
        return true;
}
