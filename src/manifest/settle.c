#include "manifest/settle.h"

#include <string.h>
#include <strings.h>

#include "manifest/contents.h"
#include "manifest/value.h"

static const Node *at(const Node *root, const char *key, const char *inner) {
        const Node *node = node_get(root, key);
        return inner ? node_get(node, inner) : node;
}

static bool bad(Reader *r, const Node *node, const char *problem, const char *hint) {
        return finding_add(r->findings, &(Finding){.at = node->at, .hint = hint}, "%s", problem);
}

/* The service's directory is the runtime's; the checkout is there unless it is named. */
static void directories_settle(Reader *r) {
        Service *service = r->service;
        char **run = &service->process.directory, **git = &service->git.directory;
        if (!*run) {
                bool other = *git != NULL;
                *run = str_copy(other ? *git : r->base);
                service_explain(service, "runtime.process.directory", *run,
                        other ? "detected: the directory of the checkout" : "default");
        }
        if (!*git) {
                *git = str_copy(*run);
                service_explain(service, "source.git.directory", *git,
                        "detected: the directory of the runtime");
        }
        /* With releases the link may be named as the place where the process runs. */
        scoped(free_str) char *current = path_join(*git, "current");
        if (service->git.layout == LAYOUT_RELEASES && strcmp(*run, current) == 0)
                str_replace_owned(run, str_copy(*git));
        str_replace_owned(&service->directory, str_copy(*run));
}

static unsigned loopback_port(const char *url) {
        scoped(free_str) char *host = NULL;
        unsigned port = 0;
        if (!url || strstr(url, "${port}"))
                return 0;
        url_split(url, &host, &port);
        return host_is_loopback(host) ? port : 0;
}

/* HTTP first: what is asked over TCP alone is more often a database. */
static unsigned port_detect(const Service *service, char **ret_from) {
        unsigned port = loopback_port(service->installed.http);
        if (port) {
                *ret_from = str_copy("detected: installed.http");
                return port;
        }
        for (int kind = CHECK_HTTP; kind <= CHECK_TCP; kind++) {
                for (size_t i = 0; i < service->n_checks; i++) {
                        const CheckSpec *check = &service->checks[i];
                        if ((int)check->kind != kind)
                                continue;
                        port = kind == CHECK_HTTP ? loopback_port(check->url)
                                                  : loopback_port(check->title);
                        if (!port)
                                continue;
                        *ret_from = str_format(
                                "detected: checks[%zu].%s", i, kind == CHECK_HTTP ? "http" : "tcp");
                        return port;
                }
        }
        return 0;
}

static bool port_settle(Reader *r) {
        Service *service = r->service;
        if (service->process.port)
                return true;
        scoped(free_str) char *from = NULL;
        service->process.port = port_detect(service, &from);
        scoped(free_str) char *text = str_format("%u", service->process.port);
        if (service->process.port)
                service_explain(service, "runtime.process.port", text, from);
        else if (r->wants_port)
                return bad(r, r->wants_port, "'${port}' is used, but no port is known",
                        "Set runtime.process.port, or name it in a URL of 'installed' or "
                        "'checks'.");
        return true;
}

/* A tcp check of "host:${port}". */
static void tcp_settle(Service *service) {
        for (size_t i = 0; i < service->n_checks; i++) {
                CheckSpec *check = &service->checks[i];
                if (check->kind != CHECK_TCP || check->port || !service->process.port)
                        continue;
                check->port = service->process.port;
                bool ipv6 = strchr(check->host, ':') != NULL;
                str_replace_owned(&check->title,
                        str_format(ipv6 ? "[%s]:%u" : "%s:%u", check->host, check->port));
        }
}

/* Relative to where migrations run: with releases to the one that is in place, or to what all of them share. */
static char *database_settle(const Service *service, const char *path) {
        const GitSpec *git = &service->git;
        bool releases = git->layout == LAYOUT_RELEASES && path[0] != '/';
        scoped(free_str) char *inner = path_settle("/", path);
        for (size_t i = 0; releases && git->shared && git->shared[i]; i++) {
                if (!path_holds(git->shared[i], inner + 1))
                        continue;
                scoped(free_str) char *shared = path_join(service->directory, "shared");
                return path_settle(shared, path);
        }
        scoped(free_str) char *current = path_join(service->directory, "current");
        return path_settle(releases ? current : service->directory, path);
}

static void migrations_settle(Service *service) {
        for (size_t i = 0; i < service->n_migrations; i++) {
                MigrationSpec *migration = &service->migrations[i];
                if (migration->database)
                        str_replace_owned(&migration->database,
                                database_settle(service, migration->database));
        }
}

