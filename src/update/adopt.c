#include "update/adopt.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "check/check.h"
#include "platform/clock.h"
#include "update/steps.h"

void adopted_done(Adopted *adopted) {
        free(adopted->output);
        *adopted = (Adopted){0};
}

/* -- which version it is ---------------------------------------------------------------------- */

static bool names_version(const char *text) {
        return text &&
               (strstr(text, "${version}") || strstr(text, "${tag}") || strstr(text, "${commit}"));
}

/* Whether a check would fail on another version. */
static bool version_is_asked(const Service *service) {
        if (installed_can(&service->installed))
                return true;
        for (size_t i = 0; i < service->n_checks; i++) {
                const CheckSpec *check = &service->checks[i];
                for (size_t k = 0; k < check->n_json; k++)
                        if (names_version(check->json[k].value))
                                return true;
                if (names_version(check->body))
                        return true;
        }
        return false;
}

static bool version_is_known(const World *world, const RuntimeForeign *foreign, Err *err) {
        scoped(source_look_done) SourceLook look = {0};
        if (version_is_asked(world->service))
                return true;
        if (!world->source->look(world->service->git.directory, &look, err))
                return false;
        if (look.moved_at_ms <= foreign->started_at_ms)
                return true;
        scoped(free_str) char *ago = duration_text(clock_wall_ms() - foreign->started_at_ms);
        err_fail(err, ERR_REFUSED,
                "%s runs already (pid %d, for %s), but its checkout was changed after it began, so "
                "which version runs is not known",
                world->service->name, (int)foreign->main.pid, ago);
        return err_hint(err,
                "End process %d and start it again, or let a check ask for its version: json: { "
                ".version: \"${version}\" }.",
                (int)foreign->main.pid);
}

static bool is_well(const World *world, const RuntimeForeign *foreign, Err *err) {
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        const Ask ask = {.release = &world->from, .now = true, .main = &foreign->main};
        if (world_ask_checks(world, &ask, &outcome, err) &&
                check_installed(world, &world->from, err))
                return true;
        err_context(err, "%s runs already (pid %d), and was not taken over", world->service->name,
                (int)foreign->main.pid);
        return err_hint(err,
                "If it is another version than the checkout holds, or not well: end process %d, "
                "then "
                "start it here.",
                (int)foreign->main.pid);
}

/* -- what was done to its data before --------------------------------------------------------- */

/* It serves, so the migrations of its version were done, by whomever; once is once. */
static bool note_migrations(const World *world, Adopted *ret, Err *err) {
        scoped(looking_done) Looking looking = {0};
        scoped(migration_list_done) MigrationList list = {0};
        if (!world->service->n_migrations)
                return true;
        if (!looking_open(world, &world->from, &looking, err))
                return false;
        const MigrateContext context = looking_migrate(world, &looking);
        if (!migrate_list(&context, NULL, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++) {
                if (list.items[i].state != MIGRATION_NEW)
                        continue;
                if (!migrate_record_add(&context, &list.items[i], 0, err))
                        return err_context(err, "noting the migrations that were done before");
                ret->migrations++;
        }
        return true;
}

/* -- the story -------------------------------------------------------------------------------- */

bool adopt_running(const World *world, Adopted *ret, Err *err) {
        scoped(runtime_status_done) RuntimeStatus now = {0};
        scoped(runtime_foreign_done) RuntimeForeign foreign = {0};
        scoped(adopted_done) Adopted adopted = {0};
        scoped(free_str) char *directory = NULL;
        StartRequest request = {0};
        if (!world->runtime->inspect(&world->runtime_at, &now, err))
                return false;
        if (now.running)
                return true;
        if (!start_request(world, &world->from, &directory, &request, err) ||
                !world->runtime->foreign(&world->runtime_at, &request, &foreign, err))
                return false;
        if (foreign.main.pid == 0)
                return true;
        if (!version_is_known(world, &foreign, err) || !is_well(world, &foreign, err) ||
                !note_migrations(world, &adopted, err) ||
                !world->runtime->adopt(&world->runtime_at, &request, &foreign, err))
                return false;
        adopted.done = true;
        adopted.main = foreign.main;
        adopted.output = TAKE(foreign.output);
        *ret = adopted;
        adopted = (Adopted){0};
        return true;
}
