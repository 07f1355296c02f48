/* check, notes: what there is, and what is said of it. */
#include "cli/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "base/units.h"
#include "base/version.h"
#include "platform/clock.h"
#include "update/choose.h"
#include "update/known.h"
#include "update/release_text.h"

enum { SHORT_NOTES = 140, NOTES_SHOWN = 20 };

/* -- check: what is asked -- */

typedef struct Checked {
        World world;
        Offers offers;
        char *bad;        /* why the newest proved bad, or NULL */
        const char *step; /* "minor" */
        bool available, breaking;
        const ReleaseInfo **between; /* newer than what is installed, oldest first */
        size_t n_between;
} Checked;

static void checked_done(Checked *checked) {
        world_done(&checked->world);
        offers_done(&checked->offers);
        free(checked->bad);
        free(checked->between);
}

/* For status, which asks no network. */
static void remember_offer(const World *world) {
        scoped(js_freep) json_t *object = json_object();
        js_set_str(object, "newest", world->to.version);
        js_set_str(object, "version", world->to.version);
        js_set_str(object, "reference", world->to.reference);
        js_set_str(object, "tag", world->to.tag);
        js_set_int(object, "at", clock_wall_ms());
        js_set(object, "support", support_to_json(&world->releases.data));
        (void)state_save(world->state, world->service->name, OFFERS_FILE, object, NULL);
}

/* Which versions there are is worth knowing even when nobody says what they are. */
static bool find_newest(World *world, Err *err) {
        scoped(err_clear) Err why = {0};
        if (choose_target(world, NULL, RELEASES_ASK, &why))
                return true;
        release_done(&world->to);
        if (!releases_wanted(world->service) || why.code == ERR_CANCELLED ||
                !world->source->resolve(&world->source_at, NULL, &world->from, &world->to, err)) {
                if (!err->code)
                        err_move(err, &why);
                return false;
        }
        str_replace_owned(&world->releases.trouble, str_copy(why.message));
        return true;
}

static bool look(App *app, Checked *ret, Err *err) {
        World *world = &ret->world;
        const char *which = NULL;
        if (!open_world(app, false, world, err) ||
                !world->source->installed(&world->source_at, &world->from, err) ||
                !world->source->list(&world->source_at, &ret->offers, err) ||
                !find_newest(world, err) ||
                !bad_find(world->state, world->service->name, world->to.reference, &ret->bad, err))
                return false;
        const ReleaseData *data = &world->releases.data;
        ret->available = !str_equal(world->from.reference, world->to.reference);
        ret->step = version_step(world->from.version, world->to.version);
        ret->breaking = release_data_breaking(data, world->from.version, world->to.version, &which);
        ret->between =
                release_data_between(data, world->from.version, world->to.version, &ret->n_between);
        return true;
}

/* -- check: printed -- */

static void print_all(const Checked *checked) {
        const World *world = &checked->world;
        const Offers *offers = &checked->offers;
        for (size_t i = 0; i < offers->n; i++) {
                const Release *release = &offers->releases[i];
                const ReleaseInfo *info = choose_info(world, release->version);
                scoped(free_str) char *bad = NULL;
                scoped(free_str) char *marks = info ? release_marks(info, NULL) : str_copy("");
                (void)bad_find(world->state, world->service->name, release->reference, &bad, NULL);
                printf("  %-16s %.12s%s%s%s%s%s\n", release->tag, release->reference,
                        str_equal(release->reference, world->from.reference) ? "  installed" : "",
                        marks[0] ? "  " : "", marks,
                        offers->moved[i] ? "  MOVED since Belay knew it: refused" : "",
                        bad ? "  bad: " : "");
                if (bad)
                        printf("    %s\n", bad);
        }
        size_t ignored = strv_count(offers->ignored);
        if (ignored)
                printf("  %zu tag%s ignored, no version\n", ignored,
                        ignored == 1 ? " is" : "s are");
}

static void print_notes_short(const Checked *checked) {
        size_t older = checked->n_between > NOTES_SHOWN ? checked->n_between - NOTES_SHOWN : 0;
        for (size_t i = checked->n_between; i-- > older;) {
                const ReleaseInfo *info = checked->between[i];
                const char *before =
                        i ? checked->between[i - 1]->version : checked->world.from.version;
                scoped(free_str) char *marks = release_marks(info, before);
                scoped(free_str) char *notes = release_notes_short(info->notes, SHORT_NOTES);
                printf("  %-10s %s%s%s\n", info->version, marks, marks[0] && notes[0] ? ": " : "",
                        notes);
        }
        if (older)
                printf("  and %zu older\n", older);
        if (checked->n_between)
                printf("  All of it: belay notes %s\n", checked->world.service->name);
}