static bool installed_check(Reader *r, const Node *root) {
        if (!r->service->installed.json || r->service->installed.http)
                return true;
        return bad(r, at(root, "installed", "json"), "\"installed.json\" goes with \"http\" alone",
                NULL);
}

/* A token in the clear could be read by anybody on the way. */
static bool releases_check(Reader *r, const Node *root) {
        const ReleasesSpec *releases = &r->service->releases;
        const char *url = releases->feed    ? releases->feed
                          : releases->gitea ? releases->gitea
                                            : releases->api;
        scoped(free_str) char *host = NULL;
        unsigned port = 0;
        if (releases->api && !releases->github)
                return bad(r, at(root, "releases", "api"),
                        "\"releases.api\" goes with \"github\" alone", NULL);
        if (releases->token.from == VALUE_NONE)
                return true;
        if (releases->files)
                return bad(r, at(root, "releases", "token"),
                        "\"releases.token\" is for servers, not for \"files\"", NULL);
        if (!url || strncasecmp(url, "https://", 8) == 0)
                return true;
        url_split(url, &host, &port);
        return host_is_loopback(host) ||
               bad(r, at(root, "releases", "token"),
                       "\"releases.token\" would be sent over http, where others can read it",
                       "Use https.");
}

static bool configuration_check(Reader *r, const Node *root) {
        const ConfigSpec *config = &r->service->configuration;
        const Node *node = node_get(root, "configuration");
        if (node && !config->env_file && (config->n_set || config->n_secrets))
                return bad(r, node,
                        "\"env_file\" is missing under configuration: there is nothing to edit",
                        "Add env_file: .env");
        bool good = true;
        const Node *secrets = at(root, "configuration", "secrets"),
                   *set = at(root, "configuration", "set");
        for (size_t i = 0; secrets && i < secrets->n; i++)
                if (node_get(set, secrets->keys[i]->text))
                        good = finding_add(r->findings, &(Finding){.at = secrets->keys[i]->at},
                                "\"%s\" is under configuration.set already",
                                secrets->keys[i]->text);
        return good;
}

static bool keep_settle(Reader *r, const Node *root) {
        BackupSpec *backup = &r->service->backup;
        if (at(root, "backup", "keep"))
                return true;
        backup->keep_last = 5;
        backup->keep_days = 7;
        service_explain(r->service, "backup.keep", "{last: 5, days: 7}", "default");
        return true;
}

static bool stores_check(Reader *r, const Node *root) {
        char *const *stores = r->service->backup.local_stores;
        const Node *list = at(root, "backup", "stores");
        bool good = true;
        for (size_t i = 0; list && i < list->n; i++) {
                const Node *node = node_get(list->items[i], "local");
                for (size_t j = 0; j < i; j++)
                        if (strcmp(stores[i], stores[j]) == 0)
                                good = bad(r, node, "the same store is in the list already", NULL);
                if (path_holds(stores[i], r->service->git.directory))
                        good = bad(r, node, "the store holds the checkout itself",
                                "Give it a directory of its own.");
        }
        return good;
}

static bool contents_check(Reader *r, const Node *root) {
        const BackupSpec *backup = &r->service->backup;
        const Node *list = at(root, "backup", "contents");
        bool good = true;
        for (size_t i = 0; list && i < backup->n_contents; i++) {
                scoped(free_str) char *problem = content_conflict(r->service, i);
                if (problem)
                        good = finding_add(r->findings,
                                &(Finding){.at = list->items[i]->items[0]->at}, "'%s' %s",
                                backup->contents[i].path, problem);
        }
        return good;
}

static bool requires_check(Reader *r, const Node *root) {
        if (!str_equal(r->service->succeeded_on, r->service->name))
                return true;
        return bad(r, at(root, "requires", "succeeded_on"),
                "\"requires.succeeded_on\" names this very service: it would wait for itself",
                "Name the service where updates are tried first.");
}

static bool monitor_check(Reader *r, const Node *root) {
        const MonitorSpec *monitor = &r->service->monitor;
        const Node *memory = at(root, "monitor", "memory");
        if (memory && monitor->memory_warn && monitor->memory_fail &&
                monitor->memory_warn > monitor->memory_fail)
                return bad(r, memory, "\"monitor.memory.warn\" is above \"fail\"", NULL);
        return true;
}

bool service_settle(Reader *r, const Node *root) {
        directories_settle(r);
        migrations_settle(r->service);
        bool good = port_settle(r);
        tcp_settle(r->service);
        good = git_check(r, at(root, "source", "git")) && good;
        good = installed_check(r, root) && good;
        good = releases_check(r, root) && good;
        good = configuration_check(r, root) && good;
        good = keep_settle(r, root) && good;
        good = stores_check(r, root) && good;
        good = contents_check(r, root) && good;
        good = requires_check(r, root) && good;
        return monitor_check(r, root) && good;
}
