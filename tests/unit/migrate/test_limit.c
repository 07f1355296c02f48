/* What migrations may take together: whoever waits for all of them must not give up before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/own.h"
#include "migrate/migrate.h"

static void all_files_of_an_entry_count(void **state) {
        (void)state;
        const MigrationSpec sql = {.kind = MIGRATION_SQL, .timeout_ms = 1000};
        const MigrationSpec scripts = {.kind = MIGRATION_SCRIPTS};
        const MigrationSpec person = {.kind = MIGRATION_MANUAL, .timeout_ms = 5000};
        Migration items[] = {
                {.spec = &sql, .state = MIGRATION_NEW},
                {.spec = &sql, .state = MIGRATION_NEW},
                {.spec = &sql, .state = MIGRATION_RECORDED},
                {.spec = &scripts, .state = MIGRATION_EACH_TIME},
                {.spec = &person, .state = MIGRATION_NEW},
        };
        const MigrationList list = {.items = items, .n = COUNT_OF(items)};
        assert_int_equal(migration_list_limit_ms(&list), 2 * 1000 + MIGRATE_TIMEOUT_MS);
        assert_int_equal(migration_list_limit_ms(&(MigrationList){0}), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(all_files_of_an_entry_count)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
