/* checks: the questions that tell whether a service serves. */
#include <string.h>
#include <strings.h>

#include "manifest/schema.h"
#include "manifest/value.h"

/* ---- what every check has ---- */

static bool threshold_read(Reader *r, const Key *key, const Node *node, void *field) {
        CheckSpec *check = (CheckSpec *)(void *)((char *)field - offsetof(CheckSpec, threshold));
        if (node->kind == NODE_SCALAR &&
                threshold_parse(node->text, &check->threshold, &check->window))
                return true;
        return finding_add(r->findings, &(Finding){.at = node->at, .expected = key->type->expected},
                "\"%s\" is no threshold", r->path.text);
}
static const KeyType type_threshold = {
        "threshold", "expected N of M, such as 2 of 3, at most 100", true, threshold_read};

#define WITHIN(value)                                                                              \
        {                                                                                          \
                .name = "within", .type = &type_duration,                                          \
                .offset = offsetof(CheckSpec, within_ms), .least = 1, .most = 3600000,             \
                .otherwise = (value)                                                               \
        }
#define INTERVAL(value)                                                                            \
        {                                                                                          \
                .name = "interval", .type = &type_duration,                                        \
                .offset = offsetof(CheckSpec, interval_ms), .least = 10, .most = 3600000,          \
                .otherwise = (value)                                                               \
        }
#define THRESHOLD(value)                                                                           \
        {                                                                                          \
                .name = "threshold", .type = &type_threshold,                                      \
                .offset = offsetof(CheckSpec, threshold), .otherwise = (value)                     \
        }

/* They may stand in the check or beside its kind: the defaults come when neither has them. */
static const Key common_keys[] = {WITHIN("5s"), INTERVAL("500ms"), THRESHOLD("2 of 3")};

/* ---- http ---- */

static const char *method_problem(const char *method) {
        static const char *const known[] = {
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
        for (size_t i = 0; i < COUNT_OF(known); i++)
                if (strcmp(method, known[i]) == 0)
                        return NULL;
        return "is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
}

static const char *protocol_problem(const char *protocol) {
        static const char *const known[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2"};
        for (size_t i = 0; i < COUNT_OF(known); i++)
                if (strcmp(protocol, known[i]) == 0)
                        return NULL;
        return "is none of HTTP/1.0, HTTP/1.1, HTTP/2";
}

static bool header_read(
        Reader *r, const Key *key, const Node *name, const Node *value, HeaderSpec *ret) {
        const char *problem = header_problem(name->text);
        if (problem)
                return finding_add(
                        r->findings, &(Finding){.at = name->at}, "\"%s\" %s", name->text, problem);
        if (node_is_null(value))
                return finding_add(r->findings, &(Finding){.at = value->at}, "\"%s\" has no value",
                        r->path.text);
        if (!secret_read(r, key, name->text, value, &ret->value))
                return false;
        bool open = ret->value.from == VALUE_TEXT;
        bool hide = open && (name_is_secret(name->text) || value_has_password(value->text));
        value_explain(r, value, hide ? "(a secret)" : NULL);
        ret->name = str_copy(name->text);
        return true;
}

static bool header_twice(Reader *r, const CheckSpec *check, const Node *name) {
        for (size_t i = 0; i < check->n_headers; i++)
                if (strcasecmp(check->headers[i].name, name->text) == 0)
                        return finding_add(r->findings, &(Finding){.at = name->at},
                                "the header \"%s\" is there already (case does not count)",
                                name->text);
        return true;
}

static bool headers_read(Reader *r, const Key *key, const Node *node, void *field) {
        CheckSpec *check = (CheckSpec *)(void *)((char *)field - offsetof(CheckSpec, headers));
        if (node->kind != NODE_MAP)
                return finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = key->type->expected}, "\"%s\" is %s",
                        r->path.text, node_kind_text(node));
        bool good = true;
        for (size_t i = 0; i < node->n; i++) {
                HeaderSpec header = {0};
                size_t where = path_enter(r, node->keys[i]->text);
                bool read = header_twice(r, check, node->keys[i]) &&
                            header_read(r, key, node->keys[i], node->items[i], &header);
                path_leave(r, where);
                if (read)
                        PUSH(check->headers, check->n_headers, header);
                good = read && good;
        }
        return good;
}
static const KeyType type_headers = {"headers",
        "expected a mapping of names to texts, env:NAME or file:PATH", false, headers_read};

static const Key http_keys[] = {
        {.name = "url",
                .type = &type_text,
                .flags = KEY_REQUIRED | KEY_EXPANDS,
                .problem = url_problem,
                .offset = offsetof(CheckSpec, url)},
        {.name = "method",
                .type = &type_text,
                .problem = method_problem,
                .offset = offsetof(CheckSpec, method)},
        {.name = "status",
                .type = &type_number,
                .least = 100,
                .most = 599,
                .offset = offsetof(CheckSpec, status),
                .otherwise = "200"},
        {.name = "headers",
                .type = &type_headers,
                .flags = KEY_EXPANDS,
                .offset = offsetof(CheckSpec, headers)},
        {.name = "expect_headers",
                .type = &type_pairs,
                .flags = KEY_EXPANDS,
                .problem = header_problem,
                .offset = offsetof(CheckSpec, expect_headers),
                .count_offset = offsetof(CheckSpec, n_expect_headers)},
        {.name = "body",
                .type = &type_text,
                .flags = KEY_EXPANDS | KEY_LINES,
                .offset = offsetof(CheckSpec, body)},
        {.name = "json",
                .type = &type_pairs,
                .flags = KEY_EXPANDS,
                .problem = json_path_problem,
                .offset = offsetof(CheckSpec, json),
                .count_offset = offsetof(CheckSpec, n_json)},
        {.name = "protocol",
                .type = &type_text,
                .problem = protocol_problem,
                .offset = offsetof(CheckSpec, protocol)},
        LACKS("from", "'from' in http checks"),
        WITHIN(NULL),
        INTERVAL(NULL),
        THRESHOLD(NULL),
};
static const KeyTable http_table = KEY_TABLE("an http check", http_keys);

