#include "source/git/place.h"

#include "source/git/artifacts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

/* Which way: what is to be there afterwards. */
typedef enum Direction { TO_NEW, TO_OLD } Direction;

typedef enum FileState { FILE_OLD, FILE_NEW, FILE_OTHER } FileState;

typedef struct Seen {
        size_t old, new, other;
        bool head_old, head_new;
        Strv foreign; /* paths that are neither */
        FileState *states;
} Seen;

static void seen_done(Seen *seen) {
        strv_free(seen->foreign);
        free(seen->states);
        *seen = (Seen){0};
}

/* ---- looking ---- */

static bool is_version(const LiveFile *file, unsigned mode, const char *hash, const char *also) {
        if (mode == 0)
                return file->mode == 0 || file->mode == S_IFDIR;
        return file->mode == mode &&
               (str_equal(file->hash, hash) || (also && *also && str_equal(file->hash, also)));
}

static FileState file_state(const PlacePath *p, const LiveFile *file) {
        if (is_version(file, p->new_mode, p->new_hash, NULL))
                return FILE_NEW;
        return is_version(file, p->old_mode, p->old_hash, p->live_hash) ? FILE_OLD : FILE_OTHER;
}

static bool look_at_head(const Repo *repo, const json_t *facts, Seen *seen, Err *err) {
        scoped(repo_head_done) RepoHead head = {0};
        const char *branch = js_str(facts, "head");
        bool moves = js_bool(facts, "branch_moves", false);
        if (!repo_head(repo, &head, err))
                return false;
        seen->head_old =
                str_equal(head.branch, branch) && str_equal(head.commit, js_str(facts, "from"));
        seen->head_new = str_equal(head.branch, moves ? branch : NULL) &&
                         str_equal(head.commit, js_str(facts, "to"));
        return true;
}

static bool look(const Repo *repo, const ChangeList *list, Seen *seen, Err *err) {
        seen->states = NEW_ARRAY(FileState, list->n + 1);
        for (size_t i = 0; i < list->n; i++) {
                LiveFile file = {0};
                if (!live_look(repo->work, list->items[i].path, &file, err))
                        return false;
                FileState state = file_state(&list->items[i], &file);
                seen->states[i] = state;
                seen->old += state == FILE_OLD;
                seen->new += state == FILE_NEW;
                seen->other += state == FILE_OTHER;
                if (state == FILE_OTHER)
                        strv_add(&seen->foreign, list->items[i].quoted);
        }
        return look_at_head(repo, list->facts, seen, err);
}

/* As the owner of the checkout. */
static bool look_as_owner(const Repo *repo, const ChangeList *list, Seen *seen, Err *err) {
        repo_become(repo);
        bool ok = look(repo, list, seen, err);
        repo_resign(repo);
        return ok;
}

static char *differs_text(const Repo *repo, const Seen *seen) {
        if (!seen->head_old && !seen->head_new) {
                scoped(repo_head_done) RepoHead head = {0};
                repo_head(repo, &head, NULL);
                return str_format("HEAD is at %.12s, neither the old nor the new commit",
                        head.commit ? head.commit : "nothing");
        }
        if (seen->other == 0)
                return str_format("%zu files are old and %zu are new", seen->old, seen->new);
        scoped(free_str) char *names = strv_join(seen->foreign, "', '");
        scoped(free_str) char *shown = str_printable(names, false);
        return str_format("neither the old nor the new content: '%.600s'%s", shown,
                strlen(shown) > 600 ? " and more" : "");
}

static bool refuse_drift(const Repo *repo, const Seen *seen, Err *err) {
        if (seen->other == 0 && (seen->head_old || seen->head_new))
                return true;
        scoped(free_str) char *text = differs_text(repo, seen);
        err_fail(err, ERR_DRIFT, "somebody else changed the checkout '%s': %s", repo->work, text);
        return err_hint(err,
                "Look with: git -C '%s' status. None of it was overwritten; `belay report` says "
                "where the old version and its data are.",
                repo->work);
}

