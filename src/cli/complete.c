/*
 * What may stand where the cursor is: `belay __complete -- WORD...`, the words after "belay", the last one
 * as far as it is typed. One candidate a line, a tabulator, what it is. The first line may be ":files" or
 * ":dirs": the shell is to offer those. Nothing is made, asked or locked, and no error is told.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "manifest/manifest.h"
#include "manifest/registry.h"

enum { RUNS_MAX = 200, BACKUPS_MAX = 500 };

typedef struct Line {
        App *app;
        char **words; /* before the cursor's */
        int n;
        const char *at; /* the cursor's word so far */
        const Verb *verb;
        int operands;        /* of the verb, before the cursor */
        const char *service; /* the first of them */
        const char *first;   /* the first word of a verb of two, when there is no more */
        const OptInfo *open; /* the option before the cursor, which wants a value */
        bool only_operands;  /* after "--" */
} Line;

static void offer(const Line *line, const char *text, const char *what) {
        if (!str_starts(text, line->at))
                return;
        fputs(text, stdout);
        if (what)
                printf("\t%s", what);
        putchar('\n');
}

/* -- the line so far -------------------------------------------------------------------------- */

static bool means(const OptInfo *info, const char *word) {
        if (word[0] == '-' && word[1] == '-')
                return str_equal(word + 2, info->name);
        return info->letter && word[1] == info->letter && !word[2];
}

/* A verb's own letter comes before a global one: -f of logs. */
static const OptInfo *option_of(const Verb *verb, const char *word) {
        for (const Opt *o = verb ? verb->options : NULL; o && *o != OPT_COUNT; o++)
                if (means(&option_infos[*o], word))
                        return &option_infos[*o];
        for (const OptInfo *info = option_global_infos; info->name; info++)
                if (means(info, word))
                        return info;
        return NULL;
}

static const Verb *verb_named(const char *first, const char *second) {
        scoped(free_str) char *name = second ? str_format("%s %s", first, second) : str_copy(first);
        for (size_t i = 0; i < n_verbs; i++)
                if (str_equal(verbs[i].name, name) && !verbs[i].hidden)
                        return &verbs[i];
        return NULL;
}

static void take_operand(Line *line, const char *word) {
        if (line->verb) {
                line->service = line->operands++ ? line->service : word;
                return;
        }
        line->verb = verb_named(line->first ? line->first : word, line->first ? word : NULL);
        line->first = line->verb ? NULL : word;
}

static void take_value(Line *line, const OptInfo *option, const char *value) {
        if (option == &option_global_infos[0])
                line->app->file = value;
        else if (option == &option_global_infos[1])
                line->app->state_dir = value;
}

static void read_line(Line *line) {
        for (int i = 0; i < line->n; i++) {
                const char *word = line->words[i];
                if (line->open) {
                        take_value(line, line->open, word);
                        line->open = NULL;
                } else if (!line->only_operands && str_equal(word, "--"))
                        line->only_operands = true;
                else if (!line->only_operands && word[0] == '-' && word[1]) {
                        const OptInfo *option = option_of(line->verb, word);
                        line->open = option && option->value ? option : NULL;
                } else
                        take_operand(line, word);
        }
}

/* -- what there is ---------------------------------------------------------------------------- */

static bool see_state(const Line *line) {
        return line->app->state.root || state_find(line->app->state_dir, &line->app->state);
}

static void offer_services(const Line *line) {
        scoped(registry_done) Registry registry = {0};
        if (!registry_list(&registry, NULL))
                return;
        for (size_t i = 0; i < registry.n; i++)
                offer(line, registry.entries[i].name, NULL);
}

static void offer_runs(const Line *line) {
        scoped(free_mem) unsigned *runs = NULL;
        size_t n = 0;
        if (!see_state(line) || !state_runs(&line->app->state, &runs, &n, NULL))
                return;
        for (size_t i = 0; i < n && i < RUNS_MAX; i++) {
                scoped(free_str) char *text = str_format("%u", runs[n - 1 - i]);
                offer(line, text, NULL);
        }
}

/* Who begins with a number means it without the v: a VERSION is taken with or without. */
static void offer_version(const Line *line, const char *tag, const char *what) {
        bool bare = line->at[0] >= '0' && line->at[0] <= '9' && tag[0] == 'v';
        offer(line, bare ? tag + 1 : tag, what);
}

static void offer_tags(const Line *line, const json_t *object) {
        const char *key = NULL;
        json_t *value = NULL;
        json_object_foreach((json_t *)(uintptr_t)object, key, value) offer_version(line, key, NULL);
}

/* Those that Belay has met; asking a remote is for `belay check`. */
static void offer_versions(const Line *line) {
        if (!line->service || !service_name_ok(line->service) || !see_state(line))
                return;
        scoped(js_freep) json_t *tags =
                state_load(&line->app->state, line->service, "tags.json", NULL);
        offer_tags(line, js_get(tags, "tags"));
        scoped(js_freep) json_t *newest =
                state_load(&line->app->state, line->service, OFFERS_FILE, NULL);
        const char *tag = js_str(newest, "tag");
        if (tag && !js_get(js_get(tags, "tags"), tag))
                offer_version(line, tag, "newest");
}

