/* The feed, and the pages of GitHub's and Gitea's release lists: JSON to values and back. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "base/version.h"
#include "model/envfile.h"
#include "model/release_data.h"
#include "model/version_range.h"

enum { ENTRIES_MAX = 2 * RELEASES_MAX }; /* looked at, whether or not they are any good */
enum { FEED_FORMAT = 1, SECRET_BYTES_LEAST = 16, SECRET_BYTES_MOST = 1024, SECRET_BYTES = 32 };

static bool wrong(Err *err, const char *field, const char *expected) {
        return err_fail(err, ERR_CORRUPT, "'%s' is not %s", field, expected);
}

/* -- times: RFC 3339 with any offset and fractions, as these servers write them -- */

static bool read_offset(const char *text, int64_t *ret_ms) {
        uint64_t hours = 0, minutes = 0;
        if (str_equal(text, "Z") || str_equal(text, "z"))
                return (*ret_ms = 0, true);
        if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
                return false;
        scoped(free_str) char *hour = str_copy_n(text + 1, 2);
        if (!str_to_uint(hour, 23, &hours) || !str_to_uint(text + 4, 59, &minutes))
                return false;
        *ret_ms = (int64_t)(hours * 60 + minutes) * 60000 * (text[0] == '-' ? -1 : 1);
        return true;
}

static bool read_time(const char *text, int64_t *ret_ms) {
        static const size_t seconds_at = sizeof("2026-02-03T04:05:06") - 1;
        int64_t offset = 0, at = 0;
        if (strlen(text) > 40)
                return false;
        if (strlen(text) <= seconds_at)
                return time_parse(text, ret_ms);
        const char *rest = text + seconds_at;
        if (*rest == '.')
                rest += 1 + strspn(rest + 1, "0123456789");
        scoped(free_str) char *utc = str_format("%.*sZ", (int)seconds_at, text);
        if (!read_offset(rest, &offset) || !time_parse(utc, &at))
                return false;
        *ret_ms = at - offset;
        return true;
}

/* -- fields -- */

static bool set_flag(const json_t *value, const char *name, bool *ret, Err *err) {
        if (!json_is_boolean(value))
                return wrong(err, name, "true or false");
        *ret = json_is_true(value);
        return true;
}

static bool set_said(const json_t *value, const char *name, Said *ret, Err *err) {
        bool yes = false;
        if (json_is_null(value))
                return true;
        if (!set_flag(value, name, &yes, err))
                return false;
        *ret = yes ? SAID_YES : SAID_NO;
        return true;
}

static bool set_text(const json_t *value, const char *name, char **ret, Err *err) {
        if (json_is_null(value))
                return true;
        if (!json_is_string(value))
                return wrong(err, name, "text");
        str_replace_owned(ret, release_text(json_string_value(value)));
        return true;
}

static bool set_version(ReleaseInfo *info, const json_t *value, Err *err) {
        scoped(version_done) Version version = {0};
        const char *text = json_string_value(value);
        if (!version_parse(text, &version))
                return wrong(err, "version", "a version such as 1.2.0");
        str_replace_owned(&info->version, str_copy(version_bare(text)));
        return true;
}

static bool set_released(ReleaseInfo *info, const json_t *value, Err *err) {
        const char *text = json_string_value(value);
        if (json_is_null(value))
                return true;
        return (text && read_time(text, &info->released_ms)) ||
               wrong(err, "released", "a time such as 2026-02-03T04:05:06Z");
}

static bool set_requires_from(ReleaseInfo *info, const json_t *value, Err *err) {
        const char *text = json_string_value(value);
        if (json_is_null(value))
                return true;
        if (!version_range_ok(text))
                return wrong(err, "requires_from", "a range of versions such as >=0.2.4");
        str_replace_owned(&info->requires_from, str_copy(text));
        return true;
}

static bool set_migrations(ReleaseInfo *info, const json_t *value, Err *err) {
        static const ReleaseMigrations all[] = {
                RELEASE_MIGRATIONS_NONE, RELEASE_MIGRATIONS_AUTOMATIC, RELEASE_MIGRATIONS_MANUAL};
        for (size_t i = 0; i < COUNT_OF(all); i++)
                if (str_equal(json_string_value(value), release_migrations_name(all[i])))
                        return (info->migrations = all[i], true);
        return json_is_null(value) || wrong(err, "migrations", "none, automatic or manual");
}

