#include "update/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "base/units.h"
#include "client/http.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"
#include "update/boot.h"
#include "update/runs.h"
#include "update/world.h"

enum { ROOM_LOW_BYTES = 100 << 20, TOOL_LIMIT_MS = 10000 };

static void add(DoctorReport *report, const char *code, DoctorLevel level, char *owned_found,
        const char *remedy) {
        const DoctorPoint point = {.code = code,
                .level = level,
                .found = owned_found,
                .remedy = level == DOCTOR_GOOD ? NULL : str_copy(remedy)};
        PUSH(report->points, report->n, point);
        report->worst = level > report->worst ? level : report->worst;
}

static void add_err(
        DoctorReport *report, const char *code, DoctorLevel level, Err *err, const char *remedy) {
        add(report, code, level, str_copy(err->message), err->hint ? err->hint : remedy);
        err_clear(err);
}

/* -- the machine -- */

static void look_at_kernel(const State *state, DoctorReport *report) {
        (void)state;
        int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        if (fd < 0) {
                add(report, "kernel", DOCTOR_WRONG,
                        str_copy("this kernel has no pidfd_open: processes could be mistaken"),
                        "Belay needs Linux 5.6 or newer.");
                return;
        }
        (void)close(fd);
        add(report, "kernel", DOCTOR_GOOD, str_copy("the kernel has what Belay needs"), NULL);
}

static void look_at_proc(const State *state, DoctorReport *report) {
        (void)state;
        struct stat st;
        if (stat("/proc/1/stat", &st) == 0 && access("/proc/self/net/tcp", R_OK) == 0)
                add(report, "proc", DOCTOR_GOOD, str_copy("/proc shows processes and ports"), NULL);
        else
                add(report, "proc", DOCTOR_WARNING,
                        str_copy("/proc does not show the processes of others"),
                        "It is mounted with hidepid: who holds a port cannot be said.");
}

/* One program under the supervisor: the way of all programs that Belay starts. */
static bool run_tool(char *const *argv, char **ret_out, Err *err) {
        const Child request = {.argv = argv, .timeout_ms = TOOL_LIMIT_MS, .what = argv[0]};
        scoped(child_result_done) ChildResult result = {0};
        if (!child_run(&request, &result, err))
                return false;
        if (result.exit_status != 0)
                return err_fail(err, ERR_TOOL, "'%s' answered %d", argv[0], result.exit_status);
        *ret_out = str_copy_n(result.out, strcspn(result.out, "\n"));
        return true;
}

static void look_at_tools(const State *state, DoctorReport *report) {
        static char program[] = "git", version[] = "--version";
        static char *const git[] = {program, version, NULL};
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *supervisor = process_helper_path();
        scoped(free_str) char *said = NULL;
        if (access(supervisor, X_OK) != 0) {
                add(report, "belay-exec", DOCTOR_WRONG, str_format("there is no '%s'", supervisor),
                        "Install Belay anew: make install.");
                return;
        }
        if (run_tool(git, &said, &err))
                add(report, "git", DOCTOR_GOOD, TAKE(said), NULL);
        else
                add_err(report, "git", DOCTOR_WRONG, &err, "Install git: apt-get install git");
}

static void look_at_http(const State *state, DoctorReport *report) {
        (void)state;
        scoped(err_clear) Err err = {0};
        scoped(http_freep) Http *http = NULL;
        if (http_new(&http, &err))
                add(report, "http", DOCTOR_GOOD, str_copy("libcurl can be loaded"), NULL);
        else
                add_err(report, "http", DOCTOR_WRONG, &err, "Install it: apt-get install libcurl4");
}

static void look_at_time(const State *state, DoctorReport *report) {
        (void)state;
        /* 2024-01-01: older than any release of this program. */
        if (clock_wall_ms() < 1704067200000)
                add(report, "clock", DOCTOR_WRONG, str_copy("the clock of this machine is wrong"),
                        "Set it; until then no backup is removed by age.");
        else
                add(report, "clock", DOCTOR_GOOD, str_copy("the clock may be right"), NULL);
        if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
                add(report, "time-zones", DOCTOR_GOOD, str_copy("time zones are known"), NULL);
        else
                add(report, "time-zones", DOCTOR_WARNING,
                        str_copy("time zones are not known: windows with a zone cannot be used"),
                        "Install them: apt-get install tzdata");
}

static void look_at_boot(const State *state, DoctorReport *report) {
        scoped(free_str) char *missing = boot_missing(state);
        if (!missing) {
                add(report, "boot", DOCTOR_GOOD, str_copy("interrupted runs are finished at boot"),
                        NULL);
                return;
        }
        add(report, "boot", DOCTOR_WARNING,
                str_copy("after a power cut nobody finishes an interrupted run by himself"),
                missing);
}

/* -- the state directory -- */

static void look_at_rights(const State *state, DoctorReport *report) {
        struct stat st;
        if (stat(state->root, &st) < 0 || st.st_mode & 077)
                add(report, "state-rights", DOCTOR_WRONG,
                        str_format("others may look into '%s'", state->root),
                        "Old settings with their secrets are in there: chmod 700 it.");
        else
                add(report, "state-rights", DOCTOR_GOOD,
                        str_format("'%s' is its owner's alone", state->root), NULL);
}

static void look_at_writing(const State *state, DoctorReport *report) {
        scoped(err_clear) Err err = {0};
        scoped(free_str) char *path = path_join(state->root, ".doctor");
        uint64_t left = 0;
        if (!file_write_durable(path, "x", 1, 0600, &err) || !file_unlink(path, &err) ||
                !disk_free(state->root, &left, &err)) {
                add_err(report, "state-writable", DOCTOR_WRONG, &err,
                        "Without its journal Belay changes nothing: mend that disk first.");
                return;
        }
        scoped(free_str) char *room = bytes_text(left);
        add(report, "state-writable", left < ROOM_LOW_BYTES ? DOCTOR_WARNING : DOCTOR_GOOD,
                str_format("'%s' can be written; %s free", state->root, room),
                "Make room: backups are kept there unless the manifests say otherwise.");
}