static char *store_of(const Line *line) {
        scoped(service_freep) Service *service = NULL;
        if (find_service(line->app, line->service, &service, NULL) && service->backup.local_stores)
                return str_format("%s/%s", service->backup.local_stores[0], service->name);
        if (!see_state(line))
                return NULL;
        return str_format("%s/backups/%s", line->app->state.root, line->service);
}

static void offer_backups(const Line *line) {
        if (!line->service || !service_name_ok(line->service))
                return;
        scoped(free_str) char *path = store_of(line);
        scoped(close_dir) DIR *dir = path ? opendir(path) : NULL;
        const struct dirent *entry = NULL;
        for (int n = 0; dir && n < BACKUPS_MAX && (entry = readdir(dir)); n++)
                if (entry->d_name[0] != '.')
                        offer(line, entry->d_name, NULL);
}

static void offer_files(const Line *line) {
        (void)line;
        puts(":files");
}

static void offer_dirs(const Line *line) {
        (void)line;
        puts(":dirs");
}

/* Each verb once; of those of two words the first. */
static void offer_verbs(const Line *line) {
        for (size_t i = 0; i < n_verbs; i++) {
                const char *space = strchr(verbs[i].name, ' ');
                size_t length = space ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);
                scoped(free_str) char *word = str_copy_n(verbs[i].name, length);
                bool again = i > 0 && space && str_starts(verbs[i - 1].name, word) &&
                             verbs[i - 1].name[length] == ' ';
                if (!verbs[i].hidden && !again)
                        offer(line, word, space ? NULL : verbs[i].help);
        }
}

static void offer_second_words(const Line *line) {
        scoped(free_str) char *prefix = str_format("%s ", line->first);
        for (size_t i = 0; i < n_verbs; i++)
                if (!verbs[i].hidden && str_starts(verbs[i].name, prefix))
                        offer(line, verbs[i].name + strlen(prefix), verbs[i].help);
}

static const struct {
        const char *name; /* as the verb table and the options call it */
        void (*offer)(const Line *line);
} kinds[] = {
        {"SERVICE", offer_services},
        {"RUN", offer_runs},
        {"NUMBER", offer_runs},
        {"VERSION", offer_versions},
        {"TARGET", offer_versions},
        {"BACKUP", offer_backups},
        {"COMMAND", offer_verbs},
        {"FILE", offer_files},
        {"DIR", offer_dirs},
};

/* -- what fits ------------------------------------------------------------------------------- */

static void offer_kind(const Line *line, const char *kind) {
        scoped(strv_freep) Strv words = strv_split(kind, '|');
        for (size_t i = 0; words && words[i]; i++) {
                bool known = false;
                for (size_t k = 0; k < COUNT_OF(kinds); k++)
                        if (str_equal(kinds[k].name, words[i])) {
                                kinds[k].offer(line);
                                known = true;
                        }
                /* "md|json": the values themselves. Names in capitals are for people to fill in. */
                if (!known && words[i][0] && !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", words[i][0]))
                        offer(line, words[i], NULL);
        }
}

static void offer_option(const Line *line, const OptInfo *info) {
        scoped(free_str) char *name = str_format("--%s", info->name);
        offer(line, name, info->help);
}

static void offer_options(const Line *line) {
        for (const Opt *o = line->verb ? line->verb->options : NULL; o && *o != OPT_COUNT; o++)
                offer_option(line, &option_infos[*o]);
        for (const OptInfo *info = option_global_infos; info->name; info++)
                offer_option(line, info);
        offer_option(line, &(OptInfo){.name = "help", .help = "what it takes"});
}

/* "[SERVICE [VERSION]]": the word of this place. */
static void offer_operand(const Line *line) {
        scoped(strv_freep) Strv words = strv_split(line->verb->operands, ' ');
        if (line->operands >= (int)strv_count(words))
                return;
        char *word = words[line->operands];
        word += strspn(word, "[");
        word[strcspn(word, "]")] = '\0';
        offer_kind(line, word);
}

static void offer_value(const Line *line) {
        bool lines = line->open == &option_infos[OPT_LINES];
        bool beside = line->open == &option_infos[OPT_TO] && str_starts(line->verb->name, "backup");
        if (!lines)
                offer_kind(line, beside ? "DIR" : line->open->value);
}

int verb_complete(App *app) {
        static char nothing[] = "";
        Line line = {.app = app,
                .words = app->args,
                .n = app->n_args ? app->n_args - 1 : 0,
                .at = app->n_args ? app->args[app->n_args - 1] : nothing};
        read_line(&line);
        if (line.open)
                offer_value(&line);
        else if (line.at[0] == '-' && !line.only_operands)
                offer_options(&line);
        else if (line.first)
                offer_second_words(&line);
        else if (line.verb)
                offer_operand(&line);
        else
                offer_verbs(&line);
        return 0;
}