/* ---- moving files ---- */

typedef struct Move {
        const Repo *repo;
        const ChangeList *list;
        Direction direction;
        Strv touched; /* directories to sync, relative */
} Move;

static void touch(Move *move, const char *path) {
        scoped(free_str) char *dir = path_dirname(path);
        size_t n = strv_count(move->touched);
        if (n == 0 || !str_equal(move->touched[n - 1], dir))
                strv_add(&move->touched, dir);
}

static unsigned wanted_mode(const Move *move, const PlacePath *p) {
        return move->direction == TO_NEW ? p->new_mode : p->old_mode;
}

/* Directories that became empty go, as with git; one that holds anything stays. */
static bool remove_empty_above(Move *move, const char *path, Err *err) {
        scoped(free_str) char *dir = path_dirname(path);
        for (; !str_equal(dir, "."); str_replace_owned(&dir, path_dirname(dir))) {
                scoped(close_fd) int parent = live_parent(move->repo->work, dir);
                if (parent < 0)
                        continue;
                if (fault_before("rmdir", dir))
                        return err_fail_errno(
                                err, ERR_IO, errno, "removing the empty directory '%s'", dir);
                if (unlinkat(parent, path_basename(dir), AT_REMOVEDIR) == 0) {
                        fault_after();
                        touch(move, dir);
                } else if (errno != ENOENT) {
                        return true;
                }
        }
        return true;
}

static bool remove_file(Move *move, const PlacePath *p, Err *err) {
        scoped(close_fd) int parent = live_parent(move->repo->work, p->path);
        if (parent < 0)
                return true;
        if (fault_before("unlink", p->path) || (unlinkat(parent, path_basename(p->path), 0) != 0 &&
                                                       errno != ENOENT && errno != EISDIR))
                return err_fail_errno(err, ERR_IO, errno, "removing '%s'", p->quoted);
        fault_after();
        touch(move, p->path);
        return remove_empty_above(move, p->path, err);
}

/* Each directory above `path` that is missing, as open as the one it comes into. */
static bool make_above(Move *move, const char *path, Err *err) {
        scoped(free_str) char *dir = path_dirname(path);
        scoped(close_fd) int there = live_parent(move->repo->work, path);
        struct stat st = {0};
        if (there >= 0)
                return true;
        if (str_equal(dir, ".") || !make_above(move, dir, err))
                return str_equal(dir, ".") ? err_fail_errno(err, ERR_IO, errno, "opening '%s'",
                                                     move->repo->work)
                                           : false;
        scoped(close_fd) int parent = live_parent(move->repo->work, dir);
        if (parent < 0 || fstat(parent, &st) != 0 || fault_before("mkdir", dir) ||
                (mkdirat(parent, path_basename(dir), 0700) != 0 && errno != EEXIST) ||
                fchmodat(parent, path_basename(dir), st.st_mode & 07777, 0) != 0)
                return err_fail_errno(err, ERR_IO, errno, "making the directory '%s'", dir);
        fault_after();
        touch(move, dir);
        return true;
}

static bool is_laid_out(const Move *move, const PlacePath *p, const char *stage, Err *err) {
        const char *hash = move->direction == TO_NEW ? p->new_hash : p->old_hash;
        LiveFile file = {0};
        if (!live_look(stage, p->path, &file, err))
                return false;
        if (str_equal(file.hash, hash))
                return true;
        err_fail(err, ERR_CORRUPT, "what was laid out for '%s' is not there any more", p->quoted);
        return err_hint(err, "Put the files in place by hand: git -C '%s' checkout VERSION.",
                move->repo->work);
}

/* A directory that holds files of the user must not be exchanged for a file: rename refuses it. */
static bool exchange(int from, int to, const char *name) {
        struct stat st = {0};
        bool replaces = fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
        if (replaces && renameat2(from, name, to, name, RENAME_EXCHANGE) == 0)
                return true;
        return renameat(from, name, to, name) == 0;
}

