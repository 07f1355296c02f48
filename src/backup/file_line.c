#include <stdio.h>
#include <string.h>

#include "backup/file_list.h"
#include "base/js.h"
#include "base/own.h"

/* A name that is not UTF-8 (JSON cannot hold it) is written in hexadecimal under "<key>_hex". */
static void add_name(json_t *object, const char *key, const char *name) {
        json_t *text = json_string(name);
        if (text) {
                js_set(object, key, text);
                return;
        }
        scoped(free_str) char *hex = mem_new(2 * strlen(name) + 1, 1);
        scoped(free_str) char *hex_key = str_format("%s_hex", key);
        bytes_to_hex((const unsigned char *)name, strlen(name), hex);
        js_set_str(object, hex_key, hex);
}

static char *get_name(const json_t *object, const char *key) {
        const char *text = js_str(object, key);
        if (text)
                return str_copy(text);
        scoped(free_str) char *hex_key = str_format("%s_hex", key);
        const char *hex = js_str(object, hex_key);
        if (!hex)
                return NULL;
        size_t n = strlen(hex) / 2;
        char *name = mem_new(n + 1, 1);
        if (!hex_to_bytes(hex, (unsigned char *)name, n) || strlen(name) != n) {
                free(name);
                return NULL;
        }
        return name;
}

static json_t *xattrs_to_json(const FileEntry *entry) {
        json_t *all = json_object();
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                const Xattr *x = &entry->xattrs[i];
                scoped(free_str) char *hex = mem_new(2 * x->n + 1, 1);
                bytes_to_hex(x->value, x->n, hex);
                js_set_str(all, x->name, hex);
        }
        return all;
}

void file_line(Str *to, const char *content, const FileEntry *entry) {
        scoped(js_freep) json_t *object = json_object();
        char type[2] = {(char)entry->type, '\0'}, mode[8], sum[65];
        js_set_str(object, "content", content);
        add_name(object, "path", entry->path);
        if (entry->gone) {
                js_set_bool(object, "gone", true);
        } else {
                snprintf(mode, sizeof(mode), "%04o", entry->mode);
                js_set_str(object, "type", type);
                js_set_int(object, "size", (int64_t)entry->size);
                js_set_str(object, "mode", mode);
                js_set_int(object, "uid", entry->uid);
                js_set_int(object, "gid", entry->gid);
                js_set_int(object, "mtime_ns", entry->mtime_ns);
                js_set_int(object, "ctime_ns", entry->ctime_ns);
                js_set_int(object, "inode", (int64_t)entry->inode);
        }
        if (entry->type == FILE_REGULAR) {
                bytes_to_hex(entry->sha256, sizeof(entry->sha256), sum);
                js_set_str(object, entry->sparse ? "sparse_sha256" : "sha256", sum);
        }
        if (entry->link)
                add_name(object, "link", entry->link);
        if (entry->n_xattrs > 0)
                js_set(object, "xattrs", xattrs_to_json(entry));
        if (entry->doubtful)
                js_set_bool(object, "doubtful", true);
        if (entry->delta)
                js_set_bool(object, "delta", true);
        if (entry->earlier > 0)
                js_set_int(object, "earlier", entry->earlier);
        scoped(free_str) char *line = js_line(object);
        str_add(to, line);
        str_add_char(to, '\n');
}

static bool xattrs_from_json(const json_t *all, FileEntry *entry) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)all, name, value) {
                const char *hex = json_string_value(value);
                if (!hex)
                        return false;
                Xattr x = {.name = str_copy(name), .n = strlen(hex) / 2};
                x.value = mem_new(x.n + 1, 1);
                PUSH(entry->xattrs, entry->n_xattrs, x);
                if (!hex_to_bytes(hex, x.value, x.n))
                        return false;
        }
        return true;
}

static bool sum_from_json(const json_t *object, FileEntry *entry) {
        if (entry->type != FILE_REGULAR)
                return true;
        const char *sum = js_str(object, "sha256"), *sparse = js_str(object, "sparse_sha256");
        entry->sparse = sparse != NULL;
        sum = sparse ? sparse : sum;
        return sum && hex_to_bytes(sum, entry->sha256, sizeof(entry->sha256));
}

static bool details_from_json(const json_t *object, FileEntry *entry) {
        const char *type = js_str(object, "type"), *mode = js_str(object, "mode");
        if (!type || !type[0] || type[1] || !strchr("fdlhpsq", type[0]) || !mode)
                return false;
        entry->type = (FileType)type[0];
        entry->mode = (mode_t)strtoul(mode, NULL, 8) & 07777;
        entry->size = (uint64_t)js_int(object, "size", 0);
        entry->uid = (uid_t)js_int(object, "uid", 0);
        entry->gid = (gid_t)js_int(object, "gid", 0);
        entry->mtime_ns = js_int(object, "mtime_ns", 0);
        entry->ctime_ns = js_int(object, "ctime_ns", 0);
        entry->inode = (uint64_t)js_int(object, "inode", 0);
        entry->doubtful = js_bool(object, "doubtful", false);
        entry->delta = js_bool(object, "delta", false);
        entry->earlier = (unsigned)js_int(object, "earlier", 0);
        entry->link = get_name(object, "link");
        bool linked = entry->type == FILE_SYMLINK || entry->type == FILE_HARDLINK;
        return linked == (entry->link != NULL) && sum_from_json(object, entry) &&
               xattrs_from_json(js_get(object, "xattrs"), entry);
}

bool file_from_line(const char *line, size_t bytes, char **ret_content, FileEntry *ret, Err *err) {
        scoped(js_freep) json_t *object = js_parse(line, bytes, "FILES.jsonl", err);
        scoped(file_entry_done) FileEntry entry = {0};
        if (!object)
                return false;
        const char *content = js_str(object, "content");
        entry.path = get_name(object, "path");
        entry.gone = js_bool(object, "gone", false);
        bool ok = content && entry.path &&
                  (strcmp(entry.path, ".") == 0 || file_path_ok(entry.path)) &&
                  (entry.gone || details_from_json(object, &entry)) &&
                  (entry.type != FILE_HARDLINK || file_path_ok(entry.link));
        if (!ok)
                return err_fail(err, ERR_CORRUPT,
                        "the list of files has a line that is not one of Belay's");
        *ret_content = str_copy(content);
        *ret = entry;
        entry = (FileEntry){0};
        return true;
}
