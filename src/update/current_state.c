/* CURRENT_STATE.md: what a person wants to find who has no belay at hand. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "manifest/registry.h"
#include "platform/clock.h"
#include "update/history.h"
#include "update/known.h"
#include "update/report.h"

static int by_text(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Those with runs, and those that are only known. */
static Strv all_services(const History *history) {
        scoped(registry_done) Registry registry = {0};
        Strv names = NULL;
        for (size_t i = 0; i < history->index.n; i++) {
                const char *name = history->by_service[i]->service;
                if (*name && (i == 0 || !str_equal(name, history->by_service[i - 1]->service)))
                        strv_add(&names, name);
        }
        (void)registry_list(&registry, NULL);
        size_t with_runs = strv_count(names);
        for (size_t i = 0; i < registry.n; i++) {
                char *name = registry.entries[i].name;
                if (!with_runs || !bsearch(&name, names, with_runs, sizeof(*names), by_text))
                        strv_add(&names, name);
        }
        if (names)
                qsort(names, strv_count(names), sizeof(*names), by_text);
        return names;
}

static void add_release(Str *out, const Release *release) {
        if (!release->version)
                str_add(out, " – |");
        else if (!release->reference || str_equal(release->reference, release->version))
                str_addf(out, " %s |", release->version);
        else
                str_addf(out, " %s (%.12s) |", release->version, release->reference);
}

/* What keeps the next update from being begun. */
static void add_in_the_way(const State *state, const char *name, const Summary *run, Strv *lines) {
        scoped(person_lock_done) PersonLock lock = {0};
        bool held = false;
        if (run->damaged)
                strv_addf(lines, "%s: the journal of run #%u is damaged: `belay show %u`", name,
                        run->run, run->run);
        else if (run->run && run->end == RUN_OPEN && run->waiting)
                strv_addf(lines,
                        "%s: run #%u waits for a person: `belay report %u`, then `belay accept %u` "
                        "or `belay cancel %u`",
                        name, run->run, run->run, run->run, run->run);
        else if (run->end == RUN_NEEDS_PERSON)
                strv_addf(lines, "%s: run #%u needs a person: `belay report %u`", name, run->run,
                        run->run);
        if (person_lock_get(state, name, &lock, &held, NULL) && held)
                strv_addf(lines, "%s: locked by %s: %s", name, lock.user ? lock.user : "a person",
                        lock.reason);
}

static void add_service(
        Str *out, const History *history, const State *state, const char *name, Strv *lines) {
        scoped(installed_done) Installed installed = {0};
        scoped(summary_done) Summary run = {0};
        (void)installed_load(state, name, &installed, NULL);
        bool found = history_newest(history, name, &run);
        /* A service that was never updated has no record; its run says from where it wanted to go. */
        const Release from = {.version = run.from};
        str_addf(out, "| %s |", name);
        add_release(out, installed.current.version ? &installed.current : &from);
        add_release(out, &installed.previous);
        if (found) {
                scoped(free_str) char *how = history_state_text(state, &run);
                scoped(free_str) char *when = time_text(run.ended_ms ? run.ended_ms : run.began_ms);
                str_addf(out, " #%u %s | %s |", run.run, how, when);
        } else {
                str_add(out, " none | – |");
        }
        str_addf(out, " %s |\n", installed.previous_backup ? installed.previous_backup : "–");
        add_in_the_way(state, name, &run, lines);
}

char *report_current_state(const State *state, Err *err) {
        scoped(history_done) History history = {0};
        if (!history_open(state, &history, err))
                return NULL;
        Str out = {0};
        scoped(free_str) char *now = time_text(clock_wall_ms());
        scoped(strv_freep) Strv names = all_services(&history);
        scoped(strv_freep) Strv lines = NULL;
        str_addf(&out,
                "# Current state\n\nAs the last run of each service left it, written at %s. `belay "
                "status` asks the services themselves.\n\n| service | version | back to | last run "
                "| when | backup before it |\n|---|---|---|---|---|---|\n",
                now);
        for (size_t i = 0; names && names[i]; i++)
                add_service(&out, &history, state, names[i], &lines);
        str_add(&out, lines ? "\n## In the way\n\n" : "");
        for (size_t i = 0; lines && lines[i]; i++)
                str_addf(&out, "- %s\n", lines[i]);
        return str_take(&out);
}
