/* The copy that a rehearsal works on: the backup's data, and layers over what is there. */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/file.h"
#include "platform/overlay.h"
#include "update/backups.h"
#include "update/rehearsal.h"

enum { PASSWD_ROOM = 16 * 1024, SOCKETS_BYTES = 4 * 1024 * 1024 };

void rehearsal_copy_done(RehearsalCopy *copy) {
        rehearsal_places_done(&copy->places);
        strv_free(copy->bases);
        strv_free(copy->sockets);
        free(copy->nothing);
        free(copy->state);
        free(copy->seal);
        *copy = (RehearsalCopy){0};
}

/* -- where ----------------------------------------------------------------------------------- */

static void add_home(uid_t uid, Strv *also) {
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        if (getpwuid_r(uid, &entry, room, PASSWD_ROOM, &found) != 0 || !found)
                return;
        /* "/", /dev/null and what is not there are homes of those who have none. */
        struct stat st;
        if (found->pw_dir[0] == '/' && found->pw_dir[1] && stat(found->pw_dir, &st) == 0 &&
                S_ISDIR(st.st_mode))
                strv_add(also, found->pw_dir);
}

bool rehearsal_find_places(const World *world, RehearsalPlaces *ret, char **ret_why, Err *err) {
        static const char *const usual[] = {"/tmp", "/var/tmp", "/var/cache", "/var/log"};
        scoped(runtime_description_done) RuntimeDescription is = {0};
        scoped(strv_freep) Strv also = NULL;
        if (!world->runtime->describe(&world->runtime_at, &is, err))
                return false;
        for (size_t i = 0; i < COUNT_OF(usual); i++)
                if (file_exists(usual[i]))
                        strv_add(&also, usual[i]);
        add_home(is.uid, &also);
        (void)rehearsal_places(world->service, world->state->root, also, ret, ret_why);
        return true;
}

/* -- its layers ------------------------------------------------------------------------------ */

static bool make_layers(const char *base, RehearsalCopy *copy, Err *err) {
        for (size_t i = 0; copy->places.paths[i]; i++) {
                strv_addf(&copy->bases, "%s/place-%zu", base, i);
                if (!overlay_make(copy->bases[i], copy->places.paths[i], err))
                        return false;
        }
        return true;
}

/* -- its data -------------------------------------------------------------------------------- */

/* Where restore_to laid it: a path that is one file, as it is now, lies in a directory of its own. Owned. */
static char *restored_at(const Content *content, const char *from) {
        scoped(free_str) char *place = path_join(from, content->slug);
        struct stat is;
        bool file = content->kind == CONTENT_PATH && lstat(content->path, &is) == 0 &&
                    S_ISREG(is.st_mode) && lstat(place, &is) == 0 && S_ISDIR(is.st_mode);
        return file ? path_join(place, path_basename(content->path)) : TAKE(place);
}

static bool put_content(
        const RehearsalCopy *copy, const Content *content, const char *from, Err *err) {
        scoped(free_str) char *restored = restored_at(content, from);
        scoped(free_str) char *to = NULL;
        const char *in = NULL;
        size_t index = 0;
        struct stat is;
        bool there = false;
        if (!file_stat(restored, &is, &there, err))
                return false;
        /* Declared, and nothing was there: nor is it in the copy. */
        if (!there)
                return true;
        if (!rehearsal_place_of(&copy->places, content->path, &index, &in) || !in[0])
                return err_fail(err, ERR_BUG, "'%s' lies in no place of the copy", content->path);
        if (!overlay_place(copy->bases[index], copy->places.paths[index], in, &to, err) ||
                !tree_remove(to, err) || !file_rename(restored, to, err))
                return false;
        return !S_ISDIR(is.st_mode) || overlay_replace(to, err);
}

static int shorter_first(const void *a, const void *b) {
        size_t x = strlen((*(const Content *const *)a)->path),
               y = strlen((*(const Content *const *)b)->path);
        return (x > y) - (x < y);
}

static bool put_contents(
        const World *world, const RehearsalCopy *copy, const char *from, Err *err) {
        const BackupSpec *spec = &world->service->backup;
        scoped(free_mem) const Content **contents = NEW_ARRAY(const Content *, spec->n_contents);
        for (size_t i = 0; i < spec->n_contents; i++)
                contents[i] = &spec->contents[i];
        qsort(contents, spec->n_contents, sizeof(const Content *), shorter_first);
        for (size_t i = 0; i < spec->n_contents; i++)
                if (!put_content(copy, contents[i], from, err))
                        return err_context(err, "laying out the copy");
        return true;
}

