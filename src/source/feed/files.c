/* The driver that reads the tree of a version: a changelog, a feed, or a directory with a file for each release. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/version.h"
#include "source/feed/driver.h"

enum { FILES_MAX = 200 };

static const char *files_where(const Service *service) { return service->releases.files; }

static bool read_file(FeedAsk *ask, const char *path, char **ret, size_t *ret_bytes, Err *err) {
        const ReleasesContext *context = ask->context;
        size_t bytes = 0;
        scoped(free_str) char *text = NULL;
        if (!context->source->tree_file(
                    context->source_at, context->tree, path, &text, &bytes, err))
                return false;
        if (bytes > LIMIT_RELEASES_BODY - ask->bytes)
                return err_fail(err, ERR_CORRUPT, "the release notes of %s are larger than %d MB",
                        context->tree->tag, LIMIT_RELEASES_BODY >> 20);
        ask->bytes += bytes;
        *ret = TAKE(text);
        *ret_bytes = bytes;
        return true;
}

static bool add_file(FeedAsk *ask, const char *path, ReleaseData *ret, Err *err) {
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!read_file(ask, path, &text, &bytes, err))
                return false;
        if (str_ends(path, ".json"))
                return release_data_add_feed(ret, text, bytes, path, err);
        release_data_add_changelog(ret, text);
        if (!ret->n)
                release_data_warn(ret, "'%s' of %s has no heading with a version", path,
                        ask->context->tree->tag);
        return true;
}

/* -- a directory: 1.2.0.md, v1.2.0.md; and releases.json, a feed, if it is there -- */

typedef struct NoteFile {
        char *path, *version;
} NoteFile;

static int newest_first(const void *a, const void *b) {
        bool ordered = false;
        const NoteFile *left = a, *right = b;
        return version_text_compare(right->version, left->version, &ordered);
}

static char *version_of_file(const char *name) {
        scoped(version_done) Version version = {0};
        if (!str_ends(name, ".md"))
                return NULL;
        scoped(free_str) char *stem = str_copy_n(name, strlen(name) - strlen(".md"));
        return version_parse(stem, &version) ? str_copy(version_bare(stem)) : NULL;
}

static NoteFile *note_files(char *const *paths, const char *directory, size_t *ret_n) {
        NoteFile *files = NULL;
        size_t n = 0, prefix = strlen(directory);
        for (; paths && *paths; paths++) {
                if (!str_starts(*paths, directory) || (*paths)[prefix] != '/')
                        continue;
                char *version = version_of_file(*paths + prefix + 1);
                if (!version)
                        continue;
                const NoteFile file = {str_copy(*paths), version};
                PUSH(files, n, file);
        }
        if (n > 1)
                qsort(files, n, sizeof(NoteFile), newest_first);
        *ret_n = n;
        return files;
}

static bool add_note_file(FeedAsk *ask, const NoteFile *file, ReleaseData *ret, Err *err) {
        scoped(free_str) char *text = NULL;
        size_t bytes = 0;
        if (!read_file(ask, file->path, &text, &bytes, err))
                return false;
        release_data_add_notes(ret, file->version, text);
        return true;
}

static bool add_directory(
        FeedAsk *ask, char *const *paths, const char *directory, ReleaseData *ret, Err *err) {
        scoped(free_str) char *feed = str_format("%s/releases.json", directory);
        bool has_feed = strv_contains(paths, feed), whole = true;
        size_t n = 0;
        NoteFile *files = note_files(paths, directory, &n);
        for (size_t i = 0; whole && i < n && i < FILES_MAX; i++)
                whole = add_note_file(ask, &files[i], ret, err);
        if (n > FILES_MAX)
                release_data_warn(ret, "'%s' has more than %d releases: the oldest are left out",
                        directory, FILES_MAX);
        if (!n && !has_feed)
                release_data_warn(ret,
                        "'%s' of %s has no release notes: neither files like "
                        "1.2.0.md nor releases.json",
                        directory, ask->context->tree->tag);
        for (size_t i = 0; i < n; i++) {
                free(files[i].path);
                free(files[i].version);
        }
        free(files);
        return whole && (!has_feed || add_file(ask, feed, ret, err));
}

/* What a commit holds does not change: its name is the mark. */
static bool files_load(FeedAsk *ask, ReleaseData *ret, Err *err) {
        const ReleasesContext *context = ask->context;
        scoped(strv_freep) Strv paths = NULL;
        if (!context->tree || !context->source)
                return (ask->unchanged = true);
        if (str_equal(ask->mark, context->tree->reference))
                return (ask->unchanged = true);
        if (!context->source->tree(context->source_at, context->tree, &paths, err))
                return false;
        scoped(free_str) char *where = str_copy(context->service->releases.files);
        for (size_t n = strlen(where); n && where[n - 1] == '/'; n--)
                where[n - 1] = '\0';
        str_replace_owned(&ask->new_mark, str_copy(context->tree->reference));
        return strv_contains(paths, where) ? add_file(ask, where, ret, err)
                                           : add_directory(ask, paths, where, ret, err);
}

const FeedDriver files_driver = {.name = "files", .where = files_where, .load = files_load};
