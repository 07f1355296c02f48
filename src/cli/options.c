#include "cli/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

const OptInfo option_infos[OPT_COUNT] = {
        [OPT_YES] = {"yes", 'y', NULL, "answer yes to what would be asked"},
        [OPT_PLAN] = {"plan", 0, "ID", "only if the plan is still the one shown under this id"},
        [OPT_NO_BACKUP] = {"no-backup", 0, NULL, "take no backup: undo is then revert only"},
        [OPT_NO_MIGRATIONS] = {"no-migrations", 0, NULL, "do not run pending migrations"},
        [OPT_NO_REHEARSAL] = {"no-rehearsal", 0, NULL, "do not try it on a copy first"},
        [OPT_ACCEPT_BREAKING] = {"accept-breaking", 0, NULL,
                "go to a version that may break what uses it"},
        [OPT_ACCEPT_UNHEALTHY] = {"accept-unhealthy", 0, NULL,
                "although the service is down or failing now"},
        [OPT_ALLOW_DOWNGRADE] = {"allow-downgrade", 0, NULL,
                "go to an older version, or restore across versions"},
        [OPT_EVEN_IF_BAD] = {"even-if-bad", 0, NULL,
                "although this version was rolled back before"},
        [OPT_REINSTALL] = {"reinstall", 0, NULL, "although this version is installed already"},
        [OPT_FORCE] = {"force", 0, NULL, "--even-if-bad --allow-downgrade --reinstall"},
        [OPT_NO_WAIT] = {"no-wait", 0, NULL, "return when verify has passed; the watch goes on"},
        [OPT_DETACH] = {"detach", 0, NULL, "return at once; `belay resume RUN` follows it"},
        [OPT_WAIT_LOCK] = {"wait-lock", 0, "TIME", "wait so long for another run to end (15m)"},
        [OPT_AT] = {"at", 0, "TIME",
                "begin then: 02:00, 2h, \"2026-12-24 18:00\" or 2026-12-24T18:00:00Z"},
        [OPT_IN_WINDOW] = {"in-window", 0, NULL, "begin when the next window opens"},
        [OPT_ANY_TIME] = {"any-time", 0, NULL, "although no window is open, or updates are frozen"},
        [OPT_DRY_RUN] = {"dry-run", 0, NULL, "only say what would be done"},
        [OPT_FIX] = {"fix", 0, NULL, "mend a remote's fetch setting that misses branches"},
        [OPT_EXPLAIN] = {"explain", 0, NULL, "each value in force and where it came from"},
        [OPT_EXIT_CODE] = {"exit-code", 0, NULL, "exit 10 when there is an update"},
        [OPT_ALL] = {"all", 0, NULL, "all of them"},
        [OPT_REVERT] = {"revert", 0, NULL, "the old version, the data as it is"},
        [OPT_RESTORE] = {"restore", 0, NULL, "the old version with its data from the backup"},
        [OPT_TO] = {"to", 0, "TARGET", "rollback: a version; backup restore: a directory beside"},
        [OPT_RUN] = {"run", 0, "NUMBER", "of this run"},
        [OPT_FORMAT] = {"format", 0, "md|html|json", "form of the report"},
        [OPT_TRY_AGAIN] = {"try-again", 0, NULL,
                "go on with a run that needs a person: you have looked, and mended what stopped "
                "it"},
        [OPT_SINCE] = {"since", 0, "TIME", "statistics from then on: 7d, or 2026-12-24"},
        [OPT_FOLLOW] = {"follow", 'f', NULL, "go on as the log grows"},
        [OPT_LEVEL] = {"level", 0, "1|2", "1: every byte; 2: also archives and databases"},
        [OPT_ONLY] = {"only", 0, "NAME", "only this content"},
        [OPT_STORE] = {"store", 0, "DIR", "this store"},
        [OPT_MESSAGE] = {"message", 'm', "REASON", "why"},
        [OPT_UNTIL] = {"until", 0, "TIME",
                "end of the lock, as 2026-12-24T18:00:00Z, 2026-12-24, 18:00 or 2h"},
        [OPT_SERVICE] = {"service", 0, "NAME", "of this service"},
        [OPT_LINES] = {"lines", 'n', "NUMBER", "so many lines of the end (50)"},
        [OPT_SCHEMA] = {"schema", 0, NULL, "print the format as a JSON Schema, for editors"},
        [OPT_SHUTDOWN] = {"shutdown", 0, NULL, "the machine goes down: stop what runs"},
};

