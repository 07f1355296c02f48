#include "model/environment.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

enum { PASSWD_ROOM = 16 * 1024 };

static bool names(const char *setting, const char *name, size_t bytes) {
        return strncmp(setting, name, bytes) == 0 && setting[bytes] == '=';
}

/* Takes out every setting of that name. */
static void drop(Strv environment, const char *name, size_t bytes) {
        size_t kept = 0;
        for (size_t i = 0; environment && environment[i]; i++) {
                if (names(environment[i], name, bytes))
                        free(environment[i]);
                else
                        environment[kept++] = environment[i];
        }
        if (environment)
                environment[kept] = NULL;
}

void environment_set(Strv *environment, const char *name, const char *value) {
        drop(*environment, name, strlen(name));
        strv_addf(environment, "%s=%s", name, value);
}

void environment_add(Strv *environment, char *const *settings) {
        for (; settings && *settings; settings++) {
                const char *equals = strchr(*settings, '=');
                if (!equals || equals == *settings)
                        continue;
                drop(*environment, *settings, (size_t)(equals - *settings));
                strv_add(environment, *settings);
        }
}

const char *environment_get(char *const *environment, const char *name) {
        const char *value = NULL;
        size_t bytes = strlen(name);
        for (; environment && *environment; environment++)
                if (names(*environment, name, bytes))
                        value = *environment + bytes + 1;
        return value;
}

Strv environment_clean(uid_t uid) {
        Strv environment = NULL;
        scoped(free_str) char *room = mem_new(PASSWD_ROOM, 1);
        struct passwd entry, *found = NULL;
        (void)getpwuid_r(uid, &entry, room, PASSWD_ROOM, &found);
        strv_addf(&environment, "PATH=%s/usr/local/bin:/usr/bin:/bin",
                uid == 0 ? "/usr/local/sbin:/usr/sbin:/sbin:" : "");
        strv_addf(&environment, "HOME=%s", found && found->pw_dir ? found->pw_dir : "/");
        if (found)
                strv_addf(&environment, "USER=%s", found->pw_name);
        if (found)
                strv_addf(&environment, "LOGNAME=%s", found->pw_name);
        const char *lang = getenv("LANG"), *zone = getenv("TZ");
        strv_addf(&environment, "LANG=%s", lang ? lang : "C.UTF-8");
        if (zone)
                strv_addf(&environment, "TZ=%s", zone);
        /* On a copy programs are told: they may leave out what reaches others. */
        if (getenv("BELAY_REHEARSAL"))
                strv_add(&environment, "BELAY_REHEARSAL=1");
        return environment;
}
