#include "source/git/change_list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/file.h"
#include "platform/sha256.h"

enum { LIST_MAX = 256 * 1024 * 1024, READ_SIZE = 256 * 1024, LIST_FIELDS = 5 };

void change_list_done(ChangeList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].path);
                free(list->items[i].quoted);
        }
        free(list->items);
        json_decref(list->facts);
        *list = (ChangeList){0};
}

static bool is_allowed(const Repo *repo, const char *path) {
        scoped(free_str) char *full = path_join(repo->work, path);
        char *const *allowed = repo->context->allowed;
        for (size_t i = 0; allowed && allowed[i]; i++) {
                scoped(free_str) char *dir = path_dirname(allowed[i]);
                scoped(free_str) char *real = file_real(dir);
                scoped(free_str) char *there =
                        path_join(real ? real : dir, path_basename(allowed[i]));
                if (str_equal(full, there) || str_equal(full, allowed[i]))
                        return true;
        }
        return false;
}

/* ":100644 100644 <object> <object> M\t<path>" */
static bool diff_line(const Repo *repo, const char *line, ChangeList *list, Err *err) {
        const char *tab = strchr(line, '\t');
        char *end = NULL;
        if (*line != ':' || !tab)
                return true;
        PlacePath item = {.old_mode = (unsigned)strtoul(line + 1, &end, 8)};
        item.new_mode = (unsigned)strtoul(end, NULL, 8);
        item.path = repo_path_unquote(tab + 1);
        if (!item.path)
                return err_fail(err, ERR_TOOL, "git names a path that cannot be read: %s", tab + 1);
        if (is_allowed(repo, item.path)) {
                free(item.path);
                return true;
        }
        item.quoted = str_copy(tab + 1);
        PUSH(list->items, list->n, item);
        return true;
}

bool change_list_diff(
        const Repo *repo, const char *from, const char *to, ChangeList *ret, Err *err) {
        const char *args[] = {"diff-tree", "-r", "--raw", "--no-renames", "--full-index",
                "--ignore-submodules=none", from, to, "--", NULL};
        RepoCall call = {.args = args, .what = "comparing the two versions"};
        scoped(child_result_done) ChildResult result = {0};
        scoped(change_list_done) ChangeList list = {0};
        if (!repo_call(repo, &call, &result, err))
                return false;
        for (char *line = result.out, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (!diff_line(repo, line, &list, err))
                        return false;
        }
        *ret = list;
        list = (ChangeList){0};
        return true;
}

bool change_list_has(const ChangeList *list, const char *path) {
        for (size_t i = 0; i < list->n; i++)
                if (str_equal(list->items[i].path, path))
                        return true;
        return false;
}

/* ---- as text ---- */

char *change_list_path(const SourceContext *context) {
        scoped(free_str) char *name =
                str_format("place-%s.txt", context->mark ? context->mark : "0");
        return state_service_file(context->state, context->service->name, name);
}

static const char *hash_or_dash(const char *hash) { return *hash ? hash : "-"; }

bool change_list_save(
        const SourceContext *context, const ChangeList *list, char ret_hash[65], Err *err) {
        scoped(str_done) Str s = {0};
        scoped(free_str) char *head = js_line(list->facts);
        scoped(free_str) char *path = change_list_path(context);
        scoped(free_str) char *dir = path_dirname(path);
        str_addf(&s, "%s\n", head);
        for (size_t i = 0; i < list->n; i++) {
                const PlacePath *p = &list->items[i];
                str_addf(&s, "%o %s %s %o %s %s\n", p->old_mode, hash_or_dash(p->old_hash),
                        hash_or_dash(p->live_hash), p->new_mode, hash_or_dash(p->new_hash),
                        p->quoted);
        }
        sha256_hex(s.text, s.len, ret_hash);
        return dir_make(dir, err) && file_write_durable(path, s.text, s.len, 0600, err);
}

static void hash_read(char to[65], const char *text) {
        if (strlen(text) == 64)
                memcpy(to, text, 65);
}

