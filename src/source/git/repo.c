#include "source/git/repo.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "platform/file.h"

enum {
        REF_FILE_MAX = 4096,
        PACKED_REFS_MAX = 64 * 1024 * 1024,
        REF_DEPTH_MAX = 16,
        SYMREF_DEPTH_MAX = 5
};

void repo_done(Repo *repo) {
        free(repo->root);
        free(repo->work);
        free(repo->dir);
        free(repo->common);
        *repo = (Repo){0};
}

void repo_head_done(RepoHead *head) {
        free(head->branch);
        free(head->commit);
        *head = (RepoHead){0};
}

void repo_refs_done(RepoRefs *refs) {
        for (size_t i = 0; i < refs->n; i++) {
                free(refs->items[i].name);
                free(refs->items[i].object);
                free(refs->items[i].commit);
        }
        free(refs->items);
        *refs = (RepoRefs){0};
}

bool repo_is_object_name(const char *text) {
        size_t n = text ? strspn(text, "0123456789abcdef") : 0;
        return (n == 40 || n == 64) && text[n] == '\0';
}

void repo_become(const Repo *repo) {
        if (!repo->as_user)
                return;
        setfsgid(repo->gid);
        setfsuid(repo->uid);
}

void repo_resign(const Repo *repo) {
        if (!repo->as_user)
                return;
        setfsuid(geteuid());
        setfsgid(getegid());
}

/* ---- where it is ---- */

static bool has(const char *dir, const char *name) {
        scoped(free_str) char *path = path_join(dir, name);
        return file_exists(path);
}

static bool not_a_checkout(const char *work, Err *err) {
        bool bare = has(work, "HEAD") && has(work, "objects") && has(work, "refs");
        if (bare) {
                err_fail(err, ERR_REFUSED,
                        "'%s' is a bare repository: it has no files that could run", work);
                return err_hint(
                        err, "Clone it, and give the clone's directory as source.git.directory.");
        }
        err_fail(err, ERR_REFUSED, "'%s' is not a git checkout: it has no .git", work);
        return err_hint(err, "source.git.directory is the top directory of a clone.");
}

/* A trimmed small file, or NULL when it is not there. */
static bool small_file(const char *dir, const char *name, char **ret, Err *err) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, REF_FILE_MAX, &text, NULL, err))
                return false;
        if (text)
                memmove(text, str_trim(text), strlen(str_trim(text)) + 1);
        *ret = TAKE(text);
        return true;
}

static bool find_dirs(Repo *repo, Err *err) {
        scoped(free_str) char *dot = path_join(repo->work, ".git");
        scoped(free_str) char *link = NULL;
        scoped(free_str) char *common = NULL;
        struct stat st = {0};
        bool there = false;
        if (!file_stat(dot, &st, &there, err))
                return false;
        if (!there)
                return not_a_checkout(repo->work, err);
        if (S_ISDIR(st.st_mode)) {
                repo->dir = file_real(dot);
        } else {
                if (!small_file(repo->work, ".git", &link, err))
                        return false;
                if (!link || !str_starts(link, "gitdir: "))
                        return err_fail(err, ERR_REFUSED, "'%s' names no repository", dot);
                scoped(free_str) char *target = path_join(repo->work, link + strlen("gitdir: "));
                repo->dir = file_real(target);
        }
        if (!repo->dir || !has(repo->dir, "HEAD")) {
                err_fail(err, ERR_REFUSED, "'%s' is not a git repository any more: it has no HEAD",
                        dot);
                return link ? err_hint(err,
                                      "It leads to where the repository was: when its directory "
                                      "was moved, run git worktree repair '%s' there.",
                                      repo->work)
                            : false;
        }
        if (!small_file(repo->dir, "commondir", &common, err))
                return false;
        scoped(free_str) char *path = path_join(repo->dir, common ? common : ".");
        repo->common = common ? file_real(path) : str_copy(repo->dir);
        return repo->common || err_fail(err, ERR_REFUSED,
                                       "'%s' is a worktree whose repository is gone", repo->work);
}

static bool owned_by(const char *path, uid_t uid, Err *err) {
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, err))
                return false;
        if (!there || st.st_uid == uid)
                return true;
        err_fail(err, ERR_REFUSED,
                "'%s' belongs to user %u and not to user %u, so its settings are not to be trusted",
                path, st.st_uid, uid);
        return err_hint(err, "Give the whole checkout to one user: chown -R %u '%s'.", uid, path);
}

