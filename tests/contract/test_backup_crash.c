/*
 * Deaths and errors at every fault point of a backup, a restore, its undo, and a removal: a child runs the work with a
 * fault, the parent does what recovery would do, and looks. Points enumerate themselves; SQLite's own count. The
 * build must have fault points. BELAY_STRIDE=n tries every n-th point only.
 */
#include "../unit/backup/fixture.h"

#include "platform/fault.h"

#ifndef BELAY_FAULT_POINTS

int main(void) {
        printf("1..0 # skipped: this build has no fault points\n");
        return 0;
}

#else

typedef struct Scenario {
        const char *name;
        void (*before)(Fixture *f);         /* makes the state */
        bool (*work)(Fixture *f, Err *err); /* in the child, with the fault */
        void (*after)(Fixture *f);          /* in the parent: recovers, then looks */
} Scenario;

static const char *live_db(const Fixture *f) { return f->contents[1].path; }

/* Writes rows and dies, so that they are in the WAL (or a hot journal is left) and nowhere else. */
static void write_and_die(const char *path, const char *text) {
        pid_t pid = fork();
        if (pid == 0) {
                sqlite3 *db = NULL;
                fault_set("");
                if (sqlite3_open(path, &db) != SQLITE_OK ||
                        sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
                        _exit(1);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void make_contents(Fixture *f) {
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        scoped(free_str) char *sub = in_data(f, "sub");
        OK(dir_make(sub, err));
        put_text(f, "a", "old");
        put_text(f, "sub/b", "old");
        sql(live_db(f), "PRAGMA page_size=512; PRAGMA journal_mode=WAL; CREATE TABLE note (id "
                        "INTEGER PRIMARY KEY, text TEXT);"
                        "INSERT INTO note(text) VALUES ('a'), ('b'), ('c')");
}

static void spoil(Fixture *f) {
        put_text(f, "a", "new");
        put_text(f, "c", "new");
        scoped(free_str) char *gone = in_data(f, "sub/b");
        OK(file_unlink(gone, err));
        write_and_die(live_db(f), "INSERT INTO note(text) VALUES ('new')");
}

static void is_old(Fixture *f) {
        text_is(f, "a", "old");
        text_is(f, "sub/b", "old");
        scoped(free_str) char *c = in_data(f, "c");
        assert_false(file_exists(c));
        assert_int_equal(sql_int(live_db(f), "SELECT count(*) FROM note"), 3);
}

static void is_new(Fixture *f) {
        text_is(f, "a", "new");
        text_is(f, "c", "new");
        scoped(free_str) char *gone = in_data(f, "sub/b");
        assert_false(file_exists(gone));
        assert_int_equal(sql_int(live_db(f), "SELECT count(*) FROM note"), 4);
}

static void no_traces(Fixture *f, const char *but) {
        scoped(free_str) char *srv = path_join(f->root, "srv");
        scoped(free_str) char *script = str_format(
                "test -z \"$(ls -A | grep -v -x -E 'data|x.db|x.db-wal|x.db-shm|%s')\"", but);
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, script, NULL};
        if (run_program(srv, argv) != 0) {
                char *list[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"ls -lA >&2"}, NULL};
                (void)run_program(srv, list);
                fail_msg("something is left over");
        }
}

/* -- a backup by one process -- */

static void backup_before(Fixture *f) {
        make_contents(f);
        backup_new_id(f->id);
}

static bool backup_work(Fixture *f, Err *err) {
        BackupRequest r = request_of(f);
        scoped(backup_plan_done) BackupPlan plan = {0};
        scoped(backup_freep) Backup *b = NULL;
        scoped(pass_stats_done) PassStats stats = {0};
        scoped(published_done) Published p = {0};
        if (!backup_plan(&r, &plan, err) || !backup_begin(&r, &plan, &b, err) ||
                !backup_first_pass(b, err) || !backup_prove(b, 2, err))
                return false;
        put_text(f, "late", "late");
        write_and_die(live_db(f), "INSERT INTO note(text) VALUES ('late')");
        return backup_second_pass(b, &stats, err) && backup_merge_publish(b, &p, err);
}

static void look_at_late_backup(Fixture *f) {
        BackupInfo info = {0};
        OK(backup_find(f->store, "notes", f->id, &info, err));
        OK(backup_verify(info.dir, 2, NULL, err));
        backup_info_done(&info);
        write_and_die(live_db(f), "DROP TABLE note");
        put_text(f, "late", "spoiled");
        restore_all(f);
        text_is(f, "late", "late");
        assert_int_equal(sql_int(live_db(f), "SELECT count(*) FROM note"), 4);
}

static void backup_after(Fixture *f) {
        BackupStage stage;
        /* The live data was only read. */
        text_is(f, "a", "old");
        assert_true(sql_int(live_db(f), "SELECT count(*) FROM note") >= 3);
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        if (stage >= BACKUP_PASS2) {
                BackupRequest r = request_of(f);
                scoped(backup_freep) Backup *b = NULL;
                scoped(published_done) Published p = {0};
                OK(backup_reopen(&r, &b, err));
                OK(backup_merge_publish(b, &p, err));
                look_at_late_backup(f);
                return;
        }
        OK(backup_discard(f->store, "notes", f->id, err));
        OK(backup_discard_leftovers(f->store, "notes", NULL, err));
        BackupList list = {0};
        OK(backup_list(f->store, "notes", &list, err));
        assert_int_equal(list.n, 0);
}

/* -- completed by a process that did not begin it -- */

static void complete_before(Fixture *f) {
        make_contents(f);
        Backup *b = first_pass(f);
        backup_freep(&b);
        put_text(f, "late", "late");
        write_and_die(live_db(f), "INSERT INTO note(text) VALUES ('late')");
}

static bool complete_work(Fixture *f, Err *err) {
        BackupRequest r = request_of(f);
        scoped(backup_freep) Backup *b = NULL;
        scoped(pass_stats_done) PassStats stats = {0};
        scoped(published_done) Published p = {0};
        return backup_reopen(&r, &b, err) && backup_second_pass(b, &stats, err) &&
               backup_merge_publish(b, &p, err);
}

static void complete_after(Fixture *f) {
        OK(complete_work(f, err));
        look_at_late_backup(f);
}

/* -- restore -- */

static void restore_before(Fixture *f) {
        make_contents(f);
        free(whole_backup(f));
        spoil(f);
}

static bool restore_work(Fixture *f, Err *err) {
        RestoreRequest r = restore_of(f, "44");
        return restore_prepare(&r, err) && restore_swap(&r, err);
}

static void salvage_is_whole(Fixture *f) {
        scoped(free_str) char *a = path_join(f->root, "srv/.data.salvage-44/a");
        scoped(free_str) char *db = path_join(f->root, "srv/.x.db.salvage-44/x.db");
        scoped(free_str) char *text = NULL;
        size_t n;
        OK(file_read(a, 100, &text, &n, err));
        assert_string_equal(text, "new");
        assert_int_equal(sql_int(db, "SELECT count(*) FROM note"), 4);
        BackupInfo info = {0};
        OK(backup_find(f->store, "notes", "salvage-44", &info, err));
        assert_false(info.damaged);
        backup_info_done(&info);
}

static void restore_after_forward(Fixture *f) {
        OK(restore_work(f, err));
        is_old(f);
        salvage_is_whole(f);
        no_traces(f, ".data.salvage-44|.x.db.salvage-44");
        OK(restore_work(f, err)); /* once more does nothing */
        is_old(f);
}

static void restore_after_back(Fixture *f) {
        RestoreRequest r = restore_of(f, "44");
        OK(restore_undo(&r, err));
        OK(restore_discard(&r, err));
        is_new(f);
        no_traces(f, "none");
}

/* -- from a backup that is not merged yet -- */

static void partial_before(Fixture *f) {
        make_contents(f);
        Backup *b = first_pass(f);
        put_text(f, "sub/b", "OLD");
        put_text(f, "sub/b", "old");
        write_and_die(live_db(f),
                "INSERT INTO note(text) VALUES ('x'); DELETE FROM note WHERE text = 'x'");
        PassStats stats = {0};
        OK(backup_second_pass(b, &stats, err));
        pass_stats_done(&stats);
        backup_freep(&b);
        spoil(f);
}

static bool merge_work(Fixture *f, Err *err) {
        BackupRequest r = request_of(f);
        scoped(backup_freep) Backup *b = NULL;
        scoped(published_done) Published p = {0};
        return backup_reopen(&r, &b, err) && backup_merge_publish(b, &p, err);
}

/* A merge that stopped anywhere still is what a restore can be made of. */
static void merge_after(Fixture *f) {
        OK(restore_work(f, err));
        is_old(f);
        OK(merge_work(f, err));
        BackupInfo info = {0};
        OK(backup_find(f->store, "notes", f->id, &info, err));
        OK(backup_verify(info.dir, 2, NULL, err));
        backup_info_done(&info);
}

/* -- undo -- */

static void undo_before(Fixture *f) {
        restore_before(f);
        OK(restore_work(f, err));
        write_and_die(live_db(f), "INSERT INTO note(text) VALUES ('on the restored'), ('more')");
}

static bool undo_work(Fixture *f, Err *err) {
        RestoreRequest r = restore_of(f, "44");
        return restore_undo(&r, err) && restore_discard(&r, err);
}

static void undo_after(Fixture *f) {
        OK(undo_work(f, err));
        is_new(f);
        no_traces(f, "none");
}

/* -- removing -- */

static void remove_before(Fixture *f) {
        make_contents(f);
        free(whole_backup(f));
}

static bool remove_work(Fixture *f, Err *err) {
        return backup_discard(f->store, "notes", f->id, err);
}

static void remove_after(Fixture *f) {
        BackupList list = {0};
        OK(backup_list(f->store, "notes", &list, err));
        for (size_t i = 0; i < list.n; i++)
                if (!list.items[i].damaged)
                        OK(backup_verify(list.items[i].dir, 2, NULL, err));
        backup_list_done(&list);
        OK(remove_work(f, err));
        OK(backup_discard_leftovers(f->store, "notes", NULL, err));
        scoped(free_str) char *dir = path_join(f->store, "notes");
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"test -z \"$(ls -A)\""}, NULL};
        assert_int_equal(run_program(dir, argv), 0);
}

