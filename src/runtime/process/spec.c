#include "runtime/process/spec.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "model/expand.h"
#include "runtime/process/ports.h"

enum { PASSWD_ROOM = 16 * 1024, GROUPS_ROOM = 64, ACCOUNT_GROUPS_MAX = 1024 };

/* -- the user --------------------------------------------------------------------------------- */

void account_done(Account *account) {
        free(account->name);
        free(account->groups);
        *account = (Account){0};
}

static bool find_named(const char *name, Account *ret, Err *err) {
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        int failed = getpwnam_r(name, &entry, room, PASSWD_ROOM, &found);
        if (!found) {
                if (failed)
                        err_fail_errno(err, ERR_REFUSED, failed, "looking up user '%s'", name);
                else
                        err_fail(err, ERR_REFUSED, "there is no user '%s' on this machine", name);
                return err_hint(err, "Make that user, or change 'user' in the manifest.");
        }
        ret->name = str_copy(name);
        ret->uid = entry.pw_uid;
        ret->gid = entry.pw_gid;
        return true;
}

/* The owner of the directory; one without an entry in the user database keeps the directory's group. */
static bool find_owner(const char *directory, Account *ret, Err *err) {
        struct stat st;
        if (stat(directory, &st) < 0) {
                err_fail_errno(err, ERR_REFUSED, errno, "looking at the service's directory '%s'",
                        directory);
                return err_hint(err, "Look at 'directory' in the manifest.");
        }
        if (!S_ISDIR(st.st_mode))
                return err_fail(err, ERR_REFUSED, "'%s' is not a directory", directory);
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        (void)getpwuid_r(st.st_uid, &entry, room, PASSWD_ROOM, &found);
        ret->name = user_name(st.st_uid);
        ret->uid = st.st_uid;
        ret->gid = found ? found->pw_gid : st.st_gid;
        return true;
}

static void find_groups(Account *account) {
        int n = GROUPS_ROOM;
        account->groups = NEW_ARRAY(gid_t, (size_t)n);
        while (getgrouplist(account->name, account->gid, account->groups, &n) < 0 &&
                n <= ACCOUNT_GROUPS_MAX)
                account->groups = mem_grow(account->groups, (size_t)n, sizeof(gid_t));
        account->n_groups = n > ACCOUNT_GROUPS_MAX ? ACCOUNT_GROUPS_MAX : (size_t)n;
}

static bool may_become(const Account *account, Err *err) {
        if (geteuid() == 0 || geteuid() == account->uid)
                return true;
        scoped(free_str) char *own = user_name(geteuid());
        err_fail(err, ERR_REFUSED,
                "the service runs as user '%s', which Belay as '%s' may not become", account->name,
                own);
        return err_hint(err, "Run Belay as root, or as '%s'.", account->name);
}

bool account_find(const ProcessSpec *process, const char *directory, Account *ret, Err *err) {
        scoped(account_done) Account account = {0};
        bool found = process->user ? find_named(process->user, &account, err)
                                   : find_owner(directory, &account, err);
        if (!found || !may_become(&account, err))
                return false;
        find_groups(&account);
        *ret = account;
        account = (Account){0};
        return true;
}

/* -- what is expanded ------------------------------------------------------------------------- */

static bool expand_command(char *const *command, const Expansion *values, Strv *ret, Err *err) {
        scoped(strv_freep) Strv argv = NULL;
        for (; command && *command; command++) {
                char *word = expand(*command, values, err);
                if (!word)
                        return err_context(err, "reading the command of the service");
                strv_push(&argv, word);
        }
        if (!argv || !argv[0][0])
                return err_fail(err, ERR_MANIFEST, "the command of the service is empty");
        *ret = TAKE(argv);
        return true;
}

static bool expand_environment(
        const ProcessSpec *process, const Expansion *values, Strv *ret, Err *err) {
        scoped(strv_freep) Strv environment = NULL;
        for (size_t i = 0; i < process->n_environment; i++) {
                const Pair *pair = &process->environment[i];
                scoped(free_str) char *value = expand(pair->value, values, err);
                if (!value)
                        return err_context(err, "reading '%s' of the environment", pair->name);
                strv_addf(&environment, "%s=%s", pair->name, value);
        }
        *ret = TAKE(environment);
        return true;
}

static bool expand_all(
        const Service *service, const StartRequest *request, StartSpec *spec, Err *err) {
        const ProcessSpec *process = &service->process;
        char port[16] = "";
        if (process->port)
                snprintf(port, sizeof(port), "%u", process->port);
        const Expansion values = {
                .version = request->version,
                .tag = request->tag,
                .commit = request->commit,
                .previous_version = request->previous_version,
                .service = service->name,
                .component = service->name,
                .port = port,
        };
        return expand_command(process->command, &values, &spec->argv, err) &&
               expand_environment(process, &values, &spec->environment, err);
}

/* -- all of it -------------------------------------------------------------------------------- */

static void add_account(StartSpec *spec, Account *account) {
        spec->uid = account->uid;
        spec->gid = account->gid;
        spec->groups = TAKE(account->groups);
        spec->n_groups = account->n_groups;
        spec->change_user = account->uid != geteuid();
}

bool start_spec_make(
        const Service *service, const StartRequest *request, StartSpec *ret, Err *err) {
        const ProcessSpec *process = &service->process;
        const char *directory = request->directory ? request->directory : process->directory;
        scoped(account_done) Account account = {0};
        scoped(start_spec_done) StartSpec spec = {
                .directory = str_copy(directory),
                .env_file = str_copy(request->env_file),
                .port = process->port,
                .restart = process->restart,
                .version = str_copy(request->version),
                .commit = str_copy(request->commit),
                .tag = str_copy(request->tag),
                .previous_version = str_copy(request->previous_version),
        };
        if (!account_find(process, directory, &account, err) ||
                !expand_all(service, request, &spec, err))
                return false;
        add_account(&spec, &account);
        *ret = spec;
        spec = (StartSpec){0};
        return true;
}