enum {
        GLOBAL_FILE = 1000,
        GLOBAL_STATE,
        GLOBAL_JSON,
        GLOBAL_QUIET,
        GLOBAL_VERBOSE,
        GLOBAL_NO_COLOR,
        GLOBAL_HELP,
        GLOBAL_VERSION
};

static const struct option global_options[] = {
        {"file", required_argument, NULL, GLOBAL_FILE},
        {"state", required_argument, NULL, GLOBAL_STATE},
        {"json", no_argument, NULL, GLOBAL_JSON},
        {"quiet", no_argument, NULL, GLOBAL_QUIET},
        {"verbose", no_argument, NULL, GLOBAL_VERBOSE},
        {"no-color", no_argument, NULL, GLOBAL_NO_COLOR},
        {"help", no_argument, NULL, GLOBAL_HELP},
        {"version", no_argument, NULL, GLOBAL_VERSION},
        {"yes", no_argument, NULL, OPT_YES},
};

static bool take_global(App *app, int option, const char *value) {
        switch (option) {
        case 'f':
        case GLOBAL_FILE:
                app->file = value;
                return true;
        case GLOBAL_STATE:
                app->state_dir = value;
                return true;
        case GLOBAL_JSON:
                return app->json = true;
        case 'q':
        case GLOBAL_QUIET:
                return app->quiet = true;
        case 'v':
        case GLOBAL_VERBOSE:
                app->verbose++;
                return true;
        case GLOBAL_NO_COLOR:
                return app->no_color = true;
        case 'y':
        case OPT_YES:
                app->opt[OPT_YES] = "";
                return app->yes = true;
        default:
                return false;
        }
}