static bool read_setting(const json_t *value, ReleaseSetting *ret, Err *err) {
        const json_t *secret = js_get(value, "secret"), *required = js_get(value, "required");
        const char *name = js_str(value, "name"), *as = js_str(value, "as");
        int64_t bytes = js_int(value, "bytes", SECRET_BYTES);
        *ret = (ReleaseSetting){.as = str_equal(as, "base64") ? SECRET_BASE64 : SECRET_HEX};
        if (!json_is_object(value) || !name || !envfile_name_ok(name))
                return wrong(err, "settings", "a list of settings, each with a name");
        if (as && !str_equal(as, "base64") && !str_equal(as, "hex"))
                return wrong(err, "as", "hex or base64");
        if (bytes < SECRET_BYTES_LEAST || bytes > SECRET_BYTES_MOST)
                return wrong(err, "bytes", "a number from 16 to 1024");
        if ((secret && !set_flag(secret, "secret", &ret->secret, err)) ||
                (required && !set_flag(required, "required", &ret->required, err)))
                return false;
        ret->bytes = (unsigned)bytes;
        ret->name = str_copy(name);
        return true;
}

static bool set_settings(ReleaseInfo *info, const json_t *value, Err *err) {
        size_t i;
        json_t *item;
        if (json_is_null(value))
                return true;
        if (!json_is_array(value) || json_array_size(value) > RELEASE_SETTINGS_MAX)
                return wrong(err, "settings", "a list of at most 64 settings");
        json_array_foreach(value, i, item) {
                ReleaseSetting setting = {0};
                if (!read_setting(item, &setting, err))
                        return false;
                PUSH(info->settings, info->n_settings, setting);
        }
        return true;
}

bool release_info_set(ReleaseInfo *info, const char *name, const json_t *value, Err *err) {
        if (str_equal(name, "version"))
                return set_version(info, value, err);
        if (str_equal(name, "released"))
                return set_released(info, value, err);
        if (str_equal(name, "requires_from"))
                return set_requires_from(info, value, err);
        if (str_equal(name, "migrations"))
                return set_migrations(info, value, err);
        if (str_equal(name, "settings"))
                return set_settings(info, value, err);
        const struct {
                const char *name;
                bool *flag;
                Said *said;
                char **text;
        } fields[] = {
                {"breaking", NULL, &info->breaking, NULL},
                {"compatible_schema", NULL, &info->compatible_schema, NULL},
                {"security", &info->security, NULL, NULL},
                {"stop", &info->stop, NULL, NULL},
                {"prerelease", &info->prerelease, NULL, NULL},
                {"notes", NULL, NULL, &info->notes},
                {"migration_guide", NULL, NULL, &info->migration_guide},
        };
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
                if (!str_equal(name, fields[i].name))
                        continue;
                if (fields[i].flag)
                        return set_flag(value, name, fields[i].flag, err);
                return fields[i].said ? set_said(value, name, fields[i].said, err)
                                      : set_text(value, name, fields[i].text, err);
        }
        return true;
}

/* -- the feed -- */

static bool read_release(const json_t *value, ReleaseInfo *info, Err *err) {
        const char *name;
        json_t *field;
        if (!json_is_object(value))
                return err_fail(err, ERR_CORRUPT, "it is no object");
        json_object_foreach((json_t *)(uintptr_t)value, name, field) {
                if (!release_info_set(info, name, field, err))
                        return false;
        }
        return info->version || wrong(err, "version", "there");
}

static void add_release(ReleaseData *data, const json_t *value) {
        scoped(release_info_done) ReleaseInfo info = {0};
        scoped(err_clear) Err why = {0};
        if (read_release(value, &info, &why)) {
                (void)release_data_add(data, &info);
                return;
        }
        const char *name = js_str(value, "version");
        release_data_warn(data, "release '%.40s' is left out: %s", name ? name : "?", why.message);
}

static void add_support(ReleaseData *data, const json_t *value) {
        static const SupportStatus all[] = {
                SUPPORT_CURRENT, SUPPORT_MAINTENANCE, SUPPORT_END_OF_LIFE};
        const char *versions = js_str(value, "versions"), *status = js_str(value, "status");
        for (size_t i = 0; i < COUNT_OF(all); i++)
                if (version_range_ok(versions) && str_equal(status, support_name(all[i])) &&
                        data->n_support < RELEASE_SUPPORT_MAX) {
                        const SupportRange range = {str_copy(versions), all[i]};
                        PUSH(data->support, data->n_support, range);
                        return;
                }
        release_data_warn(data, "support of '%.40s' is left out: it says '%.40s'",
                versions ? versions : "?", status ? status : "?");
}

static bool is_feed(const json_t *root, const char *what, Err *err) {
        const json_t *format = js_get(root, "format");
        if (!json_is_object(root) || !json_is_array(js_get(root, "releases"))) {
                err_fail(err, ERR_CORRUPT, "'%s' is no release feed: it has no list of releases",
                        what);
                return err_hint(err, "A feed is JSON: {\"format\": 1, \"releases\": […]}.");
        }
        if (json_is_integer(format) && json_integer_value(format) == FEED_FORMAT)
                return true;
        err_fail(err, ERR_CORRUPT, "'%s' is not of format %d", what, FEED_FORMAT);
        return err_hint(err, "This build reads feeds with \"format\": %d.", FEED_FORMAT);
}

