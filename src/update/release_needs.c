#include "update/release_needs.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/version.h"
#include "model/environment.h"
#include "update/path.h"

static json_t *needs_of(World *world) {
        if (!world->needs)
                world->needs = json_object();
        return world->needs;
}

static json_t *list_of(World *world, const char *name) {
        json_t *list = js_get(needs_of(world), name);
        if (list)
                return list;
        js_set(world->needs, name, json_array());
        return js_get(world->needs, name);
}

/* -- settings -- */

static bool pair_there(const Pair *pairs, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (str_equal(pairs[i].name, name))
                        return true;
        return false;
}

static bool is_there(const World *world, char *const *env, const char *name) {
        const Service *service = world->service;
        const ConfigSpec *config = &service->configuration;
        const char *value = environment_get(env, name);
        for (size_t i = 0; i < config->n_secrets; i++)
                if (str_equal(config->secrets[i].key, name))
                        return true;
        return (value && *value) || pair_there(config->set, config->n_set, name) ||
               pair_there(service->process.environment, service->process.n_environment, name);
}

static void add_secret(World *world, const char *name, unsigned bytes, SecretForm as) {
        ConfigSpec *config = &world->service->configuration;
        const SecretSpec secret = {.key = str_copy(name), .bytes = bytes, .as = as};
        PUSH(config->secrets, config->n_secrets, secret);
}

static void make_secret(
        World *world, const ReleaseInfo *info, const ReleaseSetting *setting, Strv *notes) {
        const char *as = setting->as == SECRET_BASE64 ? "base64" : "hex";
        json_t *object = json_object();
        js_set_str(object, "key", setting->name);
        js_set_int(object, "bytes", setting->bytes);
        js_set_str(object, "as", as);
        json_array_append_new(list_of(world, "secrets"), object);
        add_secret(world, setting->name, setting->bytes, setting->as);
        strv_addf(notes, "%s needs %s: it is made, once (%u bytes, %s)", info->version,
                setting->name, setting->bytes, as);
}

/* Of a later leg of the way: what Belay makes is made then; what it cannot make is said now. */
static bool is_later(const World *world, const ReleaseInfo *info) {
        bool ordered = false;
        return version_text_compare(info->version, world->to.version, &ordered) > 0;
}

static void look_at_setting(World *world, const ReleaseInfo *info, const ReleaseSetting *setting,
        ReasonList *reasons, Strv *notes) {
        const char *file = world->service->configuration.env_file;
        if (setting->secret && file) {
                if (!is_later(world, info))
                        make_secret(world, info, setting, notes);
                return;
        }
        scoped(free_str) char *hint =
                file ? str_format("Set it in '%s'; `belay notes %s %s` says "
                                  "what it is for.",
                               file, world->service->name, info->version)
                     : str_format("Name the env file under "
                                  "configuration.env_file, and set it there.");
        reason_add(reasons, REASON_SETTING_MISSING, 0, hint,
                "%s needs the setting '%s', which is not there", info->version, setting->name);
}

/* -- guides -- */

static void add_guide(World *world, const char *version) {
        Service *service = world->service;
        MigrationSpec guide = {
                .kind = MIGRATION_MANUAL,
                .text = str_format("follow the migration guide of %s (`belay notes %s %s`)",
                        version, service->name, version),
                .run_once = true,
                .after_start = true,
        };
        PUSH(service->migrations, service->n_migrations, guide);
}

static void look_at_guide(World *world, const ReleaseInfo *info) {
        if (info->migrations != RELEASE_MIGRATIONS_MANUAL || world->options.no_migrations ||
                is_later(world, info))
                return;
        json_array_append_new(list_of(world, "guides"), json_string(info->version));
        add_guide(world, info->version);
}

/* -- all of it -- */

static void look_at_start(const World *world, Strv *notes) {
        scoped(version_done) Version version = {0};
        const ReleaseInfo *info = release_data_find(&world->releases.data, world->to.version);
        if (info && info->requires_from && !version_parse(world->from.version, &version))
                strv_addf(notes,
                        "%s must be updated from %s, and what is installed has no version number "
                        "to compare",
                        info->version, info->requires_from);
}

static void look_at_support(const World *world, Strv *notes) {
        if (release_data_support(&world->releases.data, world->to.version) == SUPPORT_END_OF_LIFE)
                strv_addf(notes, "%s is at its end of life: nobody mends it any more",
                        world->to.version);
}

/* Whether the old version runs on what each release up to the target makes of the data. */
static bool old_reads_new(const World *world, const ReleaseInfo *const *way, size_t n) {
        bool said = false;
        for (size_t i = 0; i < n && !is_later(world, way[i]); i++) {
                if (way[i]->compatible_schema != SAID_YES)
                        return false;
                said = version_same(way[i]->version, world->to.version);
        }
        return said;
}

static void say_compatible(World *world, Strv *notes) {
        if (js_bool(world->needs, "compatible_schema", false))
                return;
        js_set_bool(needs_of(world), "compatible_schema", true);
        strv_addf(notes, "the old version is said to run on the schema of %s", world->to.version);
}

/* Its author knows a release better than whoever wrote down its migrations. */
void release_needs_add_compatible(World *world, Strv *notes) {
        size_t n = 0;
        scoped(free_mem) const ReleaseInfo **way = release_data_between(
                &world->releases.data, world->from.version, world->to.version, &n);
        for (size_t i = 0; i < n; i++)
                if (way[i]->compatible_schema == SAID_NO)
                        return;
        say_compatible(world, notes);
}

void release_needs_look(World *world, char *const *env, ReasonList *reasons, Strv *notes) {
        size_t n = 0;
        scoped(free_mem) const ReleaseInfo **way = release_data_between(
                &world->releases.data, world->from.version, path_target(world)->version, &n);
        for (size_t i = 0; i < n; i++) {
                for (size_t k = 0; k < way[i]->n_settings; k++)
                        if (way[i]->settings[k].required &&
                                !is_there(world, env, way[i]->settings[k].name))
                                look_at_setting(
                                        world, way[i], &way[i]->settings[k], reasons, notes);
                look_at_guide(world, way[i]);
        }
        if (old_reads_new(world, way, n))
                say_compatible(world, notes);
        look_at_start(world, notes);
        look_at_support(world, notes);
}

json_t *release_needs_to_record(const World *world) { return json_incref(world->needs); }

void release_needs_from_record(World *world, const json_t *record) {
        size_t i;
        json_t *item;
        json_array_foreach(js_get(record, "secrets"), i, item) {
                if (js_str(item, "key"))
                        add_secret(world, js_str(item, "key"), (unsigned)js_int(item, "bytes", 32),
                                str_equal(js_str(item, "as"), "base64") ? SECRET_BASE64
                                                                        : SECRET_HEX);
        }
        json_array_foreach(js_get(record, "guides"), i, item) {
                if (json_is_string(item))
                        add_guide(world, json_string_value(item));
        }
}

bool release_needs_old_reads_new(const json_t *plan) {
        return js_bool(js_get(plan, "release"), "compatible_schema", false);
}