static void print_release_state(const World *world) {
        scoped(free_str) char *support =
                release_support_text(&world->releases.data, world->from.version, world->to.version);
        scoped(free_str) char *trouble = release_trouble_text(&world->releases);
        if (support)
                printf("  Support: %s\n", support);
        if (world->waiting.version) {
                scoped(free_str) char *age = choose_age_text(world, &world->waiting);
                scoped(free_str) char *when = time_text(world->waiting_until_ms);
                printf("  %s is there, too, but waits until %s (%s)\n", world->waiting.version,
                        when, age);
        }
        for (size_t i = 0; world->releases.data.warnings && world->releases.data.warnings[i]; i++)
                printf("  Note: %s\n", world->releases.data.warnings[i]);
        if (trouble)
                printf("  Note: %s\n", trouble);
}

static void print_check(const Checked *checked) {
        const World *world = &checked->world;
        const char *name = world->service->name;
        if (!checked->available) {
                printf("%s %s is the newest%s\n", name, world->from.version,
                        world->waiting.version ? " that is offered" : "");
                print_release_state(world);
                return;
        }
        printf("%s %s: %s is there (%s%s)%s%s\n", name, world->from.version, world->to.version,
                checked->step ? checked->step : "other", checked->breaking ? ", breaking" : "",
                checked->bad ? ", but it was " : "", checked->bad ? checked->bad : "");
        print_notes_short(checked);
        print_release_state(world);
        printf("  What an update would do: belay plan %s\n", name);
}

/* -- check: as JSON -- */

static json_t *infos_json(const ReleaseData *data, const ReleaseInfo *const *infos, size_t n) {
        json_t *array = json_array();
        for (size_t i = n; i-- > 0;) {
                json_t *object = release_info_to_json(infos[i]);
                js_set_str(object, "support",
                        support_name(release_data_support(data, infos[i]->version)));
                json_array_append_new(array, object);
        }
        return array;
}

static json_t *offers_json(const Checked *checked) {
        json_t *array = json_array();
        for (size_t i = 0; i < checked->offers.n; i++) {
                const Release *release = &checked->offers.releases[i];
                const ReleaseInfo *info = choose_info(&checked->world, release->version);
                json_t *object = release_to_json(release);
                js_set_bool(object, "moved", checked->offers.moved[i]);
                if (info)
                        js_set(object, "release", release_info_to_json(info));
                json_array_append_new(array, object);
        }
        return array;
}

static json_t *check_json(const Checked *checked, bool all) {
        const World *world = &checked->world;
        const ReleaseData *data = &world->releases.data;
        json_t *object = json_object();
        js_set_str(object, "service", world->service->name);
        js_set(object, "installed", release_to_json(&world->from));
        js_set(object, "newest", release_to_json(&world->to));
        js_set_bool(object, "update_available", checked->available);
        js_set_bool(object, "breaking", checked->breaking);
        js_set_str(object, "bad", checked->bad);
        js_set_str(
                object, "support", support_name(release_data_support(data, world->from.version)));
        js_set_str(object, "support_of_newest",
                support_name(release_data_support(data, world->to.version)));
        js_set(object, "releases", infos_json(data, checked->between, checked->n_between));
        if (world->waiting.version) {
                json_t *waiting = release_to_json(&world->waiting);
                scoped(free_str) char *until = time_text(world->waiting_until_ms);
                js_set_str(waiting, "until", until);
                js_set(object, "waiting", waiting);
        }
        release_data_facts(world, object);
        if (all)
                js_set(object, "versions", offers_json(checked));
        return object;
}

int verb_check(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(checked_done) Checked checked = {0};
        if (!look(app, &checked, &err))
                return app_fail(app, &err);
        remember_offer(&checked.world);
        bool all = app->opt[OPT_ALL] != NULL;
        app_print_json(app, check_json(&checked, all));
        if (!app->json)
                print_check(&checked);
        if (!app->json && all)
                print_all(&checked);
        return checked.available && !checked.bad && app->opt[OPT_EXIT_CODE] ? 10 : 0;
}

/* -- notes -- */

static void print_indented(const char *text) {
        for (const char *line = text; line && *line;) {
                size_t bytes = strcspn(line, "\n");
                printf("%s%.*s\n", bytes ? "  " : "", (int)bytes, line);
                line += bytes + (line[bytes] == '\n');
        }
}

static void print_settings(const ReleaseInfo *info) {
        for (size_t i = 0; i < info->n_settings; i++) {
                const ReleaseSetting *setting = &info->settings[i];
                printf("  Setting %s: %s%s\n", setting->name,
                        setting->required ? "required" : "optional",
                        setting->required && setting->secret ? ", made by Belay if it is missing"
                                                             : "");
        }
}

