#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

size_t text_width(const char *text) {
        size_t width = 0;
        for (; *text; text++)
                width += ((unsigned char)*text & 0xC0) != 0x80;
        return width;
}

void table_add_owned(Table *table, char *cell) {
        /* A cell is one line of text, whatever the name in it holds. */
        scoped(free_str) char *text = cell;
        strv_push(&table->cells, text ? str_printable(text, false) : str_copy(""));
}

void table_add(Table *table, const char *cell) {
        table_add_owned(table, str_copy(cell ? cell : ""));
}

static size_t column_width(const Table *table, size_t n, size_t column) {
        size_t width = 0;
        for (size_t i = column; i < n; i += table->columns) {
                size_t w = text_width(table->cells[i]);
                width = w > width ? w : width;
        }
        return width;
}

static void print_row(const Table *table, const size_t *widths, size_t row, FILE *to) {
        fputs(table->indent ? table->indent : "", to);
        size_t pending = 0;
        for (size_t c = 0; c < table->columns; c++) {
                const char *cell = table->cells[row * table->columns + c];
                if (*cell)
                        fprintf(to, "%*s%s", (int)pending, "", cell);
                pending = *cell ? 0 : pending;
                pending += widths[c] - text_width(cell) + 2;
        }
        fputc('\n', to);
}

void table_print(const Table *table, FILE *to) {
        size_t n = strv_count(table->cells);
        scoped(free_mem) size_t *widths = NEW_ARRAY(size_t, table->columns);
        for (size_t c = 0; c < table->columns; c++)
                widths[c] = column_width(table, n, c);
        for (size_t row = 0; row * table->columns + table->columns <= n; row++)
                print_row(table, widths, row, to);
}

void table_done(Table *table) {
        strv_free(table->cells);
        *table = (Table){0};
}
