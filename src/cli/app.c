#include "cli/app.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/options.h"

void app_done(App *app) { state_done(&app->state); }

bool app_state(App *app, Err *err) {
        if (app->state.root)
                return true;
        return state_open(app->state_dir, &app->state, err);
}

/* Lines after the first are indented, so that the first line stands out as the fact. */
static void print_indented(const char *text) {
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        for (size_t i = 0; lines && lines[i]; i++)
                fprintf(stderr, "  %s\n", lines[i]);
}

/* What says no without a list of reasons is one itself. */
static json_t *reasons_json(const Err *err, const ReasonList *reasons) {
        scoped(reasons_done) ReasonList one = {0};
        scoped(err_clear) Err copy = {.code = err->code,
                .reason = err->reason,
                .message = str_copy(err->message ? err->message : "failed"),
                .hint = str_copy(err->hint)};
        if (reasons && reasons->n)
                return reasons_to_json(reasons);
        return reasons_take_err(&one, &copy) ? reasons_to_json(&one) : NULL;
}

json_t *app_error_json(const Err *err) {
        json_t *error = json_object();
        js_set_str(error, "code", err_name(err->code));
        js_set_str(error, "message", err->message);
        js_set_str(error, "hint", err->hint);
        js_set_int(error, "exit", err_exit_status(err->code));
        return error;
}

static json_t *error_json(const Err *err, const ReasonList *reasons) {
        json_t *object = json_object();
        js_set(object, "error", app_error_json(err));
        json_t *array = reasons_json(err, reasons);
        if (array)
                js_set(object, "reasons", array);
        return object;
}

/* Names of files may hold any bytes; a terminal and JSON get text. */
static void make_printable(char **text) {
        if (*text)
                str_replace_owned(text, str_printable(*text, true));
}

int app_fail(App *app, Err *err) { return app_refuse(app, err, NULL); }

int app_refuse(App *app, Err *err, const ReasonList *reasons) {
        if (err->code == ERR_NO_SPACE && !err->hint)
                err_hint(err, "Make room on that disk, then type it again; `belay backup prune` "
                              "removes backups that are not to be kept.");
        make_printable(&err->message);
        make_printable(&err->hint);
        int status = err_exit_status(err->code);
        if (app->json)
                app_print_json(app, error_json(err, reasons));
        /* A bad manifest's message names file and line itself. */
        bool whole = err->code == ERR_MANIFEST && err->message && strchr(err->message, '\n');
        fprintf(stderr, "%s%s\n", whole ? "" : "belay: ", err->message ? err->message : "failed");
        if (err->hint)
                print_indented(err->hint);
        err_clear(err);
        return app_finish_output(status);
}

int app_usage(App *app, const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *message = str_vformat(format, args);
        va_end(args);
        scoped(err_clear) Err err = {0};
        err_fail(&err, ERR_USAGE, "%s", message);
        err_hint(&err, "`belay help` lists the commands.");
        return app_fail(app, &err);
}

bool app_ask(App *app, const char *question, bool *ret_yes, Err *err) {
        *ret_yes = app->yes;
        if (app->yes)
                return true;
        if (!app->can_ask) {
                err_fail(err, ERR_USAGE, "would ask \"%s\", but there is no terminal to ask on",
                        question);
                return err_hint(err, "Add --yes to answer yes.");
        }
        fprintf(stderr, "%s [y/N] ", question);
        char answer[16];
        *ret_yes = fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
        return true;
}

void app_print_json(App *app, json_t *owned) {
        if (app->json) {
                scoped(free_str) char *line = js_line(owned);
                puts(line);
        }
        json_decref(owned);
}

int app_finish_output(int status) {
        static bool told;
        errno = 0;
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        /* An earlier write failed, as a rule, and why is not known any more. */
        if (!told)
                fprintf(stderr, "belay: standard output could not be written%s%s\n",
                        errno ? ": " : "", errno ? errno_text(errno) : "");
        told = true;
        return status ? status : 1;
}

/* A program started with closed standard streams would open its files as 0 to 2 and write messages
 * into them. */
static void open_standard_streams(void) {
        for (;;) {
                int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        _exit(1);
                if (fd <= STDERR_FILENO) {
                        (void)fcntl(fd, F_SETFD, 0);
                        continue;
                }
                (void)close(fd);
                return;
        }
}

static void look_at_terminal(App *app) {
        app->terminal = !app->json && !app->quiet && isatty(STDOUT_FILENO);
        app->can_ask = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && !app->json;
        const char *no_color = getenv("NO_COLOR");
        app->color = app->terminal && !app->no_color && !(no_color && *no_color);
}

static const Verb *find_verb(char **words, int n, int *ret_used) {
        for (int used = n > 1 ? 2 : 1; used > 0; used--) {
                scoped(free_str) char *name =
                        used == 2 ? str_format("%s %s", words[0], words[1]) : str_copy(words[0]);
                for (size_t i = 0; i < n_verbs; i++)
                        if (strcmp(verbs[i].name, name) == 0) {
                                *ret_used = used;
                                return &verbs[i];
                        }
        }
        return NULL;
}

static int unknown_verb(App *app, const char *word) {
        scoped(free_mem) const char **names = NEW_ARRAY(const char *, n_verbs + 1);
        size_t n = 0;
        for (size_t i = 0; i < n_verbs; i++) {
                if (!verbs[i].hidden)
                        names[n++] = verbs[i].name;
                if (strncmp(verbs[i].name, word, strlen(word)) == 0 &&
                        verbs[i].name[strlen(word)] == ' ')
                        return app_usage(
                                app, "'%s' needs one more word, such as '%s'", word, verbs[i].name);
        }
        const char *near = str_nearest(word, names);
        if (near)
                return app_usage(
                        app, "'%s' is no command of belay; did you mean '%s'?", word, near);
        return app_usage(app, "'%s' is no command of belay", word);
}

static int run_verb(App *app, char **words, int n) {
        int used = 0;
        const Verb *verb = find_verb(words, n, &used);
        if (!verb)
                return unknown_verb(app, words[0]);
        /* getopt wants a program name in front of the words that are left. */
        if (!options_parse(app, verb, n - used + 1, words + used - 1))
                return app_finish_output(2);
        look_at_terminal(app);
        if (app->n_args < verb->min_args || app->n_args > verb->max_args)
                return app_usage(app, "'belay %s' takes %s", verb->name,
                        *verb->operands ? verb->operands : "no operands");
        int status = verb->run(app);
        return app_finish_output(status);
}

/* Whatever the caller's umask hides from others, Belay's own files stay readable to their owner. */
static void keep_owner_bits(void) {
        const mode_t was = umask(0);
        (void)umask(was & (mode_t)~S_IRWXU);
}

/* A limit of file sizes (ulimit -f) is to be an error of a write, like a full disk, and no sudden death. What is
 * started gets every signal's own meaning back. */
static void survive_limits(void) {
        (void)sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

int app_main(int argc, char **argv) {
        open_standard_streams();
        keep_owner_bits();
        survive_limits();
        scoped(app_done) App app = {0};
        if (argc < 1)
                return 2;
        int first = options_parse_global(&app, argc, argv);
        if (first < 0)
                return 2;
        look_at_terminal(&app);
        if (first >= argc) {
                static char help[] = "help";
                char *words[] = {help, NULL};
                (void)run_verb(&app, words, 1);
                return 2;
        }
        return run_verb(&app, argv + first, argc - first);
}
