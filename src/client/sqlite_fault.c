#include "client/sqlite.h"

/*
 * In builds with fault points SQLite's own writes, syncs and unlinks pass fault points, too: a VFS that
 * wraps the system's, so that crash sweeps can die inside of SQLite.
 */
#ifdef BELAY_FAULT_POINTS

#include <errno.h>
#include <string.h>

#include "platform/fault.h"

typedef struct FaultFile {
        sqlite3_file base;
        sqlite3_file *real;
} FaultFile;

static sqlite3_vfs fault_vfs;
static sqlite3_vfs *system_vfs;

static sqlite3_file *real_of(sqlite3_file *f) { return ((FaultFile *)(void *)f)->real; }

#define PASS(call, ...) real_of(f)->pMethods->call(real_of(f), ##__VA_ARGS__)

static int failed(void) { return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR; }

static int f_close(sqlite3_file *f) { return PASS(xClose); }
static int f_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) {
        return PASS(xRead, to, n, at);
}
static int f_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
        if (fault_before("sqlite-write", NULL))
                return failed();
        size_t part = fault_torn((size_t)n);
        int rc = PASS(xWrite, from, (int)part, at);
        if (part != (size_t)n)
                fault_die();
        if (rc == SQLITE_OK)
                fault_after();
        return rc;
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 size) {
        if (fault_before("sqlite-truncate", NULL))
                return failed();
        int rc = PASS(xTruncate, size);
        if (rc == SQLITE_OK)
                fault_after();
        return rc;
}
static int f_sync(sqlite3_file *f, int flags) {
        if (fault_before("sqlite-sync", NULL))
                return SQLITE_IOERR_FSYNC;
        int rc = PASS(xSync, flags);
        if (rc == SQLITE_OK)
                fault_after();
        return rc;
}
static int f_size(sqlite3_file *f, sqlite3_int64 *ret) { return PASS(xFileSize, ret); }
static int f_lock(sqlite3_file *f, int kind) { return PASS(xLock, kind); }
static int f_unlock(sqlite3_file *f, int kind) { return PASS(xUnlock, kind); }
static int f_reserved(sqlite3_file *f, int *ret) { return PASS(xCheckReservedLock, ret); }
static int f_control(sqlite3_file *f, int op, void *arg) { return PASS(xFileControl, op, arg); }
static int f_sector(sqlite3_file *f) { return PASS(xSectorSize); }
static int f_device(sqlite3_file *f) { return PASS(xDeviceCharacteristics); }
static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret) {
        return PASS(xShmMap, page, size, extend, ret);
}
static int f_shm_lock(sqlite3_file *f, int at, int n, int flags) {
        return PASS(xShmLock, at, n, flags);
}
static void f_shm_barrier(sqlite3_file *f) { PASS(xShmBarrier); }
static int f_shm_unmap(sqlite3_file *f, int remove) { return PASS(xShmUnmap, remove); }
static int f_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **ret) {
        return PASS(xFetch, at, n, ret);
}
static int f_unfetch(sqlite3_file *f, sqlite3_int64 at, void *p) { return PASS(xUnfetch, at, p); }

static const sqlite3_io_methods methods = {
        3,
        f_close,
        f_read,
        f_write,
        f_truncate,
        f_sync,
        f_size,
        f_lock,
        f_unlock,
        f_reserved,
        f_control,
        f_sector,
        f_device,
        f_shm_map,
        f_shm_lock,
        f_shm_barrier,
        f_shm_unmap,
        f_fetch,
        f_unfetch,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags) {
        (void)vfs;
        FaultFile *file = (FaultFile *)(void *)f;
        file->real = (sqlite3_file *)(void *)(file + 1);
        memset(file->real, 0, (size_t)system_vfs->szOsFile);
        file->base.pMethods = NULL;
        int rc = system_vfs->xOpen(system_vfs, name, file->real, flags, ret_flags);
        if (rc == SQLITE_OK)
                file->base.pMethods = &methods;
        return rc;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int sync) {
        (void)vfs;
        if (fault_before("sqlite-unlink", name))
                return failed();
        int rc = system_vfs->xDelete(system_vfs, name, sync);
        if (rc == SQLITE_OK)
                fault_after();
        return rc;
}

void database_fault_points(void) {
        if (system_vfs)
                return;
        system_vfs = sqlite3_vfs_find(NULL);
        fault_vfs = *system_vfs;
        fault_vfs.pNext = NULL;
        fault_vfs.zName = "belay-fault";
        fault_vfs.szOsFile = (int)sizeof(FaultFile) + system_vfs->szOsFile;
        fault_vfs.xOpen = v_open;
        fault_vfs.xDelete = v_delete;
        (void)sqlite3_vfs_register(&fault_vfs, 1);
}

#else
typedef int sqlite_fault_has_no_points;
#endif
