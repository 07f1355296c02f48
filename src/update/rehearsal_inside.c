/*
 * The inside of a rehearsal: process 1 of namespaces of its own, with the service's paths and port, in which
 * everything may be changed and nothing lasts. What it starts ends with it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "config/config.h"
#include "model/redact.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "update/known.h"
#include "update/log_tail.h"
#include "update/rehearsal.h"
#include "update/request.h"
#include "update/settings.h"
#include "update/steps.h"

enum { REQUEST_MAX = 8 * 1024 * 1024, LOG_LINES = 200 };

typedef struct Inside {
        const State *state;
        json_t *request;
        World world;
        int64_t migrate_ms, start_ms, verify_ms;
        json_t *migrations; /* [{"id", "ms"}] */
        char *failed;       /* the id of the one that failed, or NULL */
        ChecksOutcome outcome;
} Inside;

static void inside_done(Inside *inside) {
        checks_outcome_done(&inside->outcome);
        world_done(&inside->world);
        json_decref(inside->request);
        json_decref(inside->migrations);
        free(inside->failed);
}

/* -- what is rehearsed ----------------------------------------------------------------------- */

static bool open_world(Inside *inside, Err *err) {
        const json_t *request = inside->request;
        World *world = &inside->world;
        if (!request_world(inside->state, request, world, err))
                return false;
        world->options = options_from_json(js_get(request, "options"));
        world_set_run(world, (unsigned)js_int(request, "run", 1));
        return true;
}

/* -- its parts, in their order --------------------------------------------------------------- */

bool rehearsal_forget_sidecars(const Service *service, Err *err) {
        static const char *const sidecars[] = {"-wal", "-shm", "-journal"};
        const BackupSpec *spec = &service->backup;
        for (size_t i = 0; i < spec->n_contents; i++)
                for (size_t k = 0; k < COUNT_OF(sidecars); k++) {
                        scoped(free_str) char *path =
                                str_format("%s%s", spec->contents[i].path, sidecars[k]);
                        if (spec->contents[i].kind == CONTENT_SQLITE && !file_unlink(path, err))
                                return false;
                }
        return true;
}

static bool forget_sidecars(Inside *inside, Err *err) {
        return rehearsal_forget_sidecars(inside->world.service, err);
}

static bool set_configuration(Inside *inside, Err *err) {
        World *world = &inside->world;
        scoped(settings_done) Settings settings = {0};
        scoped(free_str) char *undo = world_undo_file(world, "env");
        scoped(js_freep) json_t *facts = json_object();
        if (!config_wanted(&world->service->configuration))
                return true;
        if (!settings_expand(world, &world->to, &settings, err))
                return false;
        settings.change.undo_path = undo;
        return config_prepare(&settings.change, facts, err) && config_apply(facts, err);
}

static bool place(Inside *inside, Err *err) {
        const World *world = &inside->world;
        scoped(js_freep) json_t *facts = json_object();
        return world->source->place_facts(&world->source_at, &world->to, facts, err) &&
               world->source->place(&world->source_at, facts, err);
}

/* A step of a person cannot be rehearsed; those behind it can. */
static bool is_due(const Migration *migration, bool after_start) {
        return migration->spec->after_start == after_start && migration_pending(migration) &&
               migration->spec->kind != MIGRATION_MANUAL;
}

static bool run_one(
        Inside *inside, const MigrateContext *context, const Migration *migration, Err *err) {
        scoped(migrate_result_done) MigrateResult result = {0};
        int64_t began = clock_now_ms();
        if (!migrate_run(context, migration, &result, err)) {
                inside->failed = str_copy(migration->id);
                return false;
        }
        json_t *one = json_object();
        js_set_str(one, "id", migration->id);
        js_set_int(one, "ms", clock_now_ms() - began);
        json_array_append_new(inside->migrations, one);
        return true;
}

