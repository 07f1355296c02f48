#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"

static const char CONFIG_ARCHIVE[] = "config.tar.zst";
static const char *const beside[] = {"service.json", "logs.txt"};

static bool is_beside(const char *name) {
        for (size_t i = 0; i < COUNT_OF(beside); i++)
                if (strcmp(beside[i], name) == 0)
                        return true;
        return false;
}

/* *ret NULL: there is nothing to take. */
static bool extra_bytes(
        const BackupExtra *extra, FileEntry *entry, char **ret, size_t *ret_bytes, Err *err) {
        *entry = (FileEntry){.path = str_copy(extra->name),
                .type = FILE_REGULAR,
                .mode = 0600,
                .mtime_ns = kernel_now_ns()};
        if (extra->text) {
                *ret = str_copy(extra->text);
                *ret_bytes = strlen(extra->text);
                return true;
        }
        struct stat st;
        bool there;
        *ret = NULL;
        if (!file_stat(extra->path, &st, &there, err) ||
                !file_read_if(extra->path, LIMIT_STATE_FILE, ret, ret_bytes, err))
                return false;
        if (*ret && there) {
                entry->mode = st.st_mode & 0777;
                entry->uid = st.st_uid;
                entry->gid = st.st_gid;
                entry->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        }
        return true;
}

static bool put_config(TarWriter *tar, const BackupExtra *extra, Err *err) {
        scoped(file_entry_done) FileEntry entry = {0};
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        if (!extra_bytes(extra, &entry, &bytes, &n, err))
                return false;
        entry.size = n;
        return !bytes ||
               (tar_put(tar, &entry, NULL, err) &&
                       tar_put_data(tar, bytes, (size_t)entry.size, err) && tar_put_end(tar, err));
}

static bool put_beside(Backup *b, const BackupExtra *extra, Err *err) {
        scoped(file_entry_done) FileEntry entry = {0};
        scoped(free_str) char *bytes = NULL;
        scoped(free_str) char *path = set_path(&b->set, extra->name);
        scoped(zwriter_freep) ZWriter *w = NULL;
        size_t n;
        if (!extra_bytes(extra, &entry, &bytes, &n, err))
                return false;
        if (!bytes)
                return true;
        return zwriter_open(path, false, &w, err) && zwriter_add(w, bytes, n, err) &&
               put_stream_object(&b->set, extra->name, OBJECT_OTHER, NULL, w, err);
}

bool take_extras(Backup *b, Err *err) {
        scoped(free_str) char *path = set_path(&b->set, CONFIG_ARCHIVE);
        scoped(zwriter_freep) ZWriter *w = NULL;
        if (!zwriter_open(path, true, &w, err))
                return false;
        TarWriter tar = {.out = w};
        for (size_t i = 0; i < b->n_extras; i++) {
                const BackupExtra *extra = &b->extras[i];
                bool ok = is_beside(extra->name) ? put_beside(b, extra, err)
                                                 : put_config(&tar, extra, err);
                if (!ok)
                        return err_context(err, "keeping '%s'", extra->name);
                if (!is_beside(extra->name) && extra->belongs)
                        set_add_config(&b->set, extra->name, extra->belongs);
        }
        b->n_extras = 0; /* the caller may free them now */
        return tar_finish(&tar, err) &&
               put_stream_object(&b->set, CONFIG_ARCHIVE, OBJECT_OTHER, NULL, w, err);
}

static bool entry_text(TarReader *tar, const FileEntry *entry, char **ret, Err *err) {
        scoped(free_str) char *text = mem_new(entry->size + 1, 1);
        for (size_t n = 0, got = 1; n < entry->size && got; n += got)
                if (!tar_get_data(tar, text + n, (size_t)entry->size - n, &got, err))
                        return false;
        *ret = TAKE(text);
        return true;
}

bool backup_config_text(const char *dir, const char *name, char **ret, Err *err) {
        scoped(free_str) char *path = path_join(dir, CONFIG_ARCHIVE);
        scoped(free_str) char *wanted = str_format("./%s", name);
        scoped(zreader_freep) ZReader *reader = NULL;
        if (!zreader_open(path, true, 4 * (uint64_t)LIMIT_STATE_FILE, &reader, err))
                return false;
        TarReader tar = {.in = reader};
        *ret = NULL;
        for (bool end = false; !end && !*ret;) {
                scoped(file_entry_done) FileEntry entry = {0};
                scoped(segment_map_done) SegmentMap map = {0};
                if (!tar_get(&tar, &entry, &map, &end, err))
                        return false;
                bool is_it = !end && (str_equal(entry.path, name) || str_equal(entry.path, wanted));
                if (is_it && entry.size <= LIMIT_STATE_FILE && !entry_text(&tar, &entry, ret, err))
                        return false;
        }
        return true;
}