/* -- the sweep -- */

static const char *action;

/* 0: the work ended by itself, all points passed. */
static int run_child(const Scenario *s, Fixture *f, unsigned point) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *rule = str_format("*:%s:%u:ENOSPC", action, point);
                fault_set(rule);
                bool ok = s->work(f, &err);
                bool reached = fault_count() >= point;
                _exit(ok && !reached ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL ? -WTERMSIG(status) : status;
}

static unsigned sweep(const Scenario *s) {
        const char *given = getenv("BELAY_STRIDE");
        unsigned stride = given ? (unsigned)strtoul(given, NULL, 10) : 1, tried = 0;
        for (unsigned point = 1; point < 10000; point += stride) {
                scoped(fixture_freep) Fixture *f = fixture_new();
                fault_set("");
                s->before(f);
                int status = run_child(s, f, point);
                if (status < 0)
                        fail_msg("%s: point %u: crashed by signal %d", s->name, point, -status);
                print_message("%s", ""); /* keeps the order of what a failure prints */
                fault_set("");
                s->after(f);
                if (status == 0)
                        return tried;
                tried++;
        }
        fail_msg("%s never ends", s->name);
        return 0;
}

static const Scenario scenarios[] = {
        {"backup", backup_before, backup_work, backup_after},
        {"complete", complete_before, complete_work, complete_after},
        {"restore, finished", restore_before, restore_work, restore_after_forward},
        {"restore, taken back", restore_before, restore_work, restore_after_back},
        {"restore of a partial, finished", partial_before, restore_work, restore_after_forward},
        {"merge", partial_before, merge_work, merge_after},
        {"undo", undo_before, undo_work, undo_after},
        {"remove", remove_before, remove_work, remove_after},
};

static void sweep_all(const char *with) {
        unsigned total = 0;
        action = with;
        for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
                if (getenv("BELAY_SCENARIO") &&
                        strcmp(getenv("BELAY_SCENARIO"), scenarios[i].name) != 0)
                        continue;
                unsigned tried = sweep(&scenarios[i]);
                print_message("%s: %u points of %s\n", with, tried, scenarios[i].name);
                total += tried;
        }
        print_message("%s: %u points\n", with, total);
}

static void death_before(void **state) {
        (void)state;
        sweep_all("die");
}

static void death_after(void **state) {
        (void)state;
        sweep_all("after");
}

static void death_in_the_middle_of_a_write(void **state) {
        (void)state;
        sweep_all("torn");
}

static void an_error(void **state) {
        (void)state;
        sweep_all("error");
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(death_before),
                cmocka_unit_test(death_after),
                cmocka_unit_test(death_in_the_middle_of_a_write),
                cmocka_unit_test(an_error),
        };
        const char *only = argc > 1 ? argv[1] : getenv("BELAY_ACTION");
        if (only)
                cmocka_set_test_filter(only);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
