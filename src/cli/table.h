/* Tables of text for a person: columns are as wide as their widest cell, counted in code points. */
#ifndef BELAY_CLI_TABLE_H
#define BELAY_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "base/str.h"

typedef struct Table {
        Strv cells; /* row after row */
        size_t columns;
        const char *indent;
} Table;

void table_add(Table *table, const char *cell); /* NULL is an empty cell */
void table_add_owned(Table *table, char *cell);
void table_print(const Table *table, FILE *to);
void table_done(Table *table);
size_t text_width(const char *text); /* code points */

#endif
