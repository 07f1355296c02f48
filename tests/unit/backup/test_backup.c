/* A backup from its plan to a restore: paths, databases of both kinds, both passes, by Belay and by hand. */
#include "fixture.h"

static void paths_come_back_as_they_were(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "a", "one");
        put_text(f, "b", "two");
        scoped(free_str) char *before = tree_text(f->data);
        scoped(free_str) char *dir = whole_backup(f);
        OK(backup_verify(dir, 2, NULL, err));
        put_text(f, "a", "spoiled");
        put_text(f, "new", "new");
        restore_all(f);
        scoped(free_str) char *after = tree_text(f->data);
        assert_string_equal(before, after);
}

static void the_second_pass_takes_what_changed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *sub = in_data(f, "sub");
        OK(dir_make(sub, err));
        put_text(f, "a", "one");
        put_text(f, "b", "two");
        put_text(f, "sub/c", "three");
        put_text(f, "becomes-dir", "x");
        Backup *b = first_pass(f);
        put_text(f, "a", "ONE"); /* same size */
        put_text(f, "d", "four");
        scoped(free_str) char *gone = in_data(f, "b");
        OK(file_unlink(gone, err));
        OK(tree_remove(sub, err));
        put_text(f, "sub", "now a file");
        scoped(free_str) char *becomes = in_data(f, "becomes-dir");
        OK(file_unlink(becomes, err));
        OK(dir_make(becomes, err));
        put_text(f, "becomes-dir/x", "y");
        scoped(free_str) char *before = tree_text(f->data);
        scoped(free_str) char *dir = finish(&b);
        OK(backup_verify(dir, 2, NULL, err));
        put_text(f, "a", "spoiled");
        restore_all(f);
        scoped(free_str) char *after = tree_text(f->data);
        assert_string_equal(before, after);
}

static void fill_database(const char *path, const char *mode) {
        scoped(free_str) char *text = str_format(
                "PRAGMA journal_mode=%s; CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);"
                "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < 5000)"
                " INSERT INTO note SELECT i, hex(randomblob(20)) FROM c",
                mode);
        sql(path, text);
}

static void database_comes_back(const char *mode) {
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_SQLITE, "pocket.db", "pocket.db");
        const char *path = f->contents[0].path;
        fill_database(path, mode);
        Backup *b = first_pass(f);
        sql(path, "INSERT INTO note(text) VALUES ('late'); DELETE FROM note WHERE id = 7");
        scoped(free_str) char *dir = finish(&b);
        scoped(free_str) char *object = path_join(dir, "sqlite-pocket.db");
        assert_int_equal(sql_int(object, "SELECT count(*) FROM note"), 5000);
        sql(path, "DROP TABLE note");
        restore_all(f);
        assert_int_equal(sql_int(path, "SELECT count(*) FROM note"), 5000);
        assert_int_equal(sql_int(path, "SELECT count(*) FROM note WHERE text = 'late'"), 1);
        assert_int_equal(sql_int(path, "SELECT count(*) FROM note WHERE id = 7"), 0);
}

static void a_wal_database_comes_back(void **state) {
        (void)state;
        database_comes_back("WAL");
}

static void a_journal_database_comes_back(void **state) {
        (void)state;
        database_comes_back("DELETE");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(paths_come_back_as_they_were),
                cmocka_unit_test(the_second_pass_takes_what_changed),
                cmocka_unit_test(a_wal_database_comes_back),
                cmocka_unit_test(a_journal_database_comes_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
