/* Statements of SQL files and their lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "migrate/sql_text.h"

/* "line:text|line:text|" */
static char *pieces(const char *text) {
        Str out = {0};
        SqlText rest = {text, 1};
        SqlStatement one;
        while (sql_next(&rest, &one))
                str_addf(&out, "%u:%.*s|", one.line, (int)one.bytes, one.text);
        return str_take(&out);
}

static void statements(void **state) {
        (void)state;
        static const char *const rows[][2] = {
                {"", ""},
                {" \n;;\n-- nothing\n/* at all */", ""},
                {"select 1", "1:select 1|"},
                {"select 1;select 2;", "1:select 1;|1:select 2;|"},
                {"\xef\xbb\xbfselect 1;\n\nselect 2", "1:select 1;|3:select 2|"},
                {"select ';' , \";\", `;`, [;];x", "1:select ';' , \";\", `;`, [;];|1:x|"},
                {"select 'it''s;';x", "1:select 'it''s;';|1:x|"},
                {"-- a;\nselect /* ; */ 1 -- ;\n;x", "2:select /* ; */ 1 -- ;\n;|3:x|"},
                {"select 'open; x", "1:select 'open; x|"},
                {"/* open ; x", ""},
                {"create trigger t after insert on a begin update a set b=1; delete from c; "
                 "end;\nx",
                        "1:create trigger t after insert on a begin update a set b=1; delete from "
                        "c; end;|2:x|"},
                {"create /* c */ temp trigger t after insert on a begin select case when 1 then 2 "
                 "end; end; x",
                        "1:create /* c */ temp trigger t after insert on a begin select case when "
                        "1 then 2 end; "
                        "end;|1:x|"},
                {"create table trigger_log(a); x", "1:create table trigger_log(a);|1:x|"},
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                scoped(free_str) char *found = pieces(rows[i][0]);
                assert_string_equal(found, rows[i][1]);
        }
}

static void beginnings(void **state) {
        (void)state;
        const SqlStatement one = {.text = "PRAGMA  foreign_key_check(a);", .bytes = 29};
        assert_true(sql_begins(&one, "pragma"));
        assert_true(sql_begins(&one, "pragma foreign_key_check"));
        assert_false(sql_begins(&one, "pragma foreign_key"));
        assert_false(sql_begins(&one, "pragm"));
        const SqlStatement cut = {.text = "begin", .bytes = 3};
        assert_false(sql_begins(&cut, "begin"));
}

static void own_transactions(void **state) {
        (void)state;
        static const char *const yes[] = {"begin; select 1; commit", "select 1; SAVEPOINT a;",
                "vacuum", "-- x\nBegin\tImmediate;", "PRAGMA user_version=1; release a",
                "select 1;end"};
        static const char *const no[] = {"select 'begin;'", "-- begin;\nselect 1",
                "create table begins(a)", "create trigger t after insert on a begin select 1; end;",
                "insert into a values('; commit;')", ""};
        for (size_t i = 0; i < COUNT_OF(yes); i++)
                if (!sql_has_own_transactions(yes[i]))
                        fail_msg("'%s' has", yes[i]);
        for (size_t i = 0; i < COUNT_OF(no); i++)
                if (sql_has_own_transactions(no[i]))
                        fail_msg("'%s' has not", no[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(statements),
                cmocka_unit_test(beginnings),
                cmocka_unit_test(own_transactions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