static bool list_line(char *line, ChangeList *list) {
        char *fields[LIST_FIELDS];
        for (size_t i = 0; i < LIST_FIELDS; i++) {
                fields[i] = line;
                line = strchr(line, ' ');
                if (!line)
                        return false;
                *line++ = '\0';
        }
        PlacePath item = {.old_mode = (unsigned)strtoul(fields[0], NULL, 8),
                .new_mode = (unsigned)strtoul(fields[3], NULL, 8)};
        hash_read(item.old_hash, fields[1]);
        hash_read(item.live_hash, fields[2]);
        hash_read(item.new_hash, fields[4]);
        item.path = repo_path_unquote(line);
        if (!item.path)
                return false;
        item.quoted = str_copy(line);
        PUSH(list->items, list->n, item);
        return true;
}

bool change_list_load(const SourceContext *context, const char *hash, ChangeList *ret, Err *err) {
        scoped(free_str) char *path = change_list_path(context);
        scoped(free_str) char *text = NULL;
        scoped(change_list_done) ChangeList list = {0};
        size_t bytes = 0;
        char is[65] = "";
        if (!file_read_if(path, LIST_MAX, &text, &bytes, err))
                return false;
        sha256_hex(text ? text : "", bytes, is);
        if (hash && (!text || !str_equal(is, hash)))
                return err_fail(err, ERR_CORRUPT,
                        "'%s' is not what was saved there before the files were placed", path);
        char *line = text ? strchr(text, '\n') : NULL;
        if (!line) {
                *ret = (ChangeList){0};
                return true;
        }
        list.facts = js_parse(text, (size_t)(line - text), path, err);
        if (!list.facts)
                return false;
        for (char *next = line + 1; next && *next;) {
                line = next;
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (!list_line(line, &list))
                        return err_fail(
                                err, ERR_CORRUPT, "'%s' has a line that cannot be read", path);
        }
        js_set_str(list.facts, "list_sha256", is);
        *ret = list;
        list = (ChangeList){0};
        return true;
}

/* ---- what lies there ---- */

/* openat2(2), since Linux 5.6: no link on the way, and nothing above the root. */
static int open_below(int root, const char *path, int flags) {
        struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

int live_parent(const char *root, const char *path) {
        scoped(close_fd) int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        scoped(free_str) char *dir = path_dirname(path);
        return top < 0 ? -1 : open_below(top, dir, O_RDONLY | O_DIRECTORY);
}

static bool hash_link(int parent, const char *name, LiveFile *file) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(parent, name, target, sizeof(target));
        if (n < 0)
                return false;
        sha256_hex(target, (size_t)n, file->hash);
        return true;
}

static bool hash_file(int parent, const char *name, LiveFile *file) {
        scoped(close_fd) int fd =
                openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return false;
        scoped(sha256_freep) Sha256 *hash = sha256_new();
        scoped(free_str) char *buffer = mem_new(1, READ_SIZE);
        ssize_t n;
        while ((n = read(fd, buffer, READ_SIZE)) > 0)
                sha256_add(hash, buffer, (size_t)n);
        if (n < 0)
                return false;
        sha256_end(hash, file->hash);
        return true;
}

static bool nothing_there(int errnum) {
        return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
}

bool live_look(const char *root, const char *path, LiveFile *ret, Err *err) {
        *ret = (LiveFile){0};
        const char *name = path_basename(path);
        struct stat st = {0};
        scoped(close_fd) int parent = live_parent(root, path);
        if (parent < 0 && nothing_there(errno))
                return true;
        if (parent < 0)
                return err_fail_errno(
                        err, ERR_IO, errno, "opening the directory of '%s/%s'", root, path);
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
                return errno == ENOENT ||
                       err_fail_errno(err, ERR_IO, errno, "looking at '%s/%s'", root, path);
        ret->mode = st.st_mode & S_IFMT;
        ret->rights = st.st_mode & 0777;
        bool ok = true;
        if (S_ISLNK(st.st_mode)) {
                ret->mode = MODE_LINK;
                ok = hash_link(parent, name, ret);
        } else if (S_ISREG(st.st_mode)) {
                ret->mode = st.st_mode & 0100 ? MODE_PROGRAM : MODE_FILE;
                ok = hash_file(parent, name, ret);
        }
        return ok || err_fail_errno(err, ERR_IO, errno, "reading '%s/%s'", root, path);
}
