#include <string.h>

#include "backup/set.h"
#include "backup/zstream.h"
#include "base/own.h"
#include "platform/file.h"

enum { LINE_MAX_BYTES = 1024 * 1024, READ_BYTES = 64 * 1024 };

static bool write_list(ZWriter *w, const char *slug, const FileList *list, Err *err) {
        scoped(str_done) Str text = {0};
        for (size_t i = 0; i < list->n; i++) {
                file_line(&text, slug, &list->items[i]);
                if (text.len < LINE_MAX_BYTES && i + 1 < list->n)
                        continue;
                if (!zwriter_add(w, text.text, text.len, err))
                        return false;
                text.len = 0;
        }
        return true;
}

bool set_write_files(Set *set, const char *name, bool newer, Err *err) {
        scoped(free_str) char *path = set_path(set, name);
        scoped(zwriter_freep) ZWriter *w = NULL;
        StreamSum sum;
        if (!file_unlink(path, err) || !zwriter_open(path, true, &w, err))
                return false;
        for (size_t i = 0; i < set->n_items; i++) {
                const SetItem *item = &set->items[i];
                if (!write_list(w, item->slug, newer ? &item->newer : &item->list, err))
                        return false;
        }
        if (!zwriter_close(w, &sum, err))
                return false;
        Object object = {.name = str_copy(name),
                .kind = OBJECT_FILES,
                .bytes = sum.bytes,
                .plain_bytes = sum.plain_bytes};
        memcpy(object.sha256, sum.sha256, sizeof(object.sha256));
        set_put_object(set, &object);
        return true;
}

static bool take_line(Set *set, FileList *lists, const char *line, size_t n, Err *err) {
        scoped(free_str) char *content = NULL;
        FileEntry entry = {0};
        if (!file_from_line(line, n, &content, &entry, err))
                return false;
        SetItem *item = set_item(set, content);
        if (!item) {
                file_entry_done(&entry);
                return err_fail(err, ERR_CORRUPT,
                        "the list of files names a content that is not in the backup");
        }
        file_list_push(&lists[item - set->items], &entry);
        return true;
}

/* Cuts the stream into lines; `text` keeps the unfinished one. */
static bool take_lines(Set *set, FileList *lists, Str *text, Err *err) {
        char *start = text->text, *end;
        while (start && (end = memchr(start, '\n', (size_t)(text->text + text->len - start)))) {
                if (!take_line(set, lists, start, (size_t)(end - start), err))
                        return false;
                start = end + 1;
        }
        size_t rest = start ? (size_t)(text->text + text->len - start) : 0;
        if (rest > LINE_MAX_BYTES)
                return err_fail(err, ERR_CORRUPT, "the list of files has a line that is too long");
        if (start)
                memmove(text->text, start, rest);
        text->len = rest;
        return true;
}

static bool read_lists(Set *set, const Object *object, FileList *lists, Err *err) {
        scoped(free_str) char *path = set_path(set, object->name);
        scoped(free_str) char *buffer = mem_new(READ_BYTES, 1);
        scoped(str_done) Str text = {0};
        scoped(zreader_freep) ZReader *r = NULL;
        StreamSum sum;
        size_t got;
        if (!zreader_open(path, true, object->plain_bytes, &r, err))
                return false;
        do {
                if (!zreader_get(r, buffer, READ_BYTES, &got, err))
                        return false;
                str_add_n(&text, buffer, got);
                if (!take_lines(set, lists, &text, err))
                        return false;
        } while (got > 0);
        if (!zreader_end(r, &sum, err))
                return false;
        if (text.len == 0 && strcmp(sum.sha256, object->sha256) == 0)
                return true;
        return err_fail(err, ERR_CORRUPT, "'%s' is not what was written", path);
}

static bool sorted(const FileList *list) {
        for (size_t i = 1; i < list->n; i++)
                if (path_order(list->items[i - 1].path, list->items[i].path) >= 0)
                        return false;
        return true;
}

static void lists_done(FileList **lists, size_t n) {
        for (size_t i = 0; i < n; i++)
                file_list_done(&(*lists)[i]);
        free(*lists);
}

static bool lay_over(Set *set, FileList *lists, Err *err) {
        for (size_t i = 0; i < set->n_items; i++) {
                if (!sorted(&lists[i]))
                        return err_fail(err, ERR_CORRUPT,
                                "the list of files is not in order, or names a file twice");
                file_list_overlay(&set->items[i].list, &lists[i]);
        }
        return true;
}

bool set_load_files(Set *set, Err *err) {
        static const char *const names[] = {FILES_NAME, FILES_PASS1, FILES_PASS2};
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                const Object *object = set_object_named(set, names[i]);
                if (!object)
                        continue;
                FileList *lists = NEW_ARRAY(FileList, set->n_items + 1);
                bool ok = read_lists(set, object, lists, err) && lay_over(set, lists, err);
                lists_done(&lists, set->n_items);
                if (!ok)
                        return false;
        }
        return true;
}
