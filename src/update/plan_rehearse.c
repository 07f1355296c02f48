/* The rehearsal in a plan: whether there is one, what it says, and why there is none. */
#include "base/own.h"
#include "update/plan.h"
#include "update/rehearsal.h"
#include "update/steps.h"
#include "update/stories.h"

static size_t migrations_of(const World *world, const MigrationList *list) {
        size_t n = 0;
        for (size_t i = 0; !world->options.no_migrations && i < list->n; i++)
                n += migration_pending(&list->items[i]) &&
                     list->items[i].spec->kind != MIGRATION_MANUAL;
        return n;
}

static char *line_of(const World *world, const Preflight *preflight, const RehearsalPlan *can) {
        size_t migrations = migrations_of(world, &preflight->migrations);
        Str text = {0};
        str_add(&text, "rehearse on a copy: ");
        if (migrations)
                str_addf(&text, "%zu migration%s, ", migrations, migrations == 1 ? "" : "s");
        str_add(&text, "start");
        if (can->asked)
                str_addf(&text, ", %zu check%s", can->asked, can->asked == 1 ? "" : "s");
        return str_take(&text);
}

static void add_line(
        Plan *plan, const World *world, const Preflight *preflight, const RehearsalPlan *can) {
        plan_add(plan, &step_rehearse, NULL, line_of(world, preflight, can), "remove the copy");
        if (can->left_out)
                plan_note(plan, "of a copy %zu check%s cannot be asked: %s to another address",
                        can->left_out, can->left_out == 1 ? "" : "s",
                        can->left_out == 1 ? "it goes" : "they go");
}

bool plan_add_rehearsal(World *world, Plan *plan, Preflight *preflight, Err *err) {
        bool alone = plan->story == &rehearse_story;
        scoped(rehearsal_plan_done) RehearsalPlan can = {0};
        if (!alone && world->options.no_rehearsal) {
                plan_note(plan, "not rehearsed: --no-rehearsal");
                return true;
        }
        if (!alone && world->service->rehearse == REHEARSE_NEVER)
                return true;
        if (!rehearsal_look(world, preflight, &can, err))
                return false;
        if (can.can)
                add_line(plan, world, preflight, &can);
        else if (alone || world->service->rehearse == REHEARSE_ALWAYS)
                reason_add(&preflight->reasons, REASON_NO_REHEARSAL, 0,
                        alone ? NULL
                              : "`rehearse: always` asks for it; --no-rehearsal goes without.",
                        "%s cannot be rehearsed: %s", world->service->name, can.why_not);
        else
                plan_note(plan, "not rehearsed: %s", can.why_not);
        return true;
}
