/* The options of the command line: one table for parsing and for help. */
#ifndef BELAY_CLI_OPTIONS_H
#define BELAY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/app.h"

typedef struct OptInfo {
        const char *name;
        char letter;       /* 0: none */
        const char *value; /* name of its value, "md|json" where only these are; NULL: a flag */
        const char *help;
} OptInfo;

extern const OptInfo option_infos[OPT_COUNT];
/* Those of every verb; the last has no name. */
extern const OptInfo option_global_infos[];

/* Parses global flags up to the first word; its index, or -1 after having said what is wrong. */
int options_parse_global(App *app, int argc, char **argv);
/* Parses the options of a verb, wherever they stand, and the global ones too; argv[0] is skipped.
 * False after having said what is wrong. */
bool options_parse(App *app, const Verb *verb, int argc, char **argv);
void options_print_help(const Verb *verb, FILE *to);
void options_print_global_help(FILE *to);

#endif
