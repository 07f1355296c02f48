/* Backups in their store: found by name, never trusted with a stranger beside them. */
#include "fixture.h"

static void backups_are_found_by_what_people_say(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        BackupInfo info = {0};
        FAILS(ERR_UNKNOWN, backup_find(f->store, "notes", NULL, &info, err));
        put_text(f, "a", "one");
        scoped(free_str) char *dir = whole_backup(f);
        char prefix[7];
        snprintf(prefix, sizeof(prefix), "%.6s", f->id);
        const char *const words[] = {f->id, prefix, path_basename(dir), "1.0.0", "v1.0.0"};
        for (size_t i = 0; i < COUNT_OF(words); i++) {
                OK(backup_find(f->store, "notes", words[i], &info, err));
                assert_string_equal(info.id, f->id);
                assert_int_equal(info.level, 2);
                backup_info_done(&info);
        }
        FAILS(ERR_UNKNOWN, backup_find(f->store, "notes", "ffffff", &info, err));
        scoped(free_str) char *object = path_join(dir, "path-data.tar.zst");
        assert_int_equal(truncate(object, 10), 0);
        FAILS(ERR_UNKNOWN,
                backup_find(f->store, "notes", NULL, &info, err)); /* damaged ones do not count */
        OK(backup_find(f->store, "notes", f->id, &info, err));
        assert_true(info.damaged);
        backup_info_done(&info);
        FAILS(ERR_CORRUPT, backup_verify(dir, 2, NULL, err));
}

/* A backup whose journal would empty it when it is opened must not pass as proven. */
static void a_sidecar_beside_a_copy_is_noticed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        make_note_table(f->contents[0].path, "DELETE");
        scoped(free_str) char *dir = whole_backup(f);
        OK(backup_verify(dir, 2, NULL, err));
        scoped(free_str) char *journal = path_join(dir, "sqlite-x.db-journal");
        put_file(journal, "x", 1);
        FAILS(ERR_CORRUPT, backup_verify(dir, 2, NULL, err));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(backups_are_found_by_what_people_say),
                cmocka_unit_test(a_sidecar_beside_a_copy_is_noticed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
