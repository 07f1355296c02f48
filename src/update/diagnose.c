/* The signs: words in logs and answers, and what they mean. */
#include "update/diagnose.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

typedef struct Sign {
        const char *text; /* somewhere in the log or the reason, in any case */
        const char *code;
        const char *likely;
        const char *remedy; /* %s: the service */
} Sign;

#define NO_COLUMN                                                                                  \
        "missing-column",                                                                          \
                "the new version cannot read its database: a migration is missing or did not run", \
                "`belay migrate status %s` shows which migrations were done."
#define DEPENDENCY                                                                                 \
        "missing-dependency", "a dependency of the new version is not installed",                  \
                "Install it, or let `source.git.install` in the manifest of %s do so."
#define NO_NAME                                                                                    \
        "name-not-resolved", "a name that it needs is not known to this machine's name service",   \
                "Look at /etc/resolv.conf and /etc/hosts, and at the address in the settings of "  \
                "%s."
#define CERTIFICATE                                                                                \
        "certificate", "a TLS certificate is expired or not trusted here",                         \
                "Renew it where it is served, or make its authority known to this machine; then "  \
                "`belay verify %s`."
#define PORT                                                                                       \
        "port-taken", "the port is taken by another program",                                      \
                "Stop that program, or give %s another port in its manifest."
#define DISK                                                                                       \
        "disk-full", "a disk is full",                                                             \
                "Make room; `belay backup prune %s` removes backups that are not to be kept."
#define MEMORY                                                                                     \
        "out-of-memory", "there is not enough memory",                                             \
                "Give %s more memory, or find out what takes it."
#define REFUSED                                                                                    \
        "connection-refused",                                                                      \
                "it does not listen where it is asked, or something that it needs does not run",   \
                "Look whether what %s needs (its database, another service) runs and where it "    \
                "listens."
#define PERMISSION                                                                                 \
        "permission", "the service's user may not read or write a file",                           \
                "Look at the owner of the file that the log of %s names."

/* The first that fits counts: the more telling ones stand first. */
static const Sign signs[] = {
        {"the process exited with status 0", "ends-by-itself",
                "it goes into the background by itself, or does its work and ends",
                "Name the option that keeps it in the foreground in the command of %s: Belay keeps "
                "the process that it starts."},
        {"no such column", NO_COLUMN},
        {"has no column named", NO_COLUMN},
        {"no such table", NO_COLUMN},
        {"database is locked", "database-locked", "another process holds the database",
                "`fuser` names who has the database of %s open."},
        {"malformed", "database-damaged", "the database file is damaged",
                "`belay backup restore %s` puts the newest backup in its place and keeps what is "
                "there."},
        {"file is not a database", "database-damaged", "the database file is damaged",
                "`belay backup restore %s` puts the newest backup in its place and keeps what is "
                "there."},
        {"readonly database", "database-readonly",
                "the service's user may not write to its database",
                "Look at the owner of the database of %s and of its directory."},
        {"unable to open database file", "database-refused",
                "the service's user may not open its database, or its directory is missing",
                "Look at the path of the database in the settings of %s, and at its directory's "
                "owner."},
        {"address already in use", PORT},
        {"EADDRINUSE", PORT},
        {"ModuleNotFoundError", DEPENDENCY},
        {"Cannot find module", DEPENDENCY},
        {"No module named", DEPENDENCY},
        {"cannot open shared object file", "missing-library",
                "a library of the new version is not installed",
                "Install the package that has the library which the log of %s names."},
        {"certificate has expired", CERTIFICATE},
        {"certificate verify failed", CERTIFICATE},
        {"SSL certificate problem", CERTIFICATE},
        {"Could not resolve host", NO_NAME},
        {"could not be resolved", NO_NAME},
        {"Name or service not known", NO_NAME},
        {"Temporary failure in name resolution", NO_NAME},
        {"ENOTFOUND", NO_NAME},
        {"out of memory", MEMORY},
        {"MemoryError", MEMORY},
        {"signal 9", "killed", "it was ended from outside, maybe for lack of memory",
                "`dmesg` tells whether the kernel killed %s for lack of memory."},
        {"signal 11", "crashes", "the new version crashes", "`belay rollback %s` goes back."},
        {"Segmentation fault", "crashes", "the new version crashes",
                "`belay rollback %s` goes back."},
        {"No space left on device", DISK},
        {"ENOSPC", DISK},
        {"Permission denied", PERMISSION},
        {"EACCES", PERMISSION},
        {"connection refused", REFUSED},
        {"ECONNREFUSED", REFUSED},
        {"SyntaxError", "syntax", "a file of the new version cannot be read by its interpreter",
                "Look whether the interpreter on this machine is new enough for %s."},
        {"answered 502", "answers-502",
                "what answers is a proxy, and what is behind it does not answer it",
                "Look whether %s itself runs and listens where the proxy asks."},
        {"answered 503", "answers-503", "it says itself that it is not ready",
                "Wait, or look in `belay logs %s` what it waits for."},
        {"answered 500", "answers-500", "the new version fails while it answers; its log says more",
                "Look at `belay logs %s`."},
        {"no answer", "no-answer", "it takes longer to start than start.timeout allows, or hangs",
                "Give %s a longer start.timeout, or look in its log where it hangs."},
};