static bool restore_data(const World *world, const char *base, const char *backup,
        const RehearsalCopy *copy, Err *err) {
        scoped(free_str) char *data = path_join(base, "data");
        RestoreRequest request = backups_restore_request(world, backup, NULL, world->run_text);
        request.watch.cancel = world->cancel;
        return restore_to(&request, data, err) && put_contents(world, copy, data, err) &&
               tree_remove(data, err);
}

/* -- what Belay knows in it ------------------------------------------------------------------ */

/* Of the keeper and its service nothing is there: the copy has not been started yet. And a person's lock is not meant
 * for it. */
static int is_known(const struct dirent *entry) {
        static const char *const live[] = {"keeper", "service.log", "lock.json", "."};
        for (size_t i = 0; i < COUNT_OF(live); i++)
                if (str_starts(entry->d_name, live[i]))
                        return 0;
        return 1;
}

static bool copy_files(const char *from, const char *to, Err *err) {
        struct dirent **names = NULL;
        int n = scandir(from, &names, is_known, alphasort);
        bool ok = n >= 0 || errno == ENOENT ||
                  err_fail_errno(err, ERR_IO, errno, "listing '%s'", from);
        for (int i = 0; i < n; i++) {
                scoped(free_str) char *one = path_join(from, names[i]->d_name);
                scoped(free_str) char *other = path_join(to, names[i]->d_name);
                struct stat is;
                bool there = false;
                ok = ok && file_stat(one, &is, &there, err) &&
                     (!there || !S_ISREG(is.st_mode) || file_copy_durable(one, other, err));
                free(names[i]);
        }
        free(names);
        return ok;
}

/* An overlay does not rename a directory that lies below it, which placing artifacts does to the one that a
 * person made there: the copy has an empty one in its place. The new version has its own. */
static bool put_artifacts(const World *world, const RehearsalCopy *copy, Err *err) {
        const GitSpec *git = &world->service->git;
        bool in_place = git->layout == LAYOUT_IN_PLACE;
        for (size_t i = 0; in_place && git->artifacts && git->artifacts[i]; i++) {
                scoped(free_str) char *path = path_join(git->directory, git->artifacts[i]);
                scoped(free_str) char *to = NULL;
                const char *in = NULL;
                size_t index = 0;
                struct stat is = {0};
                bool there = false;
                if (!file_stat(path, &is, &there, err))
                        return false;
                if (!there || !S_ISDIR(is.st_mode) ||
                        !rehearsal_place_of(&copy->places, path, &index, &in) || !in[0])
                        continue;
                if (!overlay_place(copy->bases[index], copy->places.paths[index], in, &to, err) ||
                        !dir_make(to, err) || !overlay_replace(to, err))
                        return false;
        }
        return true;
}

static bool copy_known(const World *world, const RehearsalCopy *copy, Err *err) {
        const char *name = world->service->name;
        const State inner = {.root = copy->state};
        scoped(free_str) char *undo = state_run_file(&inner, world->run, "undo");
        scoped(free_str) char *output = state_run_file(&inner, world->run, "output");
        scoped(free_str) char *from = state_service_dir(world->state, name);
        scoped(free_str) char *to = state_service_dir(&inner, name);
        return dir_make(undo, err) && dir_make(output, err) && dir_make(to, err) &&
               copy_files(from, to, err);
}

/* -- sockets of others -- */

/* The path in a line of /proc/net/unix, where there is one: unix(7), proc(5). */
static const char *path_in_line(const char *line) {
        for (int field = 0; field < 7; field++) {
                line += strspn(line, " ");
                line += strcspn(line, " ");
        }
        line += strspn(line, " ");
        return line[0] == '/' ? line : NULL;
}

static bool is_hidden(const World *world, const RehearsalCopy *copy, const char *path) {
        const char *in = NULL;
        size_t index = 0;
        for (size_t i = 0; i < copy->n_seal; i++)
                if (path_holds(copy->seal[i].at, path))
                        return true;
        return path_holds(world->state->root, path) ||
               rehearsal_place_of(&copy->places, path, &index, &in);
}

/* That all is read-only keeps nobody from speaking to a socket that lies there, of a database say. In layers and
 * emptied directories they answer nobody; over each of the others lies a file of nothing. */
