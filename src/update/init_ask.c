/* Which question tells that the service is well: found out by asking it. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/version.h"
#include "client/http.h"
#include "manifest/value.h"
#include "update/init.h"

enum {
        ANSWER_WITHIN_MS = 3000,
        DEPTH_MAX = 3,
        SILENT_MAX = 2,
        REDIRECTS_MAX = 3,
        PATH_MAX_BYTES = 200
};

static const char *const paths[] = {"/health", "/healthz", "/api/health", "/ready", "/readyz",
        "/livez", "/v1/health", "/api/v1/health", "/health/live", "/_health", "/-/health",
        "/-/ping", "/ping", "/status", "/api/status", "/version", "/api/version", "/"};

/* A page for every path is no sign of health: what this is answered with, others mean nothing by. */
static const char nowhere[] = "/belay-init-asks-for-what-is-not-there";

typedef struct Asking {
        Http *http;
        const char *host;
        unsigned port;
        unsigned silent; /* answers that did not come in time */
        unsigned nowhere_status;
        char *nowhere_body;
} Asking;

static void asking_done(Asking *asking) {
        http_freep(&asking->http);
        free(asking->nowhere_body);
}

static bool ask(Asking *asking, const char *path, HttpAnswer *ret) {
        scoped(free_str) char *url = str_format("http://%s:%u%s", asking->host, asking->port, path);
        const HttpRequest request = {.url = url, .timeout_ms = ANSWER_WITHIN_MS};
        if (asking->silent >= SILENT_MAX)
                return false;
        http_ask(asking->http, &request, ret);
        asking->silent += ret->failure == HTTP_TIMEOUT;
        return ret->failure == HTTP_ANSWERED || (ret->failure == HTTP_TOO_LARGE && ret->status);
}

/* Whether it speaks HTTP at all, and on which address of the loopback. */
static bool speaks_http(Asking *asking) {
        static const char *const hosts[] = {"127.0.0.1", "[::1]"};
        for (size_t i = 0; i < COUNT_OF(hosts); i++) {
                scoped(http_answer_done) HttpAnswer answer = {0};
                asking->host = hosts[i];
                if (!ask(asking, nowhere, &answer))
                        continue;
                asking->nowhere_status = answer.status;
                asking->nowhere_body = str_copy(answer.body);
                return true;
        }
        return false;
}

/* ".version", ".build.version": where the answer names what is installed. Owned; NULL: nowhere. */
static char *version_path(const json_t *value, const char *above, unsigned depth,
        const Release *installed, bool *ret_tag) {
        const char *key;
        json_t *inner;
        json_object_foreach((json_t *)(uintptr_t)value, key, inner) {
                scoped(free_str) char *path = str_format("%s.%s", above, key);
                if (json_path_problem(path))
                        continue;
                const char *text = json_string_value(inner);
                bool named = strcasestr(key, "version") || strcasestr(key, "release");
                if (named && text && str_equal(text, installed->version)) {
                        *ret_tag = false;
                        return TAKE(path);
                }
                if (named && text && str_equal(text, installed->tag)) {
                        *ret_tag = true;
                        return TAKE(path);
                }
                char *found = json_is_object(inner) && depth < DEPTH_MAX
                                      ? version_path(inner, path, depth + 1, installed, ret_tag)
                                      : NULL;
                if (found)
                        return found;
        }
        return NULL;
}

typedef struct Answer {
        const char *path;
        char *led_to; /* where it sent us, and was answered 200; or NULL */
        unsigned status;
        char *json; /* where the version stands, or NULL */
        bool tag;
        char *other_version; /* it names another one than is installed */
} Answer;

static void answer_done(Answer *answer) {
        free(answer->led_to);
        free(answer->json);
        free(answer->other_version);
        *answer = (Answer){0};
}

/* Versions whose checkout is between tags are not what a program says of itself. */
static void read_version(const HttpAnswer *answer, const Release *installed, Answer *ret) {
        scoped(js_freep) json_t *body = js_parse(answer->body, answer->body_bytes, "answer", NULL);
        if (!json_is_object(body))
                return;
        ret->json = version_path(body, "", 1, installed, &ret->tag);
        const char *said = js_str(body, "version");
        Version version = {0};
        if (!ret->json && said && version_parse(said, &version))
                ret->other_version = str_copy(said);
        version_done(&version);
}

/* A redirect within the service, without its query: that is of one visit. Owned; NULL: it leads elsewhere. */
static char *place_of_redirect(const Asking *asking, const HttpAnswer *answer) {
        const char *to = http_answer_header(answer, "Location");
        scoped(free_str) char *own = str_format("http://%s:%u/", asking->host, asking->port);
        if (!to || answer->status / 100 != 3)
                return NULL;
        if (str_starts(to, own))
                to += strlen(own) - 1;
        scoped(free_str) char *path = str_copy_n(to, strcspn(to, "?#"));
        bool good = path[0] == '/' && path[1] != '/' && strlen(path) <= PATH_MAX_BYTES &&
                    draft_text_ok(path) && !strstr(path, "${");
        return good ? TAKE(path) : NULL;
}