const char *likely_cause(const char *reason, const char *log) {
        for (size_t i = 0; i < COUNT_OF(signs); i++)
                if ((log && strcasestr(log, signs[i].text)) ||
                        (reason && strcasestr(reason, signs[i].text)))
                        return signs[i].likely;
        return NULL;
}

/* -- the list -- */

static bool has(const DiagnosisList *list, const char *code) {
        for (size_t i = 0; i < list->n; i++)
                if (str_equal(list->items[i].code, code))
                        return true;
        return false;
}

void diagnosis_add(DiagnosisList *list, const char *code, bool seen, const char *evidence,
        char *owned_cause, char *owned_remedy) {
        scoped(free_str) char *cause = owned_cause;
        scoped(free_str) char *remedy = owned_remedy;
        if (has(list, code))
                return;
        Diagnosis found = {.code = code, .seen = seen};
        found.cause = TAKE(cause);
        found.remedy = TAKE(remedy);
        found.evidence = evidence ? str_printable(evidence, false) : NULL;
        PUSH(list->items, list->n, found);
}

static char *with_service(const char *remedy, const char *service) {
        const char *at = strstr(remedy, "%s");
        scoped(free_str) char *before = str_copy_n(remedy, (size_t)(at - remedy));
        return str_format("%s%s%s", before, service, at + 2);
}

static const char *line_with(char *const *lines, const char *text) {
        size_t n = strv_count(lines);
        while (n-- > 0)
                if (strcasestr(lines[n], text))
                        return lines[n];
        return NULL;
}

void diagnosis_read(DiagnosisList *list, const char *service, const char *text, const char *where) {
        scoped(strv_freep) Strv lines = text ? strv_split(text, '\n') : NULL;
        for (size_t i = 0; lines && i < COUNT_OF(signs); i++) {
                const char *line = line_with(lines, signs[i].text);
                if (!line)
                        continue;
                scoped(free_str) char *evidence = str_format("%s: %.200s", where, line);
                diagnosis_add(list, signs[i].code, false, evidence, str_copy(signs[i].likely),
                        with_service(signs[i].remedy, service));
        }
}

json_t *diagnosis_to_json(const DiagnosisList *list) {
        json_t *array = json_array();
        for (size_t i = 0; i < list->n; i++) {
                const Diagnosis *one = &list->items[i];
                json_t *object = json_object();
                js_set_str(object, "code", one->code);
                js_set_bool(object, "seen", one->seen);
                js_set_str(object, "cause", one->cause);
                js_set_str(object, "evidence", one->evidence);
                js_set_str(object, "remedy", one->remedy);
                json_array_append_new(array, object);
        }
        return array;
}

void diagnosis_list_done(DiagnosisList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].cause);
                free(list->items[i].evidence);
                free(list->items[i].remedy);
        }
        free(list->items);
        *list = (DiagnosisList){0};
}