/* Whoever owns .git/config decides what programs git starts: it must be the one git runs as. */
static bool check_owner(Repo *repo, Err *err) {
        struct stat st = {0};
        bool there = false;
        if (!file_stat(repo->work, &st, &there, err))
                return false;
        repo->uid = st.st_uid;
        repo->gid = st.st_gid;
        repo->as_user = geteuid() == 0 && st.st_uid != 0;
        if (geteuid() != 0 && st.st_uid != geteuid()) {
                err_fail(err, ERR_REFUSED, "'%s' belongs to user %u, and Belay runs as user %u",
                        repo->work, st.st_uid, geteuid());
                return err_hint(err, "Run belay as the owner of the checkout, or as root.");
        }
        scoped(free_str) char *config = path_join(repo->common, "config");
        return owned_by(repo->dir, repo->uid, err) && owned_by(repo->common, repo->uid, err) &&
               owned_by(config, repo->uid, err);
}

/* With releases: the one that `current` leads to. Before the first, the plain checkout that is there. */
static bool find_work(Repo *repo, Err *err) {
        scoped(free_str) char *current = path_join(repo->root, "current");
        struct stat st = {0};
        bool there = false;
        if (repo->context->service->git.layout != LAYOUT_RELEASES) {
                repo->work = str_copy(repo->root);
                return true;
        }
        if (!file_stat(current, &st, &there, err))
                return false;
        if (there && !S_ISLNK(st.st_mode)) {
                err_fail(err, ERR_REFUSED, "'%s' is no link to a release", current);
                return err_hint(err, "Belay makes that link itself: move what is there away.");
        }
        if (!there) {
                repo->work = str_copy(repo->root);
                return true;
        }
        scoped(free_str) char *real = file_real(current);
        scoped(free_str) char *dot = real ? path_join(real, ".git") : NULL;
        if (!dot || !file_exists(dot)) {
                err_fail(err, ERR_REFUSED, "'%s' does not lead to a release that git knows",
                        current);
                return err_hint(err, "Point it at a directory below releases/, or remove it.");
        }
        repo->work = TAKE(real);
        return true;
}

bool repo_open(const SourceContext *context, Repo *ret, Err *err) {
        scoped(repo_done) Repo repo = {.context = context};
        const char *directory = context->service->git.directory;
        repo.root = file_real(directory);
        if (repo.root && file_exists(repo.root) && !find_work(&repo, err))
                return false;
        if (!repo.work || !file_exists(repo.work)) {
                err_fail(err, ERR_REFUSED, "the checkout '%s' is not there", directory);
                return err_hint(err, "Clone the repository to that place first.");
        }
        if (!find_dirs(&repo, err) || !check_owner(&repo, err))
                return false;
        *ret = repo;
        repo = (Repo){0};
        return true;
}

/* ---- references ---- */

/* "<object> <name>\n" and, of an annotated tag, "^<commit>\n" after it. */
typedef void PackedSeen(void *context, char *object, char *name, char *peeled);

static bool packed_refs(const Repo *repo, PackedSeen *seen, void *context, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, "packed-refs");
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, PACKED_REFS_MAX, &text, NULL, err))
                return false;
        for (char *line = text, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                char *space = strchr(line, ' ');
                if (*line == '#' || *line == '^' || !space)
                        continue;
                *space = '\0';
                char *peeled = NULL, *after = next && *next == '^' ? strchr(next, '\n') : NULL;
                if (next && *next == '^') {
                        peeled = next + 1;
                        if (after)
                                *after++ = '\0';
                        next = after;
                }
                seen(context, line, space + 1, peeled);
        }
        return true;
}

typedef struct Wanted {
        const char *name;
        char *object;
} Wanted;

static void wanted_seen(void *context, char *object, char *name, char *peeled) {
        (void)peeled;
        Wanted *wanted = context;
        if (!wanted->object && str_equal(name, wanted->name) && repo_is_object_name(object))
                wanted->object = str_copy(object);
}

static bool ref_follow(const Repo *repo, const char *name, unsigned depth, char **ret, Err *err) {
        scoped(free_str) char *text = NULL;
        if (depth > SYMREF_DEPTH_MAX)
                return err_fail(err, ERR_REFUSED, "reference '%s' leads round in a circle", name);
        scoped(free_str) char *path = path_join(repo->common, name);
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, NULL))
                there = false;
        if (there && S_ISREG(st.st_mode) && !small_file(repo->common, name, &text, err))
                return false;
        if (text && str_starts(text, "ref: "))
                return ref_follow(repo, text + 5, depth + 1, ret, err);
        if (text && repo_is_object_name(text)) {
                *ret = TAKE(text);
                return true;
        }
        Wanted wanted = {.name = name};
        if (!packed_refs(repo, wanted_seen, &wanted, err))
                return false;
        *ret = wanted.object;
        return true;
}