static void print_release(const ReleaseInfo *info) {
        scoped(free_str) char *marks = release_marks(info, NULL);
        printf("%s%s%s\n", info->version, marks[0] ? "   " : "", marks);
        if (info->requires_from)
                printf("  Must be updated from %s\n", info->requires_from);
        print_settings(info);
        print_indented(info->notes ? info->notes : "(no notes)");
        if (info->migration_guide && !(info->notes && strstr(info->notes, info->migration_guide))) {
                printf("\n  Migration guide:\n");
                print_indented(info->migration_guide);
        }
}

static bool refuse_no_data(const World *world, Err *err) {
        err_fail(err, ERR_REFUSED,
                "nothing is known of the releases of %s: its manifest names no "
                "'releases'",
                world->service->name);
        return err_hint(err, "For example: releases: { files: CHANGELOG.md }");
}

static bool refuse_unknown(const World *world, const char *version, Err *err) {
        const ReleaseData *data = &world->releases.data;
        scoped(free_str) char *where = releases_where(world->service);
        err_fail(err, ERR_REFUSED, "'%s' says nothing of a release '%s'", where, version);
        return data->n ? err_hint(err, "The newest that it knows is %s.", data->items[0].version)
                       : err_hint(err, "It knows no release at all.");
}

/* `files` need a tree: that of the version, or of the newest. Servers are asked for what they know alone. */
static bool load_notes(World *world, const char *version, Err *err) {
        scoped(err_clear) Err why = {0};
        if (!releases_wanted(world->service))
                return refuse_no_data(world, err);
        if (choose_target(
                    world, world->service->releases.files ? version : NULL, RELEASES_RECENT, &why))
                return true;
        if (world->releases.data.n)
                return true;
        /* Of a channel that has no newest (exact), what is installed says what it knows. */
        if (why.code == ERR_USAGE && world->service->releases.files &&
                choose_load_releases(world, RELEASES_RECENT, &world->from, NULL))
                return true;
        /* The source cannot be asked: what is kept may still say it. */
        if (choose_load_releases(world, RELEASES_KEPT, NULL, NULL) && world->releases.data.n) {
                str_replace_owned(&world->releases.trouble, str_copy(why.message));
                return true;
        }
        err_move(err, &why);
        return false;
}

static const ReleaseInfo **pick(
        const World *world, const char *version, bool all, size_t *ret_n, Err *err) {
        const ReleaseData *data = &world->releases.data;
        const ReleaseInfo **found = NULL;
        *ret_n = 0;
        if (!version && !all) {
                const char *to = world->to.version ? world->to.version
                                 : data->n         ? data->items[0].version
                                                   : NULL;
                found = release_data_between(data, world->from.version, to, ret_n);
                if (*ret_n)
                        return found;
                free(found);
                version = world->from.version;
        }
        found = NEW_ARRAY(const ReleaseInfo *, data->n + 1);
        for (size_t i = data->n; i-- > 0;)
                if (all || version_same(data->items[i].version, version))
                        found[(*ret_n)++] = &data->items[i];
        if (!*ret_n)
                refuse_unknown(world, version ? version : "?", err);
        return found;
}

static void print_notes(const World *world, const ReleaseInfo *const *infos, size_t n) {
        scoped(free_str) char *trouble = release_trouble_text(&world->releases);
        for (size_t i = n; i-- > 0;) {
                print_release(infos[i]);
                if (i)
                        putchar('\n');
        }
        if (trouble)
                fprintf(stderr, "belay: %s\n", trouble);
}

int verb_notes(App *app) {
        scoped(err_clear) Err err = {0};
        scoped(world_done) World world = {0};
        const char *version = operand(app, 1);
        size_t n = 0;
        if (version && app->opt[OPT_ALL])
                return app_usage(app, "'belay notes' takes either a version or --all");
        if (!open_world(app, false, &world, &err) ||
                !world.source->installed(&world.source_at, &world.from, &err) ||
                !load_notes(&world, version, &err))
                return app_fail(app, &err);
        scoped(free_mem) const ReleaseInfo **infos =
                pick(&world, version, app->opt[OPT_ALL] != NULL, &n, &err);
        if (!n)
                return app_fail(app, &err);
        json_t *object = json_object();
        js_set_str(object, "service", world.service->name);
        js_set(object, "installed", release_to_json(&world.from));
        js_set(object, "releases", infos_json(&world.releases.data, infos, n));
        release_data_facts(&world, object);
        app_print_json(app, object);
        if (!app->json)
                print_notes(&world, infos, n);
        return 0;
}