/* The page that "/" leads to is worth more than the redirect: the program has made it. Owned; NULL: none. */
static char *follow(Asking *asking, const HttpAnswer *first) {
        scoped(free_str) char *path = place_of_redirect(asking, first);
        for (int i = 0; path && i < REDIRECTS_MAX; i++) {
                scoped(http_answer_done) HttpAnswer answer = {0};
                if (!ask(asking, path, &answer))
                        return NULL;
                if (answer.status == 200)
                        return TAKE(path);
                str_replace_owned(&path, place_of_redirect(asking, &answer));
        }
        return NULL;
}

/* The version in the answer is worth most; else the first path that was made for the question; "/" at last. */
static bool is_better(const Answer *answer, const Answer *best) {
        if (!best->path)
                return true;
        return answer->json && !best->json;
}

static void ask_all(Asking *asking, const Init *init, Answer *best) {
        for (size_t i = 0; i < COUNT_OF(paths) && !best->json; i++) {
                scoped(http_answer_done) HttpAnswer answer = {0};
                bool root = strcmp(paths[i], "/") == 0;
                if (!ask(asking, paths[i], &answer) || (root && best->path))
                        continue;
                bool same = answer.status == asking->nowhere_status &&
                            str_equal(answer.body, asking->nowhere_body);
                if (!root && (answer.status != 200 || same))
                        continue;
                scoped(answer_done) Answer found = {.path = paths[i], .status = answer.status};
                read_version(&answer, &init->installed, &found);
                found.led_to = root ? follow(asking, &answer) : NULL;
                if (found.led_to)
                        found.status = 200;
                if (!is_better(&found, best))
                        continue;
                answer_done(best);
                *best = found;
                found = (Answer){0};
        }
}

static void use_tcp(Draft *draft, const char *host, const char *why) {
        draft->check_tcp = str_format("%s:${port}", host);
        draft->check_why = str_format("%s Only whether it accepts connections is asked; an address "
                                      "that says more (http: { url: … }) would be worth more.",
                why);
}

static void use_answer(Init *init, const Asking *asking, const Answer *answer) {
        Draft *draft = &init->draft;
        draft->check_url = str_format("http://%s:${port}%s", asking->host,
                answer->led_to ? answer->led_to : answer->path);
        draft->check_status = answer->status;
        if (!answer->json) {
                draft->check_why =
                        str_format("Asked now, %sit answered %u. No version in the answer: "
                                   "that the new one answers, and not the old, is known by "
                                   "its process alone.",
                                answer->led_to ? "/ led there and " : "", answer->status);
        } else {
                draft->check_json = str_copy(answer->json);
                draft->check_value = str_copy(answer->tag ? "${tag}" : "${version}");
                draft->check_why = str_format(
                        "Asked now, it answered %u and named the version that is installed (%s).",
                        answer->status, init->installed.version);
        }
        if (answer->other_version)
                strv_addf(&draft->notes,
                        "The service says that it is version %.60s, and the checkout holds %s: "
                        "either "
                        "it was not restarted after its last update, or it counts differently. The "
                        "check does not ask for the version.",
                        answer->other_version, init->installed.version);
}

/* "/health" as a word of the program's text: a route, most likely. NULL: none. */
static const char *route_in(const char *text) {
        for (size_t i = 0; i + 1 < COUNT_OF(paths); i++) {
                static const char quotes[] = "\"'`";
                for (size_t q = 0; q < sizeof(quotes) - 1; q++) {
                        scoped(free_str) char *word =
                                str_format("%c%s%c", quotes[q], paths[i], quotes[q]);
                        if (strstr(text, word))
                                return paths[i];
                }
        }
        return NULL;
}

static void guess(Init *init, const Startup *start) {
        Draft *draft = &init->draft;
        scoped(free_str) char *path = start->entry ? path_join(init->place, start->entry) : NULL;
        scoped(free_str) char *text = NULL;
        if (path)
                (void)startup_read(path, &text);
        const char *route = text ? route_in(text) : NULL;
        if (!draft->port) {
                draft->check_why = str_copy("No port is known and it does not run now, so nothing "
                                            "could be asked. Without "
                                            "checks an update only sees whether the process stays "
                                            "up. Start it by hand and "
                                            "run `belay init` again, or name what it answers:");
        } else if (route) {
                draft->check_url = str_format("http://127.0.0.1:${port}%s", route);
                draft->check_why = str_format("It does not run now and was not asked; %s has this "
                                              "address.",
                        start->entry);
        } else {
                use_tcp(draft, "127.0.0.1", "It does not run now and could not be asked.");
        }
}

void init_ask_health(Init *init, const Startup *start) {
        scoped(asking_done) Asking asking = {.port = init->draft.port};
        scoped(answer_done) Answer best = {0};
        if (!init->running || !init->draft.port) {
                guess(init, start);
                return;
        }
        if (!http_new(&asking.http, NULL)) {
                use_tcp(&init->draft, "127.0.0.1",
                        "libcurl is not here, so it could not be asked.");
                return;
        }
        if (speaks_http(&asking))
                ask_all(&asking, init, &best);
        if (best.path && best.status < 500)
                use_answer(init, &asking, &best);
        else
                use_tcp(&init->draft, "127.0.0.1",
                        best.path ? "Asked now, it answered with an error of its own."
                                  : "Asked now, it did not answer as a web server does.");
}