/* What is replaced goes where the new file was: freeing it can wait until the service runs again. */
static bool put_file(Move *move, const PlacePath *p, Err *err) {
        scoped(free_str) char *stage =
                stage_dir(move->repo, move->direction == TO_NEW ? "new" : "old");
        if (!is_laid_out(move, p, stage, err) || !make_above(move, p->path, err))
                return false;
        scoped(close_fd) int from = live_parent(stage, p->path);
        scoped(close_fd) int to = live_parent(move->repo->work, p->path);
        const char *name = path_basename(p->path);
        if (from < 0 || to < 0 || fault_before("rename", p->path) || !exchange(from, to, name))
                return err_fail_errno(err, ERR_IO, errno, "placing '%s'", p->quoted);
        fault_after();
        touch(move, p->path);
        return true;
}

/* An earlier call may have been cut short between a file and its directory. */
static bool take_away(Move *move, const PlacePath *p, bool is_gone, Err *err) {
        return is_gone ? remove_empty_above(move, p->path, err) : remove_file(move, p, err);
}

/* First what goes, so that a directory may become a file; then what comes. */
static bool move_files(Move *move, const Seen *seen, Err *err) {
        FileState done = move->direction == TO_NEW ? FILE_NEW : FILE_OLD;
        for (size_t i = 0; i < move->list->n; i++)
                if (wanted_mode(move, &move->list->items[i]) == 0 &&
                        !take_away(move, &move->list->items[i], seen->states[i] == done, err))
                        return false;
        for (size_t i = 0; i < move->list->n; i++)
                if (seen->states[i] != done && wanted_mode(move, &move->list->items[i]) != 0 &&
                        !put_file(move, &move->list->items[i], err))
                        return false;
        return true;
}

/* Also those that an earlier, interrupted call renamed into: all directories of the list. */
static bool sync_directories(Move *move, Err *err) {
        for (size_t i = 0; i < move->list->n; i++)
                touch(move, move->list->items[i].path);
        for (char *const *at = move->touched; at && *at; at++) {
                scoped(free_str) char *dir = path_join(move->repo->work, *at);
                struct stat st = {0};
                bool there = false;
                if (!file_stat(dir, &st, &there, NULL) || !there || !S_ISDIR(st.st_mode))
                        continue;
                if (!dir_sync(dir, err))
                        return false;
        }
        return true;
}

static bool install_index(const Repo *repo, const char *name, Err *err) {
        scoped(free_str) char *from = stage_dir(repo, name);
        scoped(free_str) char *to = path_join(repo->dir, "index");
        return !file_exists(from) || file_rename(from, to, err);
}

static bool move_tree(Move *move, const Seen *seen, Err *err) {
        repo_become(move->repo);
        bool ok = move_files(move, seen, err) && sync_directories(move, err) &&
                  install_index(
                          move->repo, move->direction == TO_NEW ? "index.to" : "index.from", err);
        repo_resign(move->repo);
        return ok;
}

/* ---- HEAD ---- */

/* A git of ours that was killed while it wrote HEAD leaves these; index.lock says that it was ours. */
static bool remove_ref_locks(const Repo *repo, const json_t *facts, Err *err) {
        const char *branch = js_str(facts, "head");
        scoped(free_str) char *name = branch ? str_format("%s.lock", branch) : NULL;
        scoped(free_str) char *head = path_join(repo->dir, "HEAD.lock");
        scoped(free_str) char *ref = name ? path_join(repo->common, name) : NULL;
        repo_become(repo);
        bool ok = (!file_exists(head) || file_unlink(head, err)) &&
                  (!ref || !file_exists(ref) || file_unlink(ref, err));
        repo_resign(repo);
        return ok;
}

static bool head_call(const Repo *repo, const char *const *args, Err *err) {
        RepoCall call = {.args = args, .what = "moving HEAD"};
        return repo_call(repo, &call, NULL, err);
}