static bool hide_sockets(const World *world, const char *base, RehearsalCopy *copy, Err *err) {
        scoped(free_str) char *text = NULL;
        copy->nothing = path_join(base, "nothing");
        if (!file_write_durable(copy->nothing, "", 0, 0600, err) ||
                !file_read_if("/proc/net/unix", SOCKETS_BYTES, &text, NULL, err))
                return false;
        scoped(strv_freep) Strv lines = strv_split(text ? text : "", '\n');
        for (size_t i = 0; lines && lines[i]; i++) {
                const char *path = path_in_line(lines[i]);
                char *real = path ? file_real(path) : NULL;
                struct stat st;
                if (!real || lstat(real, &st) < 0 || !S_ISSOCK(st.st_mode) ||
                        is_hidden(world, copy, real)) {
                        free(real);
                        continue;
                }
                strv_push(&copy->sockets, real);
                const SealPlace place = {.kind = SEAL_BIND, .at = real, .from = copy->nothing};
                PUSH(copy->seal, copy->n_seal, place);
        }
        return true;
}

/* -- what is seen ---------------------------------------------------------------------------- */

static bool show(const World *world, const char *base, RehearsalCopy *copy, Err *err) {
        /* Sockets of other programs lie there: of databases, of the machine's own. */
        static const char *const emptied[] = {"/run", "/dev/shm"};
        for (size_t i = 0; i < COUNT_OF(emptied); i++)
                if (file_exists(emptied[i]) && !path_holds(emptied[i], world->state->root)) {
                        const SealPlace place = {.kind = SEAL_EMPTY, .at = emptied[i]};
                        PUSH(copy->seal, copy->n_seal, place);
                }
        if (!hide_sockets(world, base, copy, err))
                return false;
        for (size_t i = 0; copy->places.paths[i]; i++) {
                const SealPlace place = {
                        .kind = SEAL_OVERLAY, .at = copy->places.paths[i], .from = copy->bases[i]};
                PUSH(copy->seal, copy->n_seal, place);
        }
        const SealPlace state = {.kind = SEAL_BIND, .at = world->state->root, .from = copy->state};
        PUSH(copy->seal, copy->n_seal, state);
        return copy->n_seal <= SEAL_PLACES_MAX ||
               err_fail(err, ERR_REFUSED, "there are more than %d places to lay something over",
                       SEAL_PLACES_MAX);
}

bool rehearsal_copy(
        const World *world, const char *base, const char *backup, RehearsalCopy *ret, Err *err) {
        scoped(rehearsal_copy_done) RehearsalCopy copy = {0};
        scoped(free_str) char *why = NULL;
        if (!rehearsal_find_places(world, &copy.places, &why, err))
                return false;
        if (why)
                return err_fail(err, ERR_REFUSED, "%s", why);
        copy.state = path_join(base, "state");
        if (!dir_make(base, err) || !make_layers(base, &copy, err) ||
                !restore_data(world, base, backup, &copy, err) ||
                !put_artifacts(world, &copy, err) || !copy_known(world, &copy, err))
                return false;
        if (!show(world, base, &copy, err))
                return false;
        *ret = copy;
        copy = (RehearsalCopy){0};
        return true;
}

/* -- what is played on it -------------------------------------------------------------------- */

/* This process's own, but nothing that would make the copy die with a test of it. */
static Strv environment_of(void) {
        Strv environment = NULL;
        for (char **at = environ; *at; at++)
                if (!str_starts(*at, "BELAY_FAULT"))
                        strv_add(&environment, *at);
        strv_add(&environment, "BELAY_REHEARSAL=1");
        return environment;
}

bool rehearsal_play(const World *world, const RehearsalCopy *copy, const RehearsalCall *call,
        ChildResult *ret, Err *err) {
        scoped(free_str) char *input = js_line(call->request);
        scoped(free_str) char *program = process_own_path();
        scoped(free_str) char *verb = str_copy(call->verb);
        scoped(strv_freep) Strv environment = environment_of();
        char *argv[] = {program, (char[]){"--state"}, world->state->root, verb, NULL};
        const Seal seal = {.places = copy->seal, .n = copy->n_seal};
        const Child child = {.argv = argv,
                .directory = "/",
                .environment = environment,
                .input = input,
                .timeout_ms = call->timeout_ms,
                .what = call->what,
                .mark = world->mark,
                .cancel = world->cancel,
                .seal = &seal};
        return child_run(&child, ret, err);
}
