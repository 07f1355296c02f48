/* A table: a cell is one line of text, whatever the name in it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "cli/table.h"

static void cells_are_lines_of_text(void **state) {
        (void)state;
        char *text = NULL;
        size_t bytes = 0;
        FILE *to = open_memstream(&text, &bytes);
        scoped(table_done) Table table = {.columns = 2};
        table_add(&table, "a\033[31m");
        table_add(&table, "b\nc");
        table_add(&table, "\xe2\x80\xae");
        table_add(&table, NULL);
        table_print(&table, to);
        assert_int_equal(fclose(to), 0);
        assert_string_equal(text, "a?[31m  b?c\n?\n");
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(cells_are_lines_of_text)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
