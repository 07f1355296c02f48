#include "update/predict.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/units.h"
#include "update/history.h"
#include "update/statistics.h"

enum {
        RUNS_LOOKED_AT = 50,
        SCALED_FROM_BYTES = 1000000, /* below, a backup's time is not that of its bytes */
};

/* -- steps -- */

static bool moves_the_backup(const char *step) {
        static const char *const names[] = {"backup", "prove", "merge", "backup-after"};
        for (size_t i = 0; i < COUNT_OF(names); i++)
                if (str_equal(step, names[i]))
                        return true;
        return false;
}

static const StepTime *find_step(const Summary *run, const char *name, const char *instance) {
        for (size_t i = 0; i < run->n_steps; i++)
                if (str_equal(run->steps[i].name, name) &&
                        str_equal(run->steps[i].instance, instance))
                        return &run->steps[i];
        return NULL;
}

static int64_t scaled(int64_t ms, const Summary *run, uint64_t bytes_now) {
        const StepTime *backup = find_step(run, "backup", NULL);
        if (!backup || backup->bytes < SCALED_FROM_BYTES || bytes_now < SCALED_FROM_BYTES)
                return ms;
        return (int64_t)((double)ms * ((double)bytes_now / (double)backup->bytes));
}

static bool is_like(const Summary *run, const Plan *plan) {
        return !run->damaged && run->end != RUN_OPEN && str_equal(run->kind, plan->story->kind);
}

static int64_t usual_step(
        const Plan *plan, const World *world, const PlanLine *line, const Summary *runs, size_t n) {
        int64_t times[PREDICT_STEPS_FROM];
        size_t found = 0;
        for (size_t i = 0; i < n && found < PREDICT_STEPS_FROM; i++) {
                const StepTime *step =
                        is_like(&runs[i], plan)
                                ? find_step(&runs[i], line->step->name, line->instance)
                                : NULL;
                if (!step)
                        continue;
                times[found++] = moves_the_backup(line->step->name)
                                         ? scaled(step->ms, &runs[i], world->backup_plan.bytes)
                                         : step->ms;
        }
        if (found == 0)
                return -1;
        /* How long it is watched is known; how long it was, the manifest may have changed. */
        if (str_equal(line->step->name, "monitor"))
                return world->service->monitor.for_ms;
        return spread_of(times, found).median;
}

/* -- time without service -- */

static Downtime usual_downtime(const Plan *plan, const Summary *runs, size_t n) {
        int64_t gaps[PREDICT_GAP_FROM];
        size_t found = 0;
        for (size_t i = 0; i < n && found < PREDICT_GAP_FROM; i++)
                if (is_like(&runs[i], plan) && runs[i].end == RUN_SUCCEEDED && runs[i].gap_ms >= 0)
                        gaps[found++] = runs[i].gap_ms;
        Spread spread = spread_of(gaps, found);
        return (Downtime){.runs = found,
                .ms = spread.median,
                .shortest_ms = found ? gaps[0] : 0,
                .longest_ms = spread.longest};
}

/* -- what was rehearsed -- */

/* The newest of the change that is planned. */
static const Summary *find_rehearsal(const Plan *plan, const Summary *runs, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (runs[i].was_rehearsed && str_equal(runs[i].from, plan->from.version) &&
                        str_equal(runs[i].to, plan->to.version))
                        return &runs[i];
        return NULL;
}

static size_t count_lines(const Plan *plan, const char *step) {
        size_t n = 0;
        for (size_t i = 0; i < plan->n_lines; i++)
                n += str_equal(plan->lines[i].step->name, step);
        return n;
}

/* Of several migrations only all together were measured. */
static int64_t rehearsed_step(const Plan *plan, const PlanLine *line, const Rehearsed *rehearsed) {
        const char *name = line->step->name;
        if (str_equal(name, "start"))
                return rehearsed->start_ms;
        if (str_equal(name, "verify"))
                return rehearsed->verify_ms;
        bool alone = str_equal(name, "migrate") && count_lines(plan, "migrate") == 1 &&
                     count_lines(plan, "migrate-after") == 0;
        return alone ? rehearsed->migrate_ms : -1;
}

static void add_rehearsal(Plan *plan, const Summary *runs, size_t n) {
        const Summary *run = find_rehearsal(plan, runs, n);
        if (!run || !str_equal(plan->story->kind, "update"))
                return;
        const int64_t parts[] = {
                run->rehearsed.migrate_ms, run->rehearsed.start_ms, run->rehearsed.verify_ms};
        plan->downtime.rehearsed = true;
        for (size_t i = 0; i < COUNT_OF(parts); i++)
                plan->downtime.rehearsed_ms += parts[i] > 0 ? parts[i] : 0;
        for (size_t i = 0; i < plan->n_lines; i++) {
                PlanLine *line = &plan->lines[i];
                if (line->usually_ms < 0)
                        line->usually_ms = rehearsed_step(plan, line, &run->rehearsed);
        }
}

/* -- both -- */

void plan_predict_from(Plan *plan, const World *world, const Summary *runs, size_t n) {
        for (size_t i = 0; i < plan->n_lines; i++)
                plan->lines[i].usually_ms = usual_step(plan, world, &plan->lines[i], runs, n);
        plan->downtime = usual_downtime(plan, runs, n);
        add_rehearsal(plan, runs, n);
}

void plan_predict(Plan *plan, const World *world) {
        scoped(history_done) History history = {0};
        Summary *runs = NULL;
        size_t n = 0;
        if (!history_open(world->state, &history, NULL))
                return;
        history_list(&history, world->service->name, RUNS_LOOKED_AT, &runs, &n);
        plan_predict_from(plan, world, runs, n);
        history_list_free(runs, n);
}

/* -- words -- */

char *usual_text(int64_t ms) {
        if (ms < 0)
                return str_copy("–");
        if (ms < 1000)
                return str_copy("< 1 s");
        return ms < 60000 ? str_format("%" PRId64 " s", (ms + 500) / 1000) : duration_text(ms);
}

static void add_rehearsed(Str *out, const Downtime *of, const char *before, const char *after) {
        if (!of->rehearsed)
                return;
        scoped(free_str) char *rehearsed = duration_text(of->rehearsed_ms);
        str_addf(out, "%s%s%s", before, rehearsed, after);
}

char *downtime_text(const Plan *plan) {
        static const char *const counts[] = {"", "", " two", " three"};
        const Downtime *of = &plan->downtime;
        const char *kind = plan->story->kind;
        scoped(free_str) char *usual = duration_text(of->ms);
        scoped(free_str) char *shortest = duration_text(of->shortest_ms);
        scoped(free_str) char *longest = duration_text(of->longest_ms);
        Str out = {0};
        if (of->runs == 0) {
                add_rehearsed(&out, of, "", " (as rehearsed)");
                return out.len ? str_take(&out) : NULL;
        }
        if (of->runs == 1)
                str_addf(&out, "%s (as in the last %s", usual, kind);
        else
                str_addf(&out, "%s (last%s %ss: %s to %s", usual, counts[of->runs], kind, shortest,
                        longest);
        add_rehearsed(&out, of, "; rehearsed: ", "");
        str_add(&out, ")");
        return str_take(&out);
}
