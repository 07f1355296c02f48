/* Release data: the driver that the manifest names, and what is kept of its answers. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/units.h"
#include "model/value.h"
#include "platform/clock.h"
#include "source/feed/driver.h"

enum { RECENT_MS = 60000, LOAD_MS = 20000 };

static const char *const KEPT_FILE = "releases.json";

static const FeedDriver *const drivers[] = {
        &feed_driver, &github_driver, &gitea_driver, &files_driver};

static const FeedDriver *driver_of(const Service *service) {
        for (size_t i = 0; i < COUNT_OF(drivers); i++)
                if (drivers[i]->where(service))
                        return drivers[i];
        return NULL;
}

bool releases_wanted(const Service *service) { return driver_of(service) != NULL; }

char *releases_where(const Service *service) {
        const FeedDriver *driver = driver_of(service);
        if (!driver)
                return str_copy("");
        const char *where = driver->where(service);
        return driver == &github_driver ? str_format("%s on github", where) : feed_shown(where);
}

void releases_done(Releases *releases) {
        release_data_done(&releases->data);
        free(releases->trouble);
        *releases = (Releases){0};
}

/* -- what is kept: {"from", "asked", "mark", "not_before", "token", "warnings", "data"}; token: whether one was
 *    sent when the server asked for patience -- */

/* Another address is another truth. */
static char *identity(const Service *service, const FeedDriver *driver) {
        const char *api = service->releases.api;
        return str_format(
                "%s %s%s%s", driver->name, driver->where(service), api ? " " : "", api ? api : "");
}

static json_t *kept_load(const ReleasesContext *context, const char *from) {
        json_t *kept = state_load(context->state, context->service->name, KEPT_FILE, NULL);
        if (!kept || !str_equal(js_str(kept, "from"), from)) {
                json_decref(kept);
                kept = json_object();
        }
        return kept;
}

static bool kept_read(const json_t *kept, Releases *ret) {
        const json_t *data = js_get(kept, "data");
        size_t i;
        json_t *warning;
        if (!data)
                return false;
        scoped(free_str) char *text = js_line(data);
        if (!release_data_add_feed(&ret->data, text, strlen(text), KEPT_FILE, NULL))
                return false;
        json_array_foreach(js_get(kept, "warnings"), i, warning) {
                if (json_is_string(warning))
                        release_data_warn(&ret->data, "%s", json_string_value(warning));
        }
        release_data_sort(&ret->data);
        ret->asked_ms = js_int(kept, "asked", 0);
        return true;
}

/* Somebody who may only look cannot write there: then it is asked again another time. */
static void kept_save(const ReleasesContext *context, const json_t *kept) {
        (void)state_save(context->state, context->service->name, KEPT_FILE, kept, NULL);
}

static void keep_answer(
        const ReleasesContext *context, json_t *kept, const FeedAsk *ask, const Releases *now) {
        json_t *warnings = json_array();
        for (size_t i = 0; now->data.warnings && now->data.warnings[i]; i++)
                json_array_append_new(warnings, json_string(now->data.warnings[i]));
        json_object_del(kept, "mark");
        json_object_del(kept, "not_before");
        json_object_del(kept, "token");
        js_set_int(kept, "asked", now->asked_ms);
        js_set_str(kept, "mark", ask->new_mark);
        js_set(kept, "warnings", warnings);
        js_set(kept, "data", release_data_to_json(&now->data));
        kept_save(context, kept);
}

/* -- asking -- */

static void ask_done(FeedAsk *ask) {
        http_freep(&ask->http);
        value_freep(&ask->token);
        free(ask->new_mark);
}

static bool find_token(FeedAsk *ask, Err *err) {
        const Value *token = &ask->context->service->releases.token;
        if (token->from == VALUE_NONE)
                return true;
        return value_resolve(token, ask->context->env, &ask->token, err) ||
               err_context(err, "releases.token");
}

/* With a token a server allows more than it did without. And a clock that was wrong must not silence it for good. */
static bool is_patient(const FeedAsk *ask, const json_t *kept, Err *err) {
        int64_t until = js_int(kept, "not_before", 0), now = clock_wall_ms();
        if (until <= now || until > now + (int64_t)FEED_PATIENCE_S * 1000 ||
                (ask->token && !js_bool(kept, "token", false)))
                return true;
        scoped(free_str) char *when = time_text(until);
        return err_fail(err, ERR_REMOTE, "the server does not want to be asked before %s", when);
}

static bool ask_driver(const ReleasesContext *context, const FeedDriver *driver, json_t *kept,
        Releases *ret, Err *err) {
        scoped(ask_done) FeedAsk ask = {
                .context = context,
                .mark = js_get(kept, "data") ? js_str(kept, "mark") : NULL,
                .until = clock_now_ms() + LOAD_MS,
        };
        scoped(release_data_done) ReleaseData data = {0};
        if (!find_token(&ask, err) || !is_patient(&ask, kept, err))
                return false;
        if (!driver->load(&ask, &data, err)) {
                if (ask.not_before_ms) {
                        js_set_int(kept, "not_before", ask.not_before_ms);
                        js_set_bool(kept, "token", ask.token != NULL);
                        kept_save(context, kept);
                }
                return false;
        }
        if (ask.unchanged) {
                if (!kept_read(kept, ret))
                        return true;
                if (driver == &files_driver)
                        return true;
                ret->asked_ms = clock_wall_ms();
                js_set_int(kept, "asked", ret->asked_ms);
                kept_save(context, kept);
                return true;
        }
        release_data_sort(&data);
        ret->data = data;
        data = (ReleaseData){0};
        ret->asked_ms = clock_wall_ms();
        keep_answer(context, kept, &ask, ret);
        return true;
}

static bool is_recent(const json_t *kept) {
        int64_t age = clock_wall_ms() - js_int(kept, "asked", 0);
        return js_get(kept, "data") && age >= 0 && age < RECENT_MS;
}

bool releases_load(const ReleasesContext *context, Releases *ret, Err *err) {
        const FeedDriver *driver = driver_of(context->service);
        scoped(err_clear) Err why = {0};
        if (!driver)
                return true;
        scoped(free_str) char *from = identity(context->service, driver);
        scoped(js_freep) json_t *kept = kept_load(context, from);
        js_set_str(kept, "from", from);
        bool ask =
                context->when == RELEASES_ASK ||
                (context->when == RELEASES_RECENT && (driver == &files_driver || !is_recent(kept)));
        if (!ask) {
                (void)kept_read(kept, ret);
                return true;
        }
        if (ask_driver(context, driver, kept, ret, &why))
                return true;
        if (why.code != ERR_CANCELLED && kept_read(kept, ret)) {
                ret->trouble = str_copy(why.message);
                return true;
        }
        err_move(err, &why);
        return err_context(err, "looking for release data");
}