/* ---- tcp, command, log ---- */

/* "host:${port}": the port is the process's, filled in when that is known (settle.c). */
static char *tcp_sample(const char *text) {
        static const char port[] = ":${port}";
        if (!str_ends(text, port))
                return str_copy(text);
        return str_format("%.*s:1", (int)(strlen(text) - strlen(port)), text);
}

static bool tcp_read(Reader *r, const Key *key, const Node *node, void *field) {
        CheckSpec *check = field;
        scoped(free_str) char *text = text_read(r, key, node);
        if (!text)
                return false;
        scoped(free_str) char *sample = tcp_sample(text);
        const char *problem = address_problem(sample);
        if (problem)
                return finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = key->type->expected}, "\"%s\" %s",
                        r->path.text, problem);
        url_split(sample, &check->host, &check->port);
        if (!str_equal(sample, text))
                check->port = 0;
        check->title = TAKE(text);
        return true;
}
static const KeyType type_tcp = {"tcp", "expected host:port", true, tcp_read};

static const Key command_keys[] = {
        {.name = "run",
                .type = &type_words,
                .flags = KEY_REQUIRED | KEY_EXPANDS,
                .least = 1,
                .problem = program_problem,
                .offset = offsetof(CheckSpec, run)},
        WITHIN(NULL),
        INTERVAL(NULL),
        THRESHOLD(NULL),
};
static const KeyTable command_table = KEY_TABLE("a command check", command_keys);

static const Key log_keys[] = {
        {.name = "expect",
                .type = &type_text,
                .flags = KEY_REQUIRED | KEY_EXPANDS,
                .offset = offsetof(CheckSpec, expect)},
        WITHIN(NULL),
        INTERVAL(NULL),
        THRESHOLD(NULL),
};
static const KeyTable log_table = KEY_TABLE("a log check", log_keys);

/* ---- a check ---- */

static const Key kind_keys[] = {
        {.name = "http", .type = &type_map, .inner = &http_table, .flags = KEY_ONE_OF},
        {.name = "tcp", .type = &type_tcp, .flags = KEY_ONE_OF | KEY_EXPANDS},
        {.name = "command", .type = &type_map, .inner = &command_table, .flags = KEY_ONE_OF},
        {.name = "log", .type = &type_map, .inner = &log_table, .flags = KEY_ONE_OF},
        WITHIN(NULL),
        INTERVAL(NULL),
        THRESHOLD(NULL),
        LACKS("container", "check 'container'"),
        LACKS("tls", "check 'tls'"),
        LACKS("sql", "check 'sql'"),
        LACKS("browser", "check 'browser'"),
        LACKS("confirm", "check 'confirm'"),
};
static const KeyTable kind_table = KEY_TABLE("a check", kind_keys);

static const char *const kind_names[] = {
        [CHECK_HTTP] = "http",
        [CHECK_TCP] = "tcp",
        [CHECK_COMMAND] = "command",
        [CHECK_LOG] = "log",
};

static const Node *kind_node(const Node *item, CheckKind *ret) {
        for (size_t i = 0; i < COUNT_OF(kind_names); i++) {
                const Node *node = node_get(item, kind_names[i]);
                if (node) {
                        *ret = (CheckKind)i;
                        return node;
                }
        }
        return NULL;
}

static bool commons_read(Reader *r, const Node *item, const Node *inner, CheckSpec *check) {
        bool good = true;
        for (size_t i = 0; i < COUNT_OF(common_keys); i++) {
                const char *name = common_keys[i].name;
                const Node *beside = node_get(item, name), *within = node_get(inner, name);
                if (beside && within)
                        good = finding_add(r->findings, &(Finding){.at = beside->at},
                                "\"%s\" of %s is given twice", name, r->path.text);
                else if (!beside && !within)
                        good = default_read(r, &common_keys[i], check) && good;
        }
        return good;
}

static void title_set(CheckSpec *check) {
        if (check->kind == CHECK_HTTP)
                check->title = str_copy(check->url);
        if (check->kind == CHECK_COMMAND)
                check->title = strv_join(check->run, " ");
        if (check->kind == CHECK_LOG)
                check->title = str_copy(check->expect);
}

static bool check_read(Reader *r, const Node *item) {
        CheckSpec check = {0};
        bool good = map_read(r, &kind_table, item, &check);
        const Node *inner = kind_node(item, &check.kind);
        good = good && commons_read(r, item, inner, &check);
        if (good)
                title_set(&check);
        PUSH(r->service->checks, r->service->n_checks, check);
        return good;
}

static bool checks_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        return items_read(r, node, check_read);
}
const KeyType type_checks = {"checks", "expected a list", false, checks_read};