/* The word that getopt has just read as an option; a value of its own stands behind it. */
static const char *word_read(char **argv) {
        return optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

/* getopt takes "--all" for "--allow-downgrade" where nothing else begins so. What a script has in short
 * would mean something else in a later version, so only what is written in full is an option. */
static bool is_abbreviated(const char *word, const struct option *found) {
        return str_starts(word, "--") && strcspn(word + 2, "=") != strlen(found->name);
}

static bool refuse_abbreviation(App *app, const char *word, const struct option *found) {
        (void)app_usage(app, "'%.*s' is no option; if '--%s' is meant, write it in full",
                (int)strcspn(word, "="), word, found->name);
        return false;
}

int options_parse_global(App *app, int argc, char **argv) {
        struct option table[COUNT_OF(global_options) + 1] = {0};
        memcpy(table, global_options, sizeof(global_options));
        static char help[] = "help", version[] = "version";
        int option, index = -1;
        optind = 0;
        opterr = 0;
        for (; (option = getopt_long(argc, argv, "+:f:qvyhV", table, &index)) != -1; index = -1) {
                if (index >= 0 && is_abbreviated(word_read(argv), &table[index])) {
                        (void)refuse_abbreviation(app, word_read(argv), &table[index]);
                        return -1;
                }
                if (option == GLOBAL_HELP || option == 'h' || option == GLOBAL_VERSION ||
                        option == 'V') {
                        argv[argc - 1] = option == GLOBAL_HELP || option == 'h' ? help : version;
                        return argc - 1;
                }
                if (take_global(app, option, optarg))
                        continue;
                (void)app_usage(app, "%s '%s'",
                        option == ':' ? "a value is missing after" : "unknown option",
                        argv[optind - 1]);
                return -1;
        }
        return optind;
}

static bool verb_takes(const Verb *verb, int option) {
        for (const Opt *o = verb->options; o && *o != OPT_COUNT; o++)
                if ((int)*o == option)
                        return true;
        return false;
}

/* The getopt tables of a verb: its own options, then the global ones. */
static void build_tables(const Verb *verb, struct option *table, Str *letters) {
        size_t n = 0;
        str_add(letters, ":qvyh");
        bool own_f = false;
        for (const Opt *o = verb->options; o && *o != OPT_COUNT; o++) {
                const OptInfo *info = &option_infos[*o];
                table[n++] = (struct option){
                        info->name, info->value ? required_argument : no_argument, NULL, (int)*o};
                own_f = own_f || info->letter == 'f';
                if (info->letter && info->letter != 'y')
                        str_addf(letters, "%c%s", info->letter, info->value ? ":" : "");
        }
        if (!own_f)
                str_add(letters, "f:");
        for (size_t i = 0; i < COUNT_OF(global_options); i++)
                table[n++] = global_options[i];
}

static int option_of_letter(const Verb *verb, int letter) {
        for (const Opt *o = verb->options; o && *o != OPT_COUNT; o++)
                if (option_infos[*o].letter && option_infos[*o].letter == letter)
                        return (int)*o;
        return letter;
}

/* Of letters written together ("-rf") only one is wrong; getopt has its letter, not its place. */
static bool refuse(App *app, const Verb *verb, int option, const char *word) {
        const char letter[] = {'-', (char)optopt, '\0'};
        if (isalpha(optopt))
                word = letter;
        if (option == ':')
                (void)app_usage(app, "'belay %s': a value is missing after '%s'", verb->name, word);
        else
                (void)app_usage(app, "'belay %s' has no option '%s'; `belay help %s` lists them",
                        verb->name, word, verb->name);
        return false;
}

bool options_parse(App *app, const Verb *verb, int argc, char **argv) {
        struct option table[OPT_COUNT + COUNT_OF(global_options) + 1] = {0};
        scoped(str_done) Str letters = {0};
        build_tables(verb, table, &letters);
        int option, index = -1;
        optind = 0;
        opterr = 0;
        for (; (option = getopt_long(argc, argv, letters.text, table, &index)) != -1; index = -1) {
                if (index >= 0 && is_abbreviated(word_read(argv), &table[index]))
                        return refuse_abbreviation(app, word_read(argv), &table[index]);
                option = option_of_letter(verb, option);
                if (option == GLOBAL_HELP || option == 'h') {
                        options_print_help(verb, stdout);
                        exit(app_finish_output(0));
                }
                if (take_global(app, option, optarg))
                        continue;
                if (option >= OPT_COUNT || !verb_takes(verb, option))
                        return refuse(app, verb, option, argv[optind - 1]);
                if (app->opt[option] && optarg && strcmp(app->opt[option], optarg) != 0) {
                        (void)app_usage(app, "--%s is given twice, with different values",
                                option_infos[option].name);
                        return false;
                }
                app->opt[option] = optarg ? optarg : "";
        }
        app->args = argv + optind;
        app->n_args = argc - optind;
        return true;
}

static void print_option(const OptInfo *info, FILE *to) {
        scoped(free_str) char *letter =
                info->letter ? str_format("-%c, ", info->letter) : str_copy("    ");
        scoped(free_str) char *name = str_format("%s--%s%s%s", letter, info->name,
                info->value ? " " : "", info->value ? info->value : "");
        fprintf(to, "  %-26s  %s\n", name, info->help);
}

void options_print_help(const Verb *verb, FILE *to) {
        fprintf(to, "belay %s%s%s\n  %s\n", verb->name, *verb->operands ? " " : "", verb->operands,
                verb->help);
        if (verb->options && *verb->options != OPT_COUNT)
                fputs("\nOptions:\n", to);
        for (const Opt *o = verb->options; o && *o != OPT_COUNT; o++)
                print_option(&option_infos[*o], to);
}

const OptInfo option_global_infos[] = {
        {"file", 'f', "FILE", "this manifest"},
        {"state", 0, "DIR", "this state directory (also $BELAY_STATE)"},
        {"json", 0, NULL, "results as JSON on standard output"},
        {"yes", 'y', NULL, "answer yes to what would be asked"},
        {"quiet", 'q', NULL, "only results and errors"},
        {"verbose", 'v', NULL, "more about what is being done"},
        {"no-color", 0, NULL, "plain text (also $NO_COLOR)"},
        {NULL, 0, NULL, NULL},
};

void options_print_global_help(FILE *to) {
        fputs("Global options, before or after the command:\n", to);
        for (const OptInfo *info = option_global_infos; info->name; info++)
                print_option(info, to);
        print_option(&(OptInfo){"help", 'h', NULL, "what a command takes"}, to);
        print_option(
                &(OptInfo){"version", 'V', NULL, "before a command: the version of belay"}, to);
}
