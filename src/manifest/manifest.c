#include "manifest/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "manifest/schema.h"
#include "manifest/settle.h"
#include "manifest/value.h"
#include "manifest/yaml_tree.h"
#include "platform/file.h"
#include "platform/zone_file.h"

static const char FILE_NAME[] = "belay.yaml";

typedef struct Source {
        const char *shown; /* the path for messages */
        const char *path;  /* absolute */
        const char *text;
        size_t bytes;
        bool look; /* ask the disk what only it knows */
} Source;

/* ---- what the disk knows ---- */

/* A content may be a link to a place that is never backed up; the list alone does not show it. */
static bool links_check(Reader *r, const Node *root) {
        const Node *list = node_get(node_get(root, "backup"), "contents");
        const BackupSpec *backup = &r->service->backup;
        bool good = true;
        for (size_t i = 0; list && i < backup->n_contents; i++) {
                scoped(free_str) char *real = realpath(backup->contents[i].path, NULL);
                const char *problem = real ? content_problem(real) : NULL;
                if (problem)
                        good = finding_add(r->findings,
                                &(Finding){.at = list->items[i]->items[0]->at},
                                "'%s' leads to '%s', which %s", backup->contents[i].path, real,
                                problem);
                for (char **store = backup->local_stores; real && !problem && store && *store;
                        store++) {
                        scoped(free_str) char *real_store = realpath(*store, NULL);
                        if (real_store && path_holds(real, real_store))
                                good = finding_add(r->findings,
                                        &(Finding){.at = list->items[i]->items[0]->at},
                                        "'%s' holds the store '%s'", backup->contents[i].path,
                                        *store);
                }
        }
        return good;
}

/* A machine without any time zones says so when an update wants to know the time, not here. */
static bool zone_check(Reader *r, const Node *list, size_t i, const char *name) {
        scoped(zone_done) Zone zone = {0};
        scoped(err_clear) Err why = {0};
        const Node *node = node_get(list->items[i], "zone");
        bool wrong = !zone_load(name, &zone, &why) &&
                     (why.code == ERR_UNKNOWN || why.code == ERR_CORRUPT);
        return !wrong || !node ||
               finding_add(r->findings, &(Finding){.at = node->at, .hint = why.hint}, "%s",
                       why.message);
}

static bool zones_check(Reader *r, const Node *root) {
        const Node *windows = node_get(root, "windows"), *freezes = node_get(root, "freeze");
        const Service *service = r->service;
        bool good = true;
        for (size_t i = 0; windows && i < service->n_windows; i++)
                good = zone_check(r, windows, i, service->windows[i].zone) && good;
        for (size_t i = 0; freezes && i < service->n_freezes; i++)
                good = zone_check(r, freezes, i, service->freezes[i].zone) && good;
        return good;
}

/* ---- text to service ---- */

/* Before anything else: a newer format has keys that nobody here can judge. */
static bool version_check(Findings *findings, const Node *root) {
        if (node_is_null(root))
                return finding_add(findings,
                        &(Finding){.hint = "The least is: version, service, runtime, source."},
                        "the manifest is empty");
        const Node *version = node_get(root, "version");
        uint64_t number = 0;
        if (!version || (version->plain && strcmp(version->text, "1") == 0))
                return true;
        const Finding here = {.at = version->at, .expected = "expected 1 (without quotes)"};
        if (version->kind == NODE_SCALAR && version->plain &&
                str_to_uint(version->text, UINT64_MAX, &number) && number > 1)
                return finding_add(findings, &here,
                        "version %s: this manifest is written for a newer Belay", version->text);
        return finding_add(findings, &here, "\"version\" is no number that this Belay knows");
}

static bool service_read(Reader *r, const Node *root, bool look) {
        bool good = map_read(r, &manifest_table, root, r->service);
        good = good && r->findings->n == 0 && service_settle(r, root);
        return good && (!look || (links_check(r, root) && zones_check(r, root)));
}

static bool parse(const Source *source, Service **ret, Err *err) {
        scoped(findings_done) Findings findings = {
                .path = source->shown, .text = source->text, .bytes = source->bytes};
        scoped(node_freep) Node *root = NULL;
        if (!yaml_tree_parse(&findings, &root) || !version_check(&findings, root))
                return findings_fail(&findings, err);
        scoped(service_freep) Service *service = NEW(Service);
        service->manifest_path = str_copy(source->path);
        service->manifest_text = str_copy_n(source->text, source->bytes);
        service->manifest_bytes = source->bytes;
        scoped(free_str) char *base = path_dirname(source->path);
        Reader r = {.findings = &findings,
                .service = service,
                .base = base,
                .file = path_basename(source->shown)};
        bool good = service_read(&r, root, source->look);
        str_done(&r.path);
        if (!good)
                return findings_fail(&findings, err);
        *ret = TAKE(service);
        return true;
}

