/*
 * Bytes as what a backup holds. The first says as what:
 *
 *     0  a compressed archive                 2  an archive whose headers get their right checksums
 *     1  an archive, not compressed           3  lines of FILES.jsonl
 *     4  a manifest of a backup               5  lines of FILES.jsonl, an empty line, the archive of these
 *                                                (its headers get their right checksums)
 *
 * No entry leaves its directory; what was accepted is written and read again as the same.
 */
#include "backup/archive_read.h"
#include "backup/set.h"
#include "backup/tar.h"
#include "base/js.h"
#include "fuzz/fuzz.h"
#include "platform/file.h"

enum { BLOCK = 512, PLAIN_MAX = 4 * 1024 * 1024 };

static void fix_checksums(char *bytes, size_t n) {
        for (size_t at = 0; at + BLOCK <= n; at += BLOCK) {
                unsigned char *h = (unsigned char *)bytes + at;
                if (memcmp(h + 257, "ustar", 5) != 0)
                        continue;
                unsigned sum = 0;
                memset(h + 148, ' ', 8);
                for (size_t i = 0; i < BLOCK; i++)
                        sum += h[i];
                char digits[8];
                (void)snprintf(digits, sizeof(digits), "%06o", sum & 0777777);
                memcpy(h + 148, digits, 7);
        }
}

static void entry_is_harmless(const FileEntry *e) {
        MUST(strcmp(e->path, ".") == 0 || file_path_ok(e->path));
        MUST(e->type == FILE_REGULAR || e->type == FILE_DIRECTORY || e->type == FILE_SYMLINK ||
                e->type == FILE_HARDLINK || e->type == FILE_FIFO);
        MUST(e->type != FILE_HARDLINK || (e->link && file_path_ok(e->link)));
        MUST((e->mode & ~(mode_t)07777) == 0);
}

static bool read_data(TarReader *tar) {
        char buffer[4096];
        size_t got = 1;
        while (got > 0)
                if (!tar_get_data(tar, buffer, sizeof(buffer), &got, NULL))
                        return false;
        return true;
}

/* The header of an accepted entry, written by ours and read again. */
static void put_again(const FileEntry *entry, const SegmentMap *map) {
        scoped(zwriter_freep) ZWriter *out = NULL;
        scoped(zreader_freep) ZReader *in = NULL;
        scoped(free_str) char *path = str_format("%s/again", fuzz_dir());
        scoped(file_entry_done) FileEntry again = {0};
        scoped(segment_map_done) SegmentMap map_again = {0};
        StreamSum sum;
        (void)unlink(path);
        MUST(zwriter_open(path, false, &out, NULL));
        TarWriter to = {.out = out};
        if (!tar_put(&to, entry, entry->sparse ? map : NULL, NULL))
                return;
        MUST(zwriter_close(out, &sum, NULL));
        MUST(zreader_open(path, false, PLAIN_MAX, &in, NULL));
        TarReader from = {.in = in};
        bool end = false;
        MUST(tar_get(&from, &again, &map_again, &end, NULL) && !end);
        MUST(strcmp(again.path, entry->path) == 0 && again.type == entry->type);
        MUST(again.mode == entry->mode && again.uid == entry->uid && again.gid == entry->gid);
        MUST(again.mtime_ns == entry->mtime_ns);
        MUST(again.size == entry->size && map_again.n == map->n);
}

static void read_archive(const char *bytes, size_t n, bool compressed) {
        const char *path = fuzz_file(compressed ? "a.tar.zst" : "a.tar", bytes, n);
        scoped(zreader_freep) ZReader *in = NULL;
        MUST(zreader_open(path, compressed, PLAIN_MAX, &in, NULL));
        TarReader tar = {.in = in};
        for (;;) {
                scoped(file_entry_done) FileEntry entry = {0};
                scoped(segment_map_done) SegmentMap map = {0};
                scoped(err_clear) Err err = {0};
                bool end = false;
                if (!tar_get(&tar, &entry, &map, &end, &err)) {
                        MUST(err.code == ERR_CORRUPT);
                        return;
                }
                if (end)
                        break;
                entry_is_harmless(&entry);
                if (!read_data(&tar))
                        return;
                put_again(&entry, &map);
        }
        StreamSum sum;
        (void)zreader_end(in, &sum, NULL);
}

