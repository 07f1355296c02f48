#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/value.h"

/* ".." after a name means another place when the name is a link: only leading ones are taken. */
static bool dots_inside(const char *path) {
        bool named = path[0] == '/';
        while (*path) {
                size_t n = strcspn(path, "/");
                bool up = n == 2 && strncmp(path, "..", 2) == 0;
                if (up && named)
                        return true;
                named = named || !(up || n == 0 || (n == 1 && path[0] == '.'));
                path += n + (path[n] == '/');
        }
        return false;
}

static bool below_any(const char *path, const char *const *places) {
        for (; *places; places++)
                if (path_holds(*places, path))
                        return true;
        return false;
}

const char *path_problem(const char *path) {
        static const char *const kernel[] = {"/proc", "/sys", "/dev", NULL};
        if (!path[0])
                return "is empty";
        if (strlen(path) >= PATH_MAX)
                return "is longer than a path can be";
        if (strpbrk(path, "\n\r"))
                return "has a line break in it";
        if (strstr(path, "${"))
                return "has a ${...} in it, which is not filled in for paths";
        if (path[0] == '~' && (path[1] == '/' || !path[1]))
                return "begins with '~', which only a shell knows: write the whole path";
        if (dots_inside(path))
                return "has '..' after a name: write the path without it";
        if (path[0] != '/')
                return NULL;
        scoped(free_str) char *settled = path_settle("/", path);
        if (strcmp(settled, "/") == 0)
                return "is the root of the file system";
        return below_any(settled, kernel) ? "lies in /proc, /sys or /dev, which hold no files"
                                          : NULL;
}

const char *content_problem(const char *path) {
        static const char *const of_system[] = {
                "/",
                "/bin",
                "/boot",
                "/etc",
                "/home",
                "/lib",
                "/lib64",
                "/media",
                "/mnt",
                "/opt",
                "/root",
                "/run",
                "/sbin",
                "/srv",
                "/tmp",
                "/usr",
                "/usr/local",
                "/var",
                "/usr/share",
                "/var/lib",
                "/usr/bin",
                "/usr/lib",
                "/var/log",
                "/var/tmp",
                NULL,
        };
        static const char *const forbidden[] = {
                "/proc", "/sys", "/dev", "/var/lib/docker", "/var/lib/belay", NULL};
        for (size_t i = 0; of_system[i]; i++)
                if (strcmp(path, of_system[i]) == 0)
                        return "is a directory of the system: a restore would replace it as a "
                               "whole";
        if (path_holds("/var/lib/docker", path))
                return "belongs to Docker, which must not find it replaced";
        if (path_holds("/var/lib/belay", path))
                return "belongs to Belay: backups of backups";
        return below_any(path, forbidden) ? "lies in /proc, /sys or /dev, which hold no files"
                                          : NULL;
}

const char *glob_problem(const char *glob) {
        if (!glob[0] || strlen(glob) >= PATH_MAX)
                return "is empty or too long";
        if (glob[0] == '/')
                return "is absolute; it belongs to the service's directory";
        if (strpbrk(glob, "\n\r"))
                return "has a line break in it";
        if (strstr(glob, "${"))
                return "has a ${...} in it, which is not filled in for paths";
        if (strcmp(glob, "..") == 0 || str_starts(glob, "../") || strstr(glob, "/../") ||
                str_ends(glob, "/.."))
                return "leads out of the service's directory";
        return NULL;
}

const char *inner_path_problem(const char *path) {
        static const char *const own[] = {"/.git", "/.belay", NULL};
        const char *problem = glob_problem(path);
        if (path[0] == '/')
                return "is absolute; it belongs to the files of a version";
        if (problem)
                return problem;
        scoped(free_str) char *settled = path_settle("/", path);
        if (strcmp(settled, "/") == 0)
                return "is all of a version's files";
        return below_any(settled, own) ? "belongs to git, or to Belay" : NULL;
}

char *path_settle(const char *base, const char *path) {
        scoped(free_str) char *joined = path_join(base, path);
        scoped(strv_freep) Strv parts = strv_split(joined, '/');
        scoped(free_mem) char **kept = NEW_ARRAY(char *, strv_count(parts) + 1);
        size_t n = 0;
        for (size_t i = 0; parts && parts[i]; i++) {
                if (!parts[i][0] || strcmp(parts[i], ".") == 0)
                        continue;
                if (strcmp(parts[i], "..") == 0) {
                        n -= n > 0;
                        continue;
                }
                kept[n++] = parts[i];
        }
        kept[n] = NULL;
        scoped(free_str) char *inner = strv_join(kept, "/");
        return str_format("/%s", inner ? inner : "");
}