static bool head_to_branch(
        const Repo *repo, const char *branch, const char *commit, const char *message, Err *err) {
        scoped(free_str) char *is = NULL;
        if (!repo_ref(repo, branch, &is, err))
                return false;
        if (!str_equal(is, commit)) {
                scoped(free_str) char *text = str_format(
                        "'%s' was moved by somebody else to %.12s", branch, is ? is : "nothing");
                return err_fail(err, ERR_DRIFT, "%s", text);
        }
        const char *args[] = {"symbolic-ref", "-m", message, "HEAD", branch, NULL};
        return head_call(repo, args, err);
}

static bool move_head(const Repo *repo, const json_t *facts, Direction direction, Err *err) {
        const char *from = js_str(facts, direction == TO_NEW ? "from" : "to");
        const char *to = js_str(facts, direction == TO_NEW ? "to" : "from");
        const char *branch = js_str(facts, "head");
        const char *tag = js_str(facts, "tag");
        scoped(free_str) char *message = str_format(
                "belay: %s %s", direction == TO_NEW ? "place" : "take back", tag ? tag : to);
        if (js_bool(facts, "branch_moves", false)) {
                const char *args[] = {"update-ref", "-m", message, branch, to, from, NULL};
                return head_call(repo, args, err);
        }
        if (direction == TO_OLD && branch)
                return head_to_branch(repo, branch, to, message, err);
        const char *args[] = {"update-ref", "--no-deref", "-m", message, "HEAD", to, from, NULL};
        return head_call(repo, args, err);
}

/* ---- the slots ---- */

static bool open_with_list(
        const SourceContext *context, const json_t *facts, Repo *repo, ChangeList *list, Err *err) {
        const char *hash = js_str(facts, "list_sha256");
        if (!hash)
                return err_fail(
                        err, ERR_CORRUPT, "the record of what was to be placed is incomplete");
        return repo_open(context, repo, err) && change_list_load(context, hash, list, err);
}

bool place_facts(const SourceContext *context, const Release *to, json_t *facts, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(change_list_done) ChangeList list = {0};
        scoped(seen_done) Seen seen = {0};
        IndexLock lock = INDEX_FREE;
        if (!repo_open(context, &repo, err) || !change_list_load(context, NULL, &list, err))
                return false;
        if (!list.facts || !str_equal(js_str(list.facts, "to"), to->reference))
                return err_fail(err, ERR_BUG, "%s was not laid out before it is placed", to->tag);
        if (!index_lock_look(&repo, &lock, err) || !look_as_owner(&repo, &list, &seen, err) ||
                !refuse_drift(&repo, &seen, err))
                return false;
        /* The first attempt finds all as it was laid out; a later one may find some of it placed. */
        json_object_update(facts, list.facts);
        if (!context->service->git.artifacts)
                return true;
        json_t *artifacts = artifacts_facts(&repo, js_str(list.facts, "from"), to->reference, err);
        if (artifacts)
                js_set(facts, "artifacts", artifacts);
        return artifacts != NULL;
}

static bool is_there(const Seen *seen, const ChangeList *list, Direction direction) {
        size_t n = direction == TO_NEW ? seen->new : seen->old;
        return n == list->n && (direction == TO_NEW ? seen->head_new : seen->head_old);
}

/* What git says is believed when it is so. */
static bool head_has_moved(const Repo *repo, const json_t *facts, Direction direction, Err *err) {
        scoped(seen_done) Seen seen = {0};
        repo_become(repo);
        bool ok = look_at_head(repo, facts, &seen, err);
        repo_resign(repo);
        if (!ok || (direction == TO_NEW ? seen.head_new : seen.head_old))
                return ok;
        return err_fail(
                err, ERR_TOOL, "git has not moved HEAD of '%s', and says that it has", repo->work);
}