static void read_line(const char *line, FileList *list) {
        scoped(free_str) char *content = NULL, *content_again = NULL;
        scoped(file_entry_done) FileEntry entry = {0}, again = {0};
        scoped(err_clear) Err err = {0};
        if (!file_from_line(line, strlen(line), &content, &entry, &err)) {
                MUST(err.code == ERR_CORRUPT && !content);
                return;
        }
        MUST(strcmp(entry.path, ".") == 0 || file_path_ok(entry.path));
        Str once = {0}, twice = {0};
        file_line(&once, content, &entry);
        MUST(file_from_line(once.text, once.len - 1, &content_again, &again, NULL));
        file_line(&twice, content_again, &again);
        MUST(once.len == twice.len && memcmp(once.text, twice.text, once.len) == 0);
        str_done(&once);
        str_done(&twice);
        if (list && (list->n == 0 || path_order(list->items[list->n - 1].path, entry.path) < 0)) {
                FileEntry moved = entry;
                entry = (FileEntry){0};
                (void)file_list_push(list, &moved);
        }
}

static const char *read_lines(const char *at, FileList *list) {
        while (*at) {
                scoped(free_str) char *line = fuzz_line(&at);
                if (!*line)
                        break;
                read_line(line, list);
        }
        return at;
}

static void read_set(const char *text, size_t n) {
        scoped(js_freep) json_t *object = js_parse(text, n, "MANIFEST.json", NULL);
        scoped(set_done) Set set = {0};
        scoped(err_clear) Err err = {0};
        if (!json_is_object(object))
                return;
        /* The sum is the first thing that is asked; it is put right, so that the rest is reached. */
        (void)json_object_del(object, "manifest_sha256");
        scoped(free_str) char *line = js_line(object);
        char sum[65];
        sha256_hex(line, strlen(line), sum);
        js_set_str(object, "manifest_sha256", sum);
        if (!set_from_json(object, &set, &err)) {
                MUST(err.code == ERR_CORRUPT || err.code == ERR_REFUSED);
                return;
        }
        scoped(js_freep) json_t *made = set_to_json(&set);
        MUST(made);
}

/* The archive of a path against its list, as proof and restore read it. */
static void read_listed(char *text, size_t n) {
        scoped(set_done) Set set = {.dir = str_copy(fuzz_dir()), .pass = 1};
        set.items = NEW(SetItem);
        set.n_items = 1;
        set.items[0] = (SetItem){.kind = CONTENT_PATH,
                .slug = str_copy("data"),
                .path = str_copy("/srv/data"),
                .present = true};
        size_t at = (size_t)(read_lines(text, &set.items[0].list) - text);
        set.objects = NEW(Object);
        set.n_objects = 1;
        set.objects[0] = (Object){.name = str_copy("path-data.tar"),
                .kind = OBJECT_PATHS,
                .content = str_copy("data"),
                .bytes = n - at,
                .plain_bytes = n - at};
        fix_checksums(text + at, n - at);
        sha256_hex(text + at, n - at, set.objects[0].sha256);
        (void)fuzz_file("path-data.tar", text + at, n - at);
        const ArchiveSink sink = {0};
        scoped(err_clear) Err err = {0};
        MUST(archives_read(&set, &set.items[0], &sink, NULL, &err) || err.code == ERR_CORRUPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
        if (n < 1)
                return 0;
        scoped(free_str) char *text = fuzz_text(bytes + 1, n - 1);
        switch (bytes[0] % 6) {
        case 0:
                read_archive(text, n - 1, true);
                break;
        case 2:
                fix_checksums(text, n - 1);
                __attribute__((fallthrough));
        case 1:
                read_archive(text, n - 1, false);
                break;
        case 3:
                (void)read_lines(text, NULL);
                break;
        case 4:
                read_set(text, n - 1);
                break;
        default:
                read_listed(text, n - 1);
        }
        return 0;
}
