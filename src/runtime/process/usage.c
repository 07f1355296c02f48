#include "runtime/process/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/file.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { SMALL_FILE = 64 * 1024 };

static char *small_file(const char *path) {
        char *text = NULL;
        return file_read_if(path, SMALL_FILE, &text, NULL, NULL) ? text : NULL;
}

/* The number after `key` at the start of a line. */
static bool line_number(const char *text, const char *key, uint64_t *ret) {
        size_t length = strlen(key);
        for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
                if (strncmp(at, key, length) != 0)
                        continue;
                *ret = strtoull(at + length, NULL, 10);
                return true;
        }
        return false;
}

/* Pages that several processes share are counted once over all of them: the proportional set size. */
static uint64_t shared_out(const Member *member) {
        scoped(free_str) char *path = str_format("/proc/%d/smaps_rollup", (int)member->id.pid);
        scoped(free_str) char *text = small_file(path);
        uint64_t kilobytes = 0;
        if (!text || !line_number(text, "Pss:", &kilobytes))
                return member->memory_bytes;
        return kilobytes * 1024;
}

/* The group of a process in the unified hierarchy, "/system.slice/belay.service"; NULL when there is none
 * or it lies outside of what is visible here. */
static char *cgroup_of(pid_t pid) {
        scoped(free_str) char *path = str_format("/proc/%d/cgroup", (int)pid);
        scoped(free_str) char *text = small_file(path);
        for (char *at = text; at && *at;) {
                char *end = at + strcspn(at, "\n");
                if (str_starts(at, "0::/") && !memmem(at, (size_t)(end - at), "/..", 3))
                        return str_copy_n(at + 3, (size_t)(end - at) - 3);
                at = *end ? end + 1 : end;
        }
        return NULL;
}

static uint64_t machine_memory(void) {
        scoped(free_str) char *text = small_file("/proc/meminfo");
        uint64_t kilobytes = 0;
        return text && line_number(text, "MemTotal:", &kilobytes) ? kilobytes * 1024 : 0;
}

/* The tightest limit on the way up. */
static uint64_t memory_limit(const char *group) {
        uint64_t limit = machine_memory();
        scoped(free_str) char *at = str_copy(group);
        while (at && !str_equal(at, "/") && !str_equal(at, ".")) {
                scoped(free_str) char *path = str_format(CGROUP_ROOT "%s/memory.max", at);
                scoped(free_str) char *text = small_file(path);
                uint64_t here = 0;
                if (text && str_to_uint(str_trim(text), UINT64_MAX, &here) &&
                        (limit == 0 || here < limit))
                        limit = here;
                str_replace_owned(&at, path_dirname(at));
        }
        return limit;
}

static unsigned oom_kills(const char *group) {
        if (!group)
                return 0;
        scoped(free_str) char *path = str_format(CGROUP_ROOT "%s/memory.events", group);
        scoped(free_str) char *text = small_file(path);
        uint64_t kills = 0;
        return text && line_number(text, "oom_kill ", &kills) ? (unsigned)kills : 0;
}

void usage_read(const Family *family, pid_t main, Usage *ret) {
        Usage usage = {0};
        for (size_t i = 0; i < family->n; i++) {
                const Member *member = &family->members[i];
                usage.memory_bytes += family->n == 1 ? member->memory_bytes : shared_out(member);
                usage.cpu_ms += member->cpu_ms;
        }
        scoped(free_str) char *group = cgroup_of(main);
        usage.memory_limit = memory_limit(group);
        usage.oom_kills = oom_kills(group);
        *ret = usage;
}
