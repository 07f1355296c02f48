/* diagnose and doctor: what is wrong, and what to do about it. */
#include "cli/verbs.h"

#include <stdio.h>

#include "base/own.h"
#include "update/diagnose.h"
#include "update/doctor.h"

static void print_diagnosis(const Diagnosis *one) {
        printf("  %s: %s\n", one->code, one->cause);
        if (one->evidence)
                printf("    │ %s\n", one->evidence);
        printf("    %s\n", one->remedy);
}

static void print_found(const World *world, const DiagnosisList *found) {
        const char *name = world->service->name;
        const char *version = world->from.version ? world->from.version : "";
        if (found->n == 0) {
                printf("%s %s: nothing wrong was found\n", name, version);
                return;
        }
        printf("%s %s: %zu thing%s found\n", name, version, found->n, found->n == 1 ? "" : "s");
        for (size_t i = 0; i < found->n; i++)
                print_diagnosis(&found->items[i]);
}

int verb_diagnose(App *app) {
        scoped(err_clear) Err err = {0}, looked = {0};
        scoped(world_done) World world = {0};
        scoped(diagnosis_list_done) DiagnosisList found = {0};
        if (!open_world(app, false, &world, &err))
                return app_fail(app, &err);
        /* A checkout that cannot be looked at is one of the things that may be wrong. */
        (void)world_look(&world, &looked);
        if (!diagnose_service(&world, &looked, &found, &err))
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "service", world.service->name);
        js_set_str(object, "version", world.from.version);
        js_set(object, "found", diagnosis_to_json(&found));
        app_print_json(app, object);
        if (!app->json)
                print_found(&world, &found);
        return found.n ? 1 : 0;
}

/* -- doctor -- */

static void print_point(const App *app, const DoctorPoint *point) {
        static const char *const marks[] = {"✔", "!", "✘"};
        if (app->quiet && point->level == DOCTOR_GOOD)
                return;
        printf("%s %s%s%s\n", marks[point->level], point->service ? point->service : "",
                point->service ? ": " : "", point->found);
        if (point->remedy)
                printf("    %s\n", point->remedy);
}

int verb_doctor(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(doctor_report_done) DoctorReport report = {0};
        if (!app_state(app, &err))
                return app_fail(app, &err);
        doctor_look(&app->state, &report);
        app_print_json(app, doctor_to_json(&report));
        for (size_t i = 0; !app->json && i < report.n; i++)
                print_point(app, &report.points[i]);
        if (!app->json)
                puts(report.worst == DOCTOR_GOOD ? "all is well"
                        : report.worst == DOCTOR_WRONG
                                ? "something is wrong: see ✘"
                                : "nothing is wrong; see ! for what could be better");
        return report.worst == DOCTOR_WRONG ? 1 : 0;
}
