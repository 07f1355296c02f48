#include "update/release_text.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/units.h"
#include "platform/clock.h"

static void add_mark(Str *out, bool is, const char *text) {
        if (is)
                str_addf(out, "%s%s", out->len ? ", " : "", text);
}

char *release_marks(const ReleaseInfo *info, const char *before) {
        Str out = {0};
        ReleaseData alone = {.items = (ReleaseInfo *)(uintptr_t)info, .n = 1};
        const char *which = NULL;
        if (info->released_ms) {
                int64_t now = clock_wall_ms();
                scoped(free_str) char *when = info->released_ms > now
                                                      ? time_text(info->released_ms)
                                                      : ago_text(info->released_ms, now);
                str_addf(&out, "released %s", when);
        }
        add_mark(&out, info->security, "security");
        add_mark(&out,
                info->breaking == SAID_YES ||
                        (before && release_data_breaking(&alone, before, info->version, &which)),
                "breaking");
        add_mark(&out, info->stop, "a required stop");
        add_mark(&out, info->prerelease, "a pre-release");
        add_mark(&out, info->migrations == RELEASE_MIGRATIONS_MANUAL, "migrated by hand");
        return str_take(&out);
}

static void add_support(Str *out, const ReleaseData *data, const char *version) {
        SupportStatus status = release_data_support(data, version);
        if (status != SUPPORT_NOT_SAID)
                str_addf(out, "%s%s %s", out->len ? "; " : "", version,
                        status == SUPPORT_END_OF_LIFE   ? "is at its end of life"
                        : status == SUPPORT_MAINTENANCE ? "gets maintenance only"
                                                        : "is current");
}

char *release_support_text(const ReleaseData *data, const char *from, const char *to) {
        Str out = {0};
        if (from)
                add_support(&out, data, from);
        if (to && !str_equal(from, to))
                add_support(&out, data, to);
        return out.len ? str_take(&out) : NULL;
}

char *release_trouble_text(const Releases *releases) {
        if (!releases->trouble)
                return NULL;
        if (!releases->asked_ms)
                return str_format("there is no release data: %s", releases->trouble);
        scoped(free_str) char *ago = ago_text(releases->asked_ms, clock_wall_ms());
        return str_format("the release data is from %s: %s", ago, releases->trouble);
}

void release_data_facts(const World *world, json_t *object) {
        const Releases *releases = &world->releases;
        if (!releases_wanted(world->service))
                return;
        json_t *facts = json_object(), *warnings = json_array();
        scoped(free_str) char *where = releases_where(world->service);
        js_set_str(facts, "from", where);
        if (releases->asked_ms)
                js_set_int(facts, "asked", releases->asked_ms);
        js_set_str(facts, "trouble", releases->trouble);
        for (size_t i = 0; releases->data.warnings && releases->data.warnings[i]; i++)
                json_array_append_new(warnings, json_string(releases->data.warnings[i]));
        js_set(facts, "warnings", warnings);
        js_set(object, "release_data", facts);
}