bool repo_ref(const Repo *repo, const char *name, char **ret, Err *err) {
        return ref_follow(repo, name, 0, ret, err);
}

bool repo_head(const Repo *repo, RepoHead *ret, Err *err) {
        scoped(repo_head_done) RepoHead head = {0};
        scoped(free_str) char *text = NULL;
        if (!small_file(repo->dir, "HEAD", &text, err))
                return false;
        if (text && str_starts(text, "ref: refs/")) {
                head.branch = str_copy(text + 5);
                if (!repo_ref(repo, head.branch, &head.commit, err))
                        return false;
        } else if (text && repo_is_object_name(text)) {
                head.commit = TAKE(text);
        } else {
                err_fail(err, ERR_REFUSED, "the HEAD of '%s' cannot be read", repo->work);
                return err_hint(err, "Look at it with: git -C '%s' status.", repo->work);
        }
        *ret = head;
        head = (RepoHead){0};
        return true;
}

static void packed_tag_seen(void *context, char *object, char *name, char *peeled) {
        RepoRefs *refs = context;
        bool wanted = str_starts(name, "refs/tags/") || str_starts(name, "refs/belay/");
        if (!wanted || !repo_is_object_name(object) || (peeled && !repo_is_object_name(peeled)))
                return;
        RepoRef ref = {str_copy(name), str_copy(object), str_copy(peeled ? peeled : object)};
        PUSH(refs->items, refs->n, ref);
}

static bool loose_tags(
        const Repo *repo, const char *name, unsigned depth, RepoRefs *refs, Err *err) {
        scoped(free_str) char *path = path_join(repo->common, name);
        DIR *dir = opendir(path);
        if (!dir && (errno == ENOENT || errno == ENOTDIR))
                return true;
        if (!dir)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        bool ok = true;
        for (struct dirent *entry; ok && (entry = readdir(dir)) != NULL;) {
                scoped(free_str) char *child = path_join(name, entry->d_name);
                scoped(free_str) char *text = NULL;
                if (entry->d_name[0] == '.' || str_ends(entry->d_name, ".lock"))
                        continue;
                if (entry->d_type == DT_DIR) {
                        ok = depth >= REF_DEPTH_MAX ||
                             loose_tags(repo, child, depth + 1, refs, err);
                        continue;
                }
                ok = small_file(repo->common, child, &text, err);
                if (!ok || !repo_is_object_name(text))
                        continue;
                RepoRef ref = {TAKE(child), TAKE(text), NULL};
                PUSH(refs->items, refs->n, ref);
        }
        closedir(dir);
        return ok;
}

bool repo_tags(const Repo *repo, RepoRefs *ret, Err *err) {
        scoped(repo_refs_done) RepoRefs refs = {0};
        if (!loose_tags(repo, "refs/tags", 0, &refs, err) ||
                !loose_tags(repo, "refs/belay", 0, &refs, err) ||
                !packed_refs(repo, packed_tag_seen, &refs, err))
                return err_context(err, "reading the tags of '%s'", repo->work);
        *ret = refs;
        refs = (RepoRefs){0};
        return true;
}

/* ---- paths ---- */

static const struct {
        char letter, meaning;
} path_escapes[] = {{'a', '\a'}, {'b', '\b'}, {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'},
        {'v', '\v'}, {'"', '"'}, {'\\', '\\'}};

/* One escape behind a backslash; returns how many bytes it took, 0 when it is none. */
static size_t path_escape(const char *at, char *ret) {
        for (size_t i = 0; i < COUNT_OF(path_escapes); i++) {
                if (path_escapes[i].letter == *at) {
                        *ret = path_escapes[i].meaning;
                        return 1;
                }
        }
        unsigned value = 0;
        for (size_t i = 0; i < 3; i++) {
                if (at[i] < '0' || at[i] > '7')
                        return 0;
                value = value * 8 + (unsigned)(at[i] - '0');
        }
        *ret = (char)value;
        return value > 0 && value < 256 ? 3 : 0;
}

char *repo_path_unquote(const char *text) {
        if (*text != '"')
                return str_copy(text);
        scoped(str_done) Str s = {0};
        for (text++; *text && *text != '"'; text++) {
                char c = *text;
                if (c == '\\') {
                        size_t taken = path_escape(text + 1, &c);
                        if (taken == 0)
                                return NULL;
                        text += taken;
                }
                str_add_char(&s, c);
        }
        return text[0] == '"' && text[1] == '\0' ? str_take(&s) : NULL;
}
