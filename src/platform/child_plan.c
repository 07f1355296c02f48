#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/own.h"
#include "platform/child_parts.h"

enum { PASSWD_ROOM = 16 * 1024, GROUPS_ROOM = 1024 };

static const char DEFAULT_PATH[] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* -- environment -------------------------------------------------------------------------- */

static void keep(Strv *environment, const char *name) {
        const char *value = getenv(name);
        if (value)
                strv_addf(environment, "%s=%s", name, value);
}

/* A user without an entry in the user database has no home to speak of. */
static Strv small_environment(uid_t uid) {
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        Strv environment = NULL;
        strv_add(&environment, DEFAULT_PATH);
        strv_add(&environment, "LANG=C.UTF-8");
        if (getpwuid_r(uid, &entry, room, PASSWD_ROOM, &found) == 0 && found) {
                strv_addf(&environment, "HOME=%s", found->pw_dir);
                strv_addf(&environment, "LOGNAME=%s", found->pw_name);
                strv_addf(&environment, "USER=%s", found->pw_name);
        } else {
                strv_add(&environment, "HOME=/");
        }
        keep(&environment, "TZ");
        keep(&environment, "SSH_AUTH_SOCK");
        return environment;
}

static void set_variable(Strv *environment, const char *name, const char *value) {
        scoped(free_str) char *prefix = str_format("%s=", name);
        Strv kept = NULL;
        for (size_t i = 0; *environment && (*environment)[i]; i++)
                if (!str_starts((*environment)[i], prefix))
                        strv_add(&kept, (*environment)[i]);
        strv_addf(&kept, "%s%s", prefix, value);
        strv_free(*environment);
        *environment = kept;
}

static void random_mark(char ret[33]) {
        static const char digits[] = "0123456789abcdef";
        unsigned char bytes[16];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                abort();
        for (size_t i = 0; i < sizeof(bytes); i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[32] = '\0';
}

/* -- command line ------------------------------------------------------------------------- */

static char *groups_of(uid_t uid, gid_t gid) {
        struct passwd entry, *found = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        gid_t groups[GROUPS_ROOM] = {gid};
        int count = 1;
        if (getpwuid_r(uid, &entry, room, PASSWD_ROOM, &found) == 0 && found) {
                count = GROUPS_ROOM;
                if (getgrouplist(found->pw_name, gid, groups, &count) < 0)
                        count = 1;
        }
        Str text = {0};
        for (int i = 0; i < count; i++)
                str_addf(&text, "%s%u", i ? "," : "", groups[i]);
        return str_take(&text);
}

static bool add_user(const Child *child, Strv *argv, Err *err) {
        if (!child->as_user || (child->uid == geteuid() && child->gid == getegid()))
                return true;
        if (geteuid() != 0) {
                err_fail(err, ERR_TOOL, "%s cannot run as user %u: Belay runs as user %u",
                        child->what, child->uid, geteuid());
                return err_hint(err, "Run Belay as that user, or with sudo.");
        }
        scoped(free_str) char *groups = groups_of(child->uid, child->gid);
        strv_addf(argv, "--uid=%u", child->uid);
        strv_addf(argv, "--gid=%u", child->gid);
        strv_addf(argv, "--groups=%s", groups);
        return true;
}

static void add_seal(const Seal *seal, Strv *argv) {
        static const char *const kinds[] = {
                [SEAL_OVERLAY] = "--overlay", [SEAL_BIND] = "--bind", [SEAL_EMPTY] = "--empty"};
        if (!seal)
                return;
        strv_add(argv, "--private");
        for (size_t i = 0; i < seal->n; i++) {
                strv_addf(argv, "--at=%s", seal->places[i].at);
                strv_addf(argv, "%s%s%s", kinds[seal->places[i].kind],
                        seal->places[i].from ? "=" : "",
                        seal->places[i].from ? seal->places[i].from : "");
        }
}

bool child_plan(const Child *child, ChildPlan *ret, Err *err) {
        scoped(strv_freep) Strv argv = NULL;
        strv_push(&argv, process_helper_path());
        strv_addf(&argv, "--parent=%d", (int)getpid());
        strv_addf(&argv, "--status-fd=%d", CHILD_STATUS_FD);
        strv_addf(&argv, "--grace-ms=%d", CHILD_GRACE_MS);
        if (child->started)
                strv_add(&argv, "--hold");
        if (child->directory)
                strv_addf(&argv, "--chdir=%s", child->directory);
        if (!add_user(child, &argv, err))
                return false;
        add_seal(child->seal, &argv);
        strv_add(&argv, "--");
        for (size_t i = 0; child->argv[i]; i++)
                strv_add(&argv, child->argv[i]);
        random_mark(ret->mark);
        ret->environment = child->environment
                                   ? strv_copy(child->environment)
                                   : small_environment(child->as_user ? child->uid : geteuid());
        set_variable(&ret->environment, "BELAY_CHILD", ret->mark);
        if (child->mark)
                set_variable(&ret->environment, "BELAY_RUN", child->mark);
        ret->argv = TAKE(argv);
        return true;
}

void child_plan_done(ChildPlan *plan) {
        strv_free(plan->argv);
        strv_free(plan->environment);
        *plan = (ChildPlan){0};
}