bool release_data_add_feed(
        ReleaseData *ret, const char *text, size_t bytes, const char *what, Err *err) {
        scoped(js_freep) json_t *root = js_parse(text, bytes, what, err);
        const char *product = js_str(root, "product");
        size_t i;
        json_t *item;
        if (!root || !is_feed(root, what, err))
                return false;
        if (product && !ret->product)
                ret->product = str_printable(product, false);
        json_array_foreach(js_get(root, "releases"), i, item) {
                if (i == ENTRIES_MAX)
                        break;
                add_release(ret, item);
        }
        json_array_foreach(js_get(root, "support"), i, item) { add_support(ret, item); }
        return true;
}

/* -- pages of releases -- */

static void add_listed(ReleaseData *data, const json_t *value) {
        scoped(release_info_done) ReleaseInfo info = {0};
        scoped(err_clear) Err why = {0};
        const char *tag = js_str(value, "tag_name"), *body = js_str(value, "body"),
                   *when = js_str(value, "published_at");
        scoped(version_done) Version version = {0};
        if (js_bool(value, "draft", false))
                return;
        if (!tag || !version_parse(tag, &version)) {
                release_data_warn(data, "release '%.40s' is left out: its tag is no version",
                        tag ? tag : "?");
                return;
        }
        info.version = str_copy(version_bare(tag));
        info.prerelease = js_bool(value, "prerelease", false);
        if (when)
                (void)read_time(when, &info.released_ms);
        if (body && !release_info_add_markdown(&info, body, &why)) {
                release_data_warn(data, "release '%.40s' is left out: %s", tag, why.message);
                return;
        }
        (void)release_data_add(data, &info);
}

bool release_data_add_page(ReleaseData *ret, const char *text, size_t bytes, const char *what,
        size_t *ret_n, Err *err) {
        scoped(js_freep) json_t *root = js_parse(text, bytes, what, err);
        size_t i;
        json_t *item;
        if (!root)
                return false;
        if (!json_is_array(root))
                return err_fail(err, ERR_CORRUPT,
                        "'%s' answers with something that is no list of "
                        "releases",
                        what);
        json_array_foreach(root, i, item) { add_listed(ret, item); }
        *ret_n = json_array_size(root);
        return true;
}

/* -- back to JSON -- */

static void set_said_json(json_t *object, const char *name, Said said) {
        if (said != NOT_SAID)
                js_set_bool(object, name, said == SAID_YES);
}

static json_t *settings_to_json(const ReleaseInfo *info) {
        json_t *array = json_array();
        for (size_t i = 0; i < info->n_settings; i++) {
                const ReleaseSetting *setting = &info->settings[i];
                json_t *object = json_object();
                js_set_str(object, "name", setting->name);
                js_set_bool(object, "secret", setting->secret);
                js_set_bool(object, "required", setting->required);
                js_set_int(object, "bytes", setting->bytes);
                js_set_str(object, "as", setting->as == SECRET_BASE64 ? "base64" : "hex");
                json_array_append_new(array, object);
        }
        return array;
}

json_t *release_info_to_json(const ReleaseInfo *info) {
        json_t *object = json_object();
        js_set_str(object, "version", info->version);
        if (info->released_ms) {
                scoped(free_str) char *when = time_text(info->released_ms);
                js_set_str(object, "released", when);
        }
        set_said_json(object, "breaking", info->breaking);
        js_set_bool(object, "security", info->security);
        js_set_bool(object, "stop", info->stop);
        if (info->prerelease)
                js_set_bool(object, "prerelease", true);
        js_set_str(object, "requires_from", info->requires_from);
        if (info->n_settings)
                js_set(object, "settings", settings_to_json(info));
        js_set_str(object, "migrations", release_migrations_name(info->migrations));
        set_said_json(object, "compatible_schema", info->compatible_schema);
        js_set_str(object, "notes", info->notes);
        js_set_str(object, "migration_guide", info->migration_guide);
        return object;
}

json_t *support_to_json(const ReleaseData *data) {
        json_t *array = json_array();
        for (size_t i = 0; i < data->n_support; i++) {
                json_t *object = json_object();
                js_set_str(object, "versions", data->support[i].versions);
                js_set_str(object, "status", support_name(data->support[i].status));
                json_array_append_new(array, object);
        }
        return array;
}

json_t *release_data_to_json(const ReleaseData *data) {
        json_t *object = json_object(), *releases = json_array();
        js_set_int(object, "format", FEED_FORMAT);
        js_set_str(object, "product", data->product);
        js_set(object, "support", support_to_json(data));
        for (size_t i = 0; i < data->n; i++)
                json_array_append_new(releases, release_info_to_json(&data->items[i]));
        js_set(object, "releases", releases);
        return object;
}
