#include "update/fingerprint.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/file.h"
#include "platform/sha256.h"

static void add_stat(Sha256 *sum, const char *path, const struct stat *st) {
        scoped(free_str) char *line = str_format(
                "%s %lu %ld %ld.%ld %ld.%ld\n", path, (unsigned long)st->st_ino, (long)st->st_size,
                (long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
        sha256_add(sum, line, strlen(line));
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static bool add_entry(Sha256 *sum, const FTSENT *entry, Err *err) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
                return entry->fts_errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, entry->fts_errno, "looking at '%s'", entry->fts_path);
        bool sidecar = str_ends(entry->fts_path, "-shm");
        if (!sidecar && entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
                add_stat(sum, entry->fts_path, entry->fts_statp);
        return true;
}

static void closep(FTS **walk) {
        if (*walk)
                fts_close(*walk);
}

static bool add_tree(Sha256 *sum, const char *path, Err *err) {
        scoped(free_str) char *copy = str_copy(path);
        char *roots[] = {copy, NULL};
        scoped(closep) FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, by_name);
        if (!walk)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        const FTSENT *entry;
        while ((entry = fts_read(walk)))
                if (!add_entry(sum, entry, err))
                        return false;
        return true;
}

static bool add_sidecars(Sha256 *sum, const char *database, Err *err) {
        static const char *const endings[] = {"-wal", "-journal"};
        for (size_t i = 0; i < COUNT_OF(endings); i++) {
                scoped(free_str) char *path = str_format("%s%s", database, endings[i]);
                struct stat st;
                bool there = false;
                if (!file_stat(path, &st, &there, err))
                        return false;
                /* An empty -wal and an absent one say the same. */
                if (there && st.st_size > 0)
                        add_stat(sum, path, &st);
        }
        return true;
}

bool contents_fingerprint(const Service *service, char ret_hex[65], Err *err) {
        scoped(sha256_freep) Sha256 *sum = sha256_new();
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *content = &service->backup.contents[i];
                if (!add_tree(sum, content->path, err))
                        return false;
                if (content->kind == CONTENT_SQLITE && !add_sidecars(sum, content->path, err))
                        return false;
        }
        sha256_end(sum, ret_hex);
        return true;
}