bool manifest_parse(const char *path, const char *text, size_t bytes, Service **ret, Err *err) {
        scoped(free_str) char *absolute = path_settle("/", path);
        return parse(
                &(Source){.shown = path, .path = absolute, .text = text, .bytes = bytes}, ret, err);
}

/* ---- the file ---- */

static const char *kind_of(mode_t mode) {
        if (S_ISDIR(mode))
                return "a directory";
        if (S_ISFIFO(mode))
                return "a FIFO";
        return S_ISCHR(mode) || S_ISBLK(mode) ? "a device" : "no regular file";
}

static bool file_check(const char *path, const struct stat *st, Err *err) {
        if (!S_ISREG(st->st_mode)) {
                err_fail(err, ERR_MANIFEST, "%s: this is %s, not a manifest", path,
                        kind_of(st->st_mode));
                return err_hint(err, "Name the manifest itself: %s%s.",
                        S_ISDIR(st->st_mode) ? "its " : "a file such as ", FILE_NAME);
        }
        if (st->st_mode & S_IWOTH) {
                err_fail(err, ERR_MANIFEST,
                        "%s: everybody may write this file, and its commands would be run", path);
                return err_hint(err, "Look through it, then type: chmod o-w '%s'", path);
        }
        if (st->st_size > LIMIT_MANIFEST_BYTES)
                return err_fail(err, ERR_MANIFEST, "%s: the file is larger than %d KiB", path,
                        LIMIT_MANIFEST_BYTES / 1024);
        return true;
}

static bool open_failed(const char *path, int errnum, Err *err) {
        if (errnum == ENOENT || errnum == ENOTDIR) {
                err_fail(err, ERR_UNKNOWN, "there is no manifest '%s'", path);
                return err_hint(err, "`belay list` shows the services that are known.");
        }
        if (errnum == ELOOP)
                return err_fail(err, ERR_MANIFEST, "%s: its symbolic links lead in a circle", path);
        if (errnum == ENXIO)
                return err_fail(
                        err, ERR_MANIFEST, "%s: this is a socket or a FIFO, not a manifest", path);
        return err_fail_errno(err, ERR_IO, errnum, "opening '%s'", path);
}

/* One open, one look, one read: what is checked is what is parsed. Growing meanwhile is seen by the limit. */
static bool manifest_read(const char *path, Str *ret, Err *err) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        if (fd < 0)
                return open_failed(path, errno, err);
        if (fstat(fd, &st) < 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", path);
        if (!file_check(path, &st, err))
                return false;
        char buffer[16384];
        while (ret->len <= LIMIT_MANIFEST_BYTES) {
                ssize_t got = read(fd, buffer, sizeof(buffer));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return err_fail_errno(err, ERR_IO, errno, "reading '%s'", path);
                if (got == 0)
                        return true;
                str_add_n(ret, buffer, (size_t)got);
        }
        return err_fail(err, ERR_MANIFEST, "%s: the file is larger than %d KiB", path,
                LIMIT_MANIFEST_BYTES / 1024);
}

bool manifest_load(const char *path, Service **ret, Err *err) {
        scoped(str_done) Str text = {0};
        if (!file_name_check(path, ERR_MANIFEST, err) || !manifest_read(path, &text, err))
                return false;
        scoped(free_str) char *real = realpath(path, NULL);
        if (!real)
                return open_failed(path, errno, err);
        if (!file_name_check(real, ERR_MANIFEST, err))
                return false;
        const Source source = {
                .shown = path,
                .path = real,
                .text = text.text ? text.text : "",
                .bytes = text.len,
                .look = true,
        };
        return parse(&source, ret, err);
}

/* ---- finding one ---- */

/* Whoever may write above a directory must not be able to slip a manifest under the feet of who works in
 * it: above, only what is root's, one's own, or of the owner of the starting directory counts. */
static bool owner_check(const char *path, const struct stat *st, uid_t owner, Err *err) {
        if (st->st_uid == 0 || st->st_uid == geteuid() || st->st_uid == owner)
                return true;
        err_fail(err, ERR_REFUSED, "'%s' belongs to another user (%u)", path, (unsigned)st->st_uid);
        return err_hint(err, "If it is the right one, name it: -f '%s'.", path);
}

bool manifest_find(const char *directory, char **ret_path, Err *err) {
        scoped(free_str) char *place = realpath(directory, NULL);
        struct stat start, st;
        if (!place || stat(place, &start) < 0)
                return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", directory);
        for (;;) {
                scoped(free_str) char *path = path_join(place, FILE_NAME);
                if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
                        if (!owner_check(path, &st, start.st_uid, err))
                                return false;
                        *ret_path = TAKE(path);
                        return true;
                }
                if (strcmp(place, "/") == 0)
                        break;
                str_replace_owned(&place, path_dirname(place));
        }
        err_fail(err, ERR_UNKNOWN, "there is no %s in '%s' or above it", FILE_NAME, directory);
        return err_hint(err, "Name a manifest with -f FILE, or a service that `belay list` shows.");
}