static bool run_migrations(Inside *inside, bool after_start, Err *err) {
        const World *world = &inside->world;
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        scoped(free_str) char *output = world_output_dir(world);
        scoped(strv_freep) Strv extra = NULL;
        if (world->options.no_migrations || !world->service->n_migrations)
                return true;
        strv_addf(&extra, "BELAY_VERSION=%s", world->to.version);
        strv_addf(&extra, "BELAY_PREVIOUS_VERSION=%s",
                world->from.version ? world->from.version : "");
        if (!looking_open(world, &world->to, &looking, err))
                return false;
        MigrateContext context = looking_migrate(world, &looking);
        context.output_dir = output;
        context.extra = extra;
        if (!migrate_list(&context, NULL, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++)
                if (is_due(&list.items[i], after_start) &&
                        !run_one(inside, &context, &list.items[i], err))
                        return false;
        return true;
}

static bool migrate(Inside *inside, Err *err) {
        int64_t began = clock_now_ms();
        bool done = run_migrations(inside, false, err);
        inside->migrate_ms = clock_now_ms() - began;
        return done;
}

static bool start(Inside *inside, Err *err) {
        int64_t began = clock_now_ms();
        bool done = start_release(&inside->world, &inside->world.to, err);
        inside->start_ms = clock_now_ms() - began;
        return done;
}

static bool migrate_after(Inside *inside, Err *err) {
        int64_t began = clock_now_ms();
        bool done = run_migrations(inside, true, err);
        inside->migrate_ms += clock_now_ms() - began;
        return done;
}

static Strv checks_to_ask(const Service *service) {
        Strv titles = NULL;
        strv_add(&titles, ""); /* none is no reason to ask all */
        for (size_t i = 0; i < service->n_checks; i++)
                if (rehearsal_can_ask(&service->checks[i]))
                        strv_add(&titles, service->checks[i].title);
        return titles;
}

static bool is_it(Inside *inside, Err *err) {
        const World *world = &inside->world;
        const InstalledSpec *installed = &world->service->installed;
        if (installed->http && !rehearsal_is_loopback(installed->http))
                return true;
        return check_reference(world, &world->to, err);
}

static bool verify(Inside *inside, Err *err) {
        int64_t began = clock_now_ms();
        const LogPlace beginning = {0};
        scoped(strv_freep) Strv only = checks_to_ask(inside->world.service);
        const Ask ask = {.release = &inside->world.to, .log_from = &beginning, .only = only};
        bool good =
                world_ask_checks(&inside->world, &ask, &inside->outcome, err) && is_it(inside, err);
        inside->verify_ms = clock_now_ms() - began;
        return good;
}

typedef struct Part {
        const char *name; /* "on the copy, <name> failed" */
        bool (*play)(Inside *inside, Err *err);
} Part;

static const Part parts[] = {
        {"reading what to rehearse", open_world},
        {"laying out its data", forget_sidecars},
        {"setting the configuration", set_configuration},
        {"placing the new files", place},
        {"migrating", migrate},
        {"starting", start},
        {"migrating after the start", migrate_after},
        {"verifying", verify},
};

/* -- how it went ----------------------------------------------------------------------------- */

static void add_log(const Inside *inside, json_t *said) {
        const World *world = &inside->world;
        scoped(looking_done) Looking looking = {0};
        if (!world->service || !looking_open(world, &world->to, &looking, NULL))
                return;
        scoped(free_str) char *tail = log_tail(looking.log_path, LOG_LINES);
        scoped(free_str) char *clean = redact(tail, looking.secrets);
        js_set_str(said, "log", clean);
}

/* What the migration that failed wrote goes with the copy. */
static void add_output(const Inside *inside, json_t *said) {
        if (!inside->failed)
                return;
        scoped(free_str) char *dir = world_output_dir(&inside->world);
        scoped(free_str) char *name = migrate_output_name(inside->failed);
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *tail = log_tail(path, LOG_LINES);
        js_set_str(said, "output", tail);
}

static void add_times(const Inside *inside, json_t *said) {
        js_set_int(said, "migrate_ms", inside->migrate_ms);
        js_set_int(said, "start_ms", inside->start_ms);
        js_set_int(said, "verify_ms", inside->verify_ms);
        js_set(said, "migrations", json_incref(inside->migrations));
}

static int say(const Inside *inside, const char *failed, const Err *err) {
        scoped(js_freep) json_t *said = json_object();
        js_set_bool(said, "ok", failed == NULL);
        js_set_str(said, "part", failed);
        if (failed) {
                js_set_str(said, "code", err_name(err->code));
                js_set_str(said, "message", err->message);
                js_set_str(said, "hint", err->hint);
        }
        add_times(inside, said);
        js_set(said, "checks", checks_outcome_to_json(&inside->outcome));
        add_log(inside, said);
        add_output(inside, said);
        scoped(free_str) char *line = js_line(said);
        return fd_write_all(STDOUT_FILENO, line, strlen(line), "the answer", NULL) && !failed ? 0
                                                                                              : 1;
}

/* The first process of a namespace has no default answer to it. */
static void on_signal(int signal_number) {
        (void)signal_number;
        _exit(1);
}

int rehearsal_main(const State *state) {
        fault_role("rehearsal");
        scoped(err_clear) Err err = {0};
        scoped(inside_done)
                Inside inside = {.state = state, .migrate_ms = -1, .start_ms = -1, .verify_ms = -1};
        inside.migrations = json_array();
        (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
        inside.request = request_read(REQUEST_MAX, &err);
        if (!inside.request)
                return say(&inside, "reading what to rehearse", &err);
        for (size_t i = 0; i < COUNT_OF(parts); i++)
                if (!parts[i].play(&inside, &err))
                        return say(&inside, parts[i].name, &err);
        return say(&inside, NULL, &err);
}
