#include "platform/zone_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/file.h"

enum { ZONE_BYTES_MAX = 128 * 1024, LIST_BYTES_MAX = 512 * 1024, NAME_BYTES_MAX = 64 };

static const char *directory(void) {
#ifdef BELAY_FAULT_POINTS
        const char *other = getenv("BELAY_ZONEINFO");
        if (other)
                return other;
#endif
        return "/usr/share/zoneinfo";
}

/* Up to three parts, each of which begins with a letter or digit: no way up, none out, no option. */
const char *zone_name_problem(const char *name) {
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        static const char *const other[] = {"posix", "right", "posixrules", "localtime"};
        static const char why[] = "is no name of a time zone, such as Europe/Berlin or UTC";
        size_t parts = 0;
        if (!*name || strlen(name) > NAME_BYTES_MAX)
                return why;
        for (const char *at = name;;) {
                size_t plain = strspn(at, letters);
                size_t n = plain + strspn(at + plain, "abcdefghijklmnopqrstuvwxyz"
                                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-");
                if (plain == 0 || ++parts > 3 || (at[n] && at[n] != '/'))
                        return why;
                for (size_t i = 0; parts == 1 && i < COUNT_OF(other); i++)
                        if (strlen(other[i]) == n && strncmp(other[i], at, n) == 0)
                                return why;
                if (!at[n])
                        return NULL;
                at += n + 1;
        }
}

/* The list of all names beside the files: "Z Europe/Berlin ..." and "L Europe/Berlin Arctic/Longyearbyen". */
static Strv known_names(void) {
        scoped(free_str) char *path = path_join(directory(), "tzdata.zi");
        scoped(free_str) char *text = NULL;
        Strv names = NULL;
        if (!file_read_if(path, LIST_BYTES_MAX, &text, NULL, NULL) || !text)
                return NULL;
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++) {
                scoped(strv_freep) Strv words = strv_split(lines[i], ' ');
                size_t n = strv_count(words);
                if (n >= 3 && (str_equal(words[0], "Z") || str_equal(words[0], "L")))
                        strv_add(&names, words[words[0][0] == 'Z' ? 1 : 2]);
        }
        return names;
}

static bool no_zone(const char *name, Err *err) {
        scoped(strv_freep) Strv names = known_names();
        err_fail(err, ERR_UNKNOWN, "there is no time zone '%s'", name);
        const char *nearest = names ? str_nearest(name, (const char *const *)names) : NULL;
        /* "Mars/Phobos" is near to nothing; "Berlin" is a part of what was meant. */
        for (size_t i = 0; names && !nearest && names[i]; i++) {
                const char *slash = strrchr(names[i], '/');
                const char *wanted = strrchr(name, '/');
                if (slash && strcasecmp(slash + 1, wanted ? wanted + 1 : name) == 0)
                        nearest = names[i];
        }
        if (nearest)
                return err_hint(err, "Did you mean \"%s\"?", nearest);
        return err_hint(err, "Zones are named like Europe/Berlin; UTC always works.");
}

static bool read_file(const char *path, Zone *ret, Err *err) {
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        if (!file_read(path, ZONE_BYTES_MAX, &bytes, &n, err))
                return false;
        return zone_read(bytes, n, ret, err) || err_context(err, "reading '%s'", path);
}

bool zone_load(const char *name, Zone *ret, Err *err) {
        *ret = (Zone){0};
        if (str_equal(name, "UTC"))
                return true;
        if (str_equal(name, "local"))
                return !file_exists("/etc/localtime") || read_file("/etc/localtime", ret, err);
        const char *problem = zone_name_problem(name);
        if (problem) {
                scoped(free_str) char *shown = str_printable(name, false);
                return err_fail(err, ERR_UNKNOWN, "'%.80s' %s", shown, problem);
        }
        if (!file_exists(directory())) {
                err_fail(err, ERR_TOOL, "this machine has no time zones, so '%s' is not known",
                        name);
                return err_hint(err, "Install the package tzdata.");
        }
        scoped(free_str) char *path = path_join(directory(), name);
        struct stat st = {0};
        bool there = false;
        if (!file_stat(path, &st, &there, err))
                return false;
        if (!there || S_ISDIR(st.st_mode))
                return no_zone(name, err);
        return read_file(path, ret, err);
}