static void look_at_journals(const State *state, DoctorReport *report) {
        scoped(err_clear) Err err = {0};
        Run *runs = NULL;
        size_t n = 0, damaged = 0, open = 0, waiting = 0;
        if (!run_list(state, NULL, SIZE_MAX, &runs, &n, &err)) {
                add_err(report, "journals", DOCTOR_WRONG, &err, "Look at the state directory.");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                bool is_open = !runs[i].damaged && runs[i].state.end == RUN_OPEN;
                damaged += runs[i].damaged;
                waiting += is_open && runs[i].state.waiting;
                open += is_open && !runs[i].state.waiting && !run_owner_alive(&runs[i]);
        }
        run_list_free(runs, n);
        if (damaged)
                add(report, "journals", DOCTOR_WRONG,
                        str_format("%zu of %zu journals cannot be trusted", damaged, n),
                        "`belay runs --all` names them; is that disk all right?");
        else if (open)
                add(report, "journals", DOCTOR_WRONG,
                        str_format("%zu of %zu runs are open, and nobody works on them", open, n),
                        "`belay resume --all` finishes them.");
        else if (waiting)
                add(report, "journals", DOCTOR_WARNING,
                        str_format("%zu of %zu runs wait for a person", waiting, n),
                        "`belay status` names them, and what can be said: accept or cancel.");
        else
                add(report, "journals", DOCTOR_GOOD, str_format("%zu runs, none open", n), NULL);
}

/* -- services -- */

/* A store that is not made yet will be where its nearest directory is. */
static bool same_disk(const char *a, const char *b) {
        struct stat x, y;
        scoped(free_str) char *at = str_copy(a);
        while (stat(at, &x) < 0 && strlen(at) > 1)
                str_replace_owned(&at, path_dirname(at));
        return stat(at, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev;
}

static void look_at_world(World *world, DoctorReport *report) {
        scoped(err_clear) Err err = {0};
        scoped(runtime_status_done) RuntimeStatus now = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, &err)) {
                add_err(report, "runtime", DOCTOR_WRONG, &err, "`belay status` says more.");
                return;
        }
        if (now.running && !now.keeper_present)
                add(report, "keeper", DOCTOR_WARNING, str_copy("runs, but nobody watches it"),
                        "`belay start` gives it a keeper without a restart.");
        else if (now.wanted_running && !now.running)
                add(report, "service", DOCTOR_WARNING, str_copy("should run, and does not"),
                        "`belay diagnose` looks why.");
        else
                add(report, "service", DOCTOR_GOOD,
                        str_copy(now.running ? "runs, watched by its keeper" : "is stopped"), NULL);
        if (same_disk(world_store(world), world->service->directory))
                add(report, "store", DOCTOR_WARNING,
                        str_copy("its backups are on the disk of its data"),
                        "A disk that dies takes both: name another one under backup.stores.");
}

static void look_at_service(const State *state, const char *path, DoctorReport *report) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        Service *service = NULL;
        if (!manifest_load(path, &service, &err) || !world_open(state, service, &world, &err))
                add_err(report, "manifest", DOCTOR_WRONG, &err,
                        "`belay validate` shows what is wrong.");
        else
                look_at_world(&world, report);
}

static void look_at_services(const State *state, DoctorReport *report) {
        scoped(err_clear) Err err = {0};
        scoped(registry_done) Registry known = {0};
        if (!registry_list(&known, &err)) {
                add_err(report, "services", DOCTOR_WRONG, &err, "Look at that directory.");
                return;
        }
        for (size_t i = 0; i < known.n; i++) {
                const size_t before = report->n;
                look_at_service(state, known.entries[i].path, report);
                for (size_t k = before; k < report->n; k++)
                        report->points[k].service = str_copy(known.entries[i].name);
        }
}

void doctor_look(const State *state, DoctorReport *ret) {
        static void (*const looks[])(const State *, DoctorReport *) = {
                look_at_kernel,
                look_at_proc,
                look_at_tools,
                look_at_http,
                look_at_time,
                look_at_boot,
                look_at_rights,
                look_at_writing,
                look_at_journals,
                look_at_services,
        };
        for (size_t i = 0; i < COUNT_OF(looks); i++)
                looks[i](state, ret);
}

const char *doctor_level_name(DoctorLevel level) {
        static const char *const names[] = {"good", "warning", "wrong"};
        return names[level];
}

json_t *doctor_to_json(const DoctorReport *report) {
        json_t *points = json_array();
        for (size_t i = 0; i < report->n; i++) {
                const DoctorPoint *point = &report->points[i];
                json_t *object = json_object();
                js_set_str(object, "code", point->code);
                js_set_str(object, "level", doctor_level_name(point->level));
                js_set_str(object, "service", point->service);
                js_set_str(object, "found", point->found);
                js_set_str(object, "remedy", point->remedy);
                json_array_append_new(points, object);
        }
        json_t *object = json_object();
        js_set_str(object, "worst", doctor_level_name(report->worst));
        js_set(object, "points", points);
        return object;
}

void doctor_report_done(DoctorReport *report) {
        for (size_t i = 0; i < report->n; i++) {
                free(report->points[i].service);
                free(report->points[i].found);
                free(report->points[i].remedy);
        }
        free(report->points);
        *report = (DoctorReport){0};
}