static bool go(const Repo *repo, const ChangeList *list, Direction direction, Err *err) {
        scoped(seen_done) Seen seen = {0};
        bool leftover = false;
        if (!index_lock_take(repo, &leftover, err) ||
                (leftover && !remove_ref_locks(repo, list->facts, err)))
                return false;
        if (!look_as_owner(repo, list, &seen, err) || !refuse_drift(repo, &seen, err)) {
                if (!leftover)
                        index_lock_drop(repo, NULL);
                return false;
        }
        Move move = {.repo = repo, .list = list, .direction = direction};
        bool ok = move_tree(&move, &seen, err);
        strv_free(move.touched);
        bool head_there = direction == TO_NEW ? seen.head_new : seen.head_old;
        return ok &&
               (head_there || (move_head(repo, list->facts, direction, err) &&
                                      head_has_moved(repo, list->facts, direction, err))) &&
               index_lock_drop(repo, err);
}

static bool go_to(
        const SourceContext *context, const json_t *facts, Direction direction, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(change_list_done) ChangeList list = {0};
        scoped(seen_done) Seen seen = {0};
        IndexLock lock = INDEX_FREE;
        if (!open_with_list(context, facts, &repo, &list, err) ||
                !index_lock_look(&repo, &lock, err) || !look_as_owner(&repo, &list, &seen, err))
                return false;
        if (lock != INDEX_OURS && is_there(&seen, &list, direction))
                return true;
        return go(&repo, &list, direction, err);
}

static bool switch_artifacts(
        const SourceContext *context, const json_t *facts, Direction direction, Err *err) {
        scoped(repo_done) Repo repo = {0};
        const json_t *list = js_get(facts, "artifacts");
        return !list || (repo_open(context, &repo, err) &&
                                artifacts_switch(&repo, list, direction == TO_NEW, err));
}

bool place_apply(const SourceContext *context, const json_t *facts, Err *err) {
        return (go_to(context, facts, TO_NEW, err) &&
                       switch_artifacts(context, facts, TO_NEW, err)) ||
               err_context(err, "placing the files of %s", js_str(facts, "tag"));
}

bool place_take_back(const SourceContext *context, const json_t *facts, Err *err) {
        return (switch_artifacts(context, facts, TO_OLD, err) &&
                       go_to(context, facts, TO_OLD, err)) ||
               err_context(err, "putting the files from before %s back", js_str(facts, "tag"));
}

static SourceTruth files_truth(const Seen *seen, const ChangeList *list, IndexLock lock) {
        if (seen->other > 0 || (!seen->head_old && !seen->head_new))
                return SOURCE_DRIFT;
        return lock == INDEX_OURS             ? SOURCE_PARTLY
               : is_there(seen, list, TO_NEW) ? SOURCE_APPLIED
               : is_there(seen, list, TO_OLD) ? SOURCE_NOT_APPLIED
                                              : SOURCE_PARTLY;
}

/* `either`: the artifacts are the same before and after, and say nothing. */
static SourceTruth combine(SourceTruth files, SourceTruth made, bool either) {
        if (files == SOURCE_DRIFT || made == SOURCE_DRIFT)
                return SOURCE_DRIFT;
        return either || files == made ? files : SOURCE_PARTLY;
}

bool place_observe(const SourceContext *context, const json_t *facts, SourceTruth *ret,
        char **ret_why, Err *err) {
        scoped(repo_done) Repo repo = {0};
        scoped(change_list_done) ChangeList list = {0};
        scoped(seen_done) Seen seen = {0};
        IndexLock lock = INDEX_FREE;
        if (!open_with_list(context, facts, &repo, &list, err) ||
                !index_lock_look(&repo, &lock, err) || !look_as_owner(&repo, &list, &seen, err))
                return false;
        SourceTruth made = SOURCE_UNKNOWN;
        bool either = true;
        if (!artifacts_observe(
                    &repo, js_get(facts, "artifacts"), &made, &either, &seen.foreign, err))
                return false;
        *ret = combine(files_truth(&seen, &list, lock), made, either);
        if (ret_why && (*ret == SOURCE_DRIFT || *ret == SOURCE_PARTLY))
                *ret_why = differs_text(&repo, &seen);
        return true;
}
