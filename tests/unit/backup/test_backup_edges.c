/* What is beside the straight way: refusals, databases in paths, lost sessions, by hand, what would be lost. */
#include "fixture.h"

static BackupPlan plan_of(Fixture *f) {
        BackupPlan plan = {0};
        BackupRequest r = request_of(f);
        OK(backup_plan(&r, &plan, err));
        return plan;
}

static bool says(char *const *lines, const char *text) {
        for (size_t i = 0; lines && lines[i]; i++)
                if (strstr(lines[i], text))
                        return true;
        return false;
}

/* -- plan -- */

static void a_plan_tells_sizes_and_databases(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "a", "12345");
        scoped(free_str) char *db = in_data(f, "app.sqlite");
        make_note_table(db, "WAL");
        BackupPlan plan = plan_of(f);
        assert_null(plan.refusals);
        assert_int_equal(plan.n_items, 2);
        assert_string_equal(plan.items[0].swap, "directory rename");
        assert_int_equal(plan.items[0].files, 1);
        assert_int_equal(plan.items[0].bytes, 5);
        assert_string_equal(plan.items[1].within, "data");
        assert_string_equal(plan.items[1].journal_mode, "wal");
        assert_true(plan.items[1].page_size >= 512);
        assert_true(says(plan.warnings, "on the disk of the data"));
        backup_plan_done(&plan);
}

static void a_plan_refuses_what_cannot_be_undone(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "picture.db", "picture.db");
        put_text(f, "../picture.db",
                "\x89PNG not a database, but long enough to have a header of one hundred bytes "
                "........................................................");
        if (geteuid() != 0)
                skip(); /* only root makes devices */
        scoped(free_str) char *device = in_data(f, "null");
        assert_int_equal(mknod(device, S_IFCHR | 0600, 259), 0);
        BackupPlan plan = plan_of(f);
        assert_true(says(plan.refusals, "is a device"));
        assert_true(says(plan.refusals, "is no SQLite database"));
        Backup *b = NULL;
        BackupRequest r = request_of(f);
        FAILS(ERR_REFUSED, backup_begin(&r, &plan, &b, err));
        backup_plan_done(&plan);
}

/* B-01 */
static void what_is_not_even_a_file_is_no_database(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *fifo = in_data(f, "fifo.db"), *dir = in_data(f, "dir.db"),
                              *link = in_data(f, "link.db");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(symlink("nowhere", link), 0);
        fixture_add(f, CONTENT_SQLITE, "data/fifo.db", "fifo.db");
        fixture_add(f, CONTENT_SQLITE, "data/dir.db", "dir.db");
        fixture_add(f, CONTENT_SQLITE, "data/link.db", "link.db");
        BackupPlan plan = plan_of(f);
        assert_true(says(plan.refusals, "fifo.db' is no SQLite database, not even a file"));
        assert_true(says(plan.refusals, "dir.db' is no SQLite database, not even a file"));
        assert_true(says(plan.refusals, "link.db' is a symbolic link that leads nowhere"));
        assert_false(says(plan.refusals, "names"));
        assert_false(says(plan.warnings, "fifo.db' is empty"));
        backup_plan_done(&plan);
}

/* Y-18: two names of one database are one content, which is restored once. */
static void two_names_of_one_database_are_one(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *main = in_data(f, "main.db"), *link = in_data(f, "link.db");
        make_note_table(main, "WAL");
        assert_int_equal(symlink("main.db", link), 0);
        fixture_add(f, CONTENT_SQLITE, "data/main.db", "main.db");
        fixture_add(f, CONTENT_SQLITE, "data/link.db", "link.db");
        BackupPlan plan = plan_of(f);
        assert_null(plan.refusals);
        assert_int_equal(plan.n_items, 1);
        assert_true(says(plan.warnings, "which is backed up already"));
        backup_plan_done(&plan);
}

static void a_store_inside_of_the_data_is_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        str_replace_owned(&f->store, in_data(f, "backups"));
        BackupPlan plan = plan_of(f);
        assert_true(says(plan.refusals, "lies inside"));
        backup_plan_done(&plan);
}

/* P-12 */
static void a_store_that_others_may_write_is_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *dir = path_join(f->store, "notes");
        OK(dir_make(dir, err));
        assert_int_equal(chmod(dir, 0777), 0);
        BackupPlan plan = plan_of(f);
        assert_true(says(plan.refusals, "somebody else"));
        backup_plan_done(&plan);
}

static void missing_and_empty_contents_are_said(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "none.db", "none.db");
        BackupPlan plan = plan_of(f);
        assert_null(plan.refusals);
        assert_true(says(plan.warnings, "is empty"));
        assert_true(says(plan.warnings, "there is nothing"));
        backup_plan_done(&plan);
}

/* P-06 */
static void a_mount_inside_is_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *inside = in_data(f, "mounted");
        OK(dir_make(inside, err));
        char *mount_it[] = {(char[]){"mount"}, (char[]){"-t"}, (char[]){"tmpfs"}, (char[]){"none"},
                inside, NULL};
        char *unmount_it[] = {(char[]){"umount"}, inside, NULL};
        if (run_program(NULL, mount_it) != 0)
                skip();
        BackupPlan plan = plan_of(f);
        assert_int_equal(run_program(NULL, unmount_it), 0);
        assert_true(says(plan.refusals, "is a mount point"));
        backup_plan_done(&plan);
}

/* -- contents -- */

static void a_database_in_a_path_is_taken_as_one(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "data/main.db", "main.db");
        scoped(free_str) char *found = in_data(f, "found.db");
        const char *declared = f->contents[1].path;
        make_note_table(found, "WAL");
        make_note_table(declared, "DELETE");
        assert_int_equal(chmod(found, 0640), 0);
        Backup *b = first_pass(f);
        sql(found, "INSERT INTO note(text) VALUES ('late')");
        sql(declared, "INSERT INTO note(text) VALUES ('late')");
        scoped(free_str) char *dir = finish(&b);
        OK(backup_verify(dir, 2, NULL, err));
        sql(found, "DROP TABLE note");
        sql(declared, "DROP TABLE note");
        restore_all(f);
        assert_int_equal(sql_int(found, "SELECT count(*) FROM note"), 4);
        assert_int_equal(sql_int(declared, "SELECT count(*) FROM note"), 4);
        struct stat st;
        assert_int_equal(stat(found, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_single_file_and_an_absent_one(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "config.yaml", "config");
        fixture_add(f, CONTENT_PATH, "later", "later");
        fixture_add(f, CONTENT_SQLITE, "later.db", "later.db");
        put_text(f, "../config.yaml", "a: 1");
        Backup *b = first_pass(f);
        scoped(free_str) char *dir = finish(&b);
        (void)dir;
        put_text(f, "../config.yaml", "a: 2");
        put_text(f, "../later", "made since");
        make_note_table(f->contents[2].path, "WAL");
        restore_all(f);
        text_is(f, "../config.yaml", "a: 1");
        assert_false(file_exists(f->contents[1].path));
        assert_false(file_exists(f->contents[2].path));
}

static void what_appears_between_the_passes_is_taken(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "late", "late");
        fixture_add(f, CONTENT_SQLITE, "late.db", "late.db");
        Backup *b = first_pass(f);
        OK(dir_make(f->contents[0].path, err));
        put_text(f, "../late/x", "late");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = finish(&b);
        OK(backup_verify(dir, 2, NULL, err));
        put_text(f, "../late/x", "other");
        sql(f->contents[1].path, "DELETE FROM note");
        restore_all(f);
        text_is(f, "../late/x", "late");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 3);
}

/* P-05 */
static void sockets_are_left_out_fifos_come_back(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *fifo = in_data(f, "fifo");
        scoped(free_str) char *socket = in_data(f, "socket");
        assert_int_equal(mkfifo(fifo, 0620), 0);
        assert_int_equal(mknod(socket, S_IFSOCK | 0600, 0), 0);
        scoped(free_str) char *dir = whole_backup(f);
        OK(backup_verify(dir, 2, NULL, err));
        restore_all(f);
        struct stat st;
        assert_int_equal(lstat(fifo, &st), 0);
        assert_true(S_ISFIFO(st.st_mode));
        assert_false(file_exists(socket));
}

static void set_uid_is_left_out(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "tool", "#!");
        scoped(free_str) char *tool = in_data(f, "tool");
        assert_int_equal(chmod(tool, 04755), 0);
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        restore_all(f);
        struct stat st;
        assert_int_equal(stat(tool, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
}

static void links_on_the_way_are_followed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *real = path_join(f->root, "real");
        OK(dir_make(real, err));
        assert_int_equal(symlink(real, f->store), 0);
        scoped(free_str) char *srv = path_join(f->root, "srv");
        scoped(free_str) char *behind = path_join(f->root, "behind");
        OK(file_rename(srv, behind, err));
        assert_int_equal(symlink(behind, srv), 0);
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "one");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        put_text(f, "a", "two");
        sql(f->contents[1].path, "DROP TABLE note");
        restore_all(f);
        text_is(f, "a", "one");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 3);
}

/* -- sessions -- */

static void a_second_process_completes_it(const char *mode) {
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "one");
        make_note_table(f->contents[1].path, mode);
        Backup *b = first_pass(f);
        backup_freep(&b); /* as if it had died */
        put_text(f, "a", "ONE");
        sql(f->contents[1].path, "INSERT INTO note(text) VALUES ('late'); CREATE TABLE other (x)");
        BackupRequest r = request_of(f);
        OK(backup_reopen(&r, &b, err));
        scoped(free_str) char *dir = finish(&b);
        OK(backup_verify(dir, 2, NULL, err));
        put_text(f, "a", "spoiled");
        sql(f->contents[1].path, "DROP TABLE note");
        restore_all(f);
        text_is(f, "a", "ONE");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 4);
}

static void a_lost_session_wal(void **state) {
        (void)state;
        a_second_process_completes_it("WAL");
}

static void a_lost_session_journal(void **state) {
        (void)state;
        a_second_process_completes_it("DELETE");
}

static void stages_are_told(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "a", "one");
        BackupStage stage;
        backup_new_id(f->id);
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_ABSENT);
        BackupPlan plan = plan_of(f);
        BackupRequest r = request_of(f);
        Backup *b = NULL;
        OK(backup_begin(&r, &plan, &b, err));
        backup_plan_done(&plan);
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_BEGUN);
        OK(backup_first_pass(b, err));
        OK(backup_prove(b, 2, err));
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_PASS1);
        PassStats stats = {0};
        OK(backup_second_pass(b, &stats, err));
        pass_stats_done(&stats);
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_PASS2);
        scoped(free_str) char *dir = finish(&b);
        (void)dir;
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_PUBLISHED);
        OK(backup_discard(f->store, "notes", f->id, err));
        OK(backup_stage(f->store, "notes", f->id, &stage, err));
        assert_int_equal(stage, BACKUP_ABSENT);
}

static void cancelling_ends_a_first_pass(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "a", "one");
        Cancel cancel = {0};
        BackupPlan plan = plan_of(f);
        backup_new_id(f->id);
        BackupRequest r = request_of(f);
        r.watch.cancel = &cancel;
        Backup *b = NULL;
        OK(backup_begin(&r, &plan, &b, err));
        backup_plan_done(&plan);
        cancel.requested = 1;
        FAILS(ERR_CANCELLED, backup_first_pass(b, err));
        backup_freep(&b);
        OK(backup_discard(f->store, "notes", f->id, err));
        OK(backup_discard_leftovers(f->store, "notes", NULL, err));
}

/* A change within the grain of the clock leaves size and times as they were. */
static void a_change_that_times_do_not_show_is_found(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        put_text(f, "a", "one");
        Backup *b = first_pass(f);
        assert_true(b->set.items[0].list.items[1].doubtful);
        put_text(f, "a", "ONE");
        /* As if both writes had fallen into one tick. */
        scoped(free_str) char *path = in_data(f, "a");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        FileEntry *entry = &b->set.items[0].list.items[1];
        entry->ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
        entry->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        scoped(free_str) char *dir = finish(&b);
        (void)dir;
        put_text(f, "a", "spoiled");
        restore_all(f);
        text_is(f, "a", "ONE");
}

/* -- by hand -- */

static void the_instructions_restore_it(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "it's.db", "its");
        fixture_add(f, CONTENT_PATH, "one file", "file");
        scoped(free_str) char *inner = in_data(f, "in.db");
        make_note_table(f->contents[1].path, "WAL");
        make_note_table(inner, "WAL");
        put_text(f, "a", "one");
        put_text(f, "gone\nsoon", "two");
        put_text(f, "../one file", "file");
        scoped(free_str) char *big = in_data(f, "sparse");
        int fd = open(big, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(ftruncate(fd, 50 << 20), 0);
        assert_int_equal(pwrite(fd, "x", 1, 30 << 20), 1);
        close(fd);
        Backup *b = first_pass(f);
        put_text(f, "a", "ONE");
        scoped(free_str) char *gone = in_data(f, "gone\nsoon");
        OK(file_unlink(gone, err));
        put_text(f, "added", "three");
        sql(f->contents[1].path, "INSERT INTO note(text) VALUES ('late')");
        sql(inner, "INSERT INTO note(text) VALUES ('late')");
        scoped(free_str) char *dir = finish(&b);
        scoped(free_str) char *sum = str_format(
                "cd '%s' && sed -n 's/.*\"name\": \"\\([^\"]*\\)\".*/\\1/p' MANIFEST.json | wc -l",
                dir);
        assert_non_null(sum);
        put_text(f, "a", "spoiled");
        put_text(f, "more", "more");
        sql(f->contents[1].path, "DROP TABLE note");
        put_text(f, "../one file", "spoiled");
        char *argv[] = {(char[]){"sh"}, (char[]){"BACKUP_INFO.txt"}, NULL};
        assert_int_equal(run_program(dir, argv), 0);
        text_is(f, "a", "ONE");
        text_is(f, "added", "three");
        text_is(f, "../one file", "file");
        assert_false(file_exists(gone));
        scoped(free_str) char *more = in_data(f, "more");
        assert_false(file_exists(more));
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 4);
        assert_int_equal(sql_int(inner, "SELECT count(*) FROM note"), 4);
        struct stat st;
        assert_int_equal(stat(big, &st), 0);
        assert_int_equal(st.st_size, 50 << 20);
        assert_true(st.st_blocks * 512 < 1 << 20);
}

static void extras_are_kept_and_secret(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *env = path_join(f->root, ".env");
        put_file(env, "KEY=secret\n", 11);
        BackupExtra extras[] = {
                {.name = ".env", .path = env, .belongs = env},
                {.name = "belay.yaml", .text = "version: 1\n"},
                {.name = "absent", .path = "/nonexistent/absent"},
                {.name = "service.json", .text = "{}"},
                {.name = "logs.txt", .text = "last words\n"},
        };
        BackupPlan plan = plan_of(f);
        backup_new_id(f->id);
        BackupRequest r = request_of(f);
        r.extras = extras;
        r.n_extras = COUNT_OF(extras);
        Backup *b = NULL;
        OK(backup_begin(&r, &plan, &b, err));
        backup_plan_done(&plan);
        OK(backup_first_pass(b, err));
        OK(backup_prove(b, 2, err));
        scoped(free_str) char *dir = finish(&b);
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
                (char[]){"set -e; mkdir ../c; tar --zstd -xpf config.tar.zst -C ../c; grep -q "
                         "KEY=secret "
                         "../c/.env;"
                         " test \"$(ls -A ../c | wc -l)\" = 2; grep -q 'last words' logs.txt; test "
                         "-f "
                         "service.json;"
                         " test -z \"$(find . -type f -perm /077)\"; test -z \"$(find . -type d "
                         "-perm "
                         "/077)\""},
                NULL};
        assert_int_equal(run_program(dir, argv), 0);
}

/* -- what would be lost -- */

static void nothing_changed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "one");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *before = NULL;
        Backup *b = first_pass(f);
        PassStats stats = {0};
        OK(backup_second_pass(b, &stats, err));
        pass_stats_done(&stats);
        OK(backup_fingerprint(&f->service, &before, err));
        bool changed = true;
        OK(backup_changed(f->store, "notes", f->id, &changed, err)); /* partial */
        assert_false(changed);
        /* A program that only looks, and tidies up the WAL when it ends. */
        char *argv[] = {(char[]){"sqlite3"}, f->contents[1].path,
                (char[]){"select count(*) from note"}, NULL};
        assert_int_equal(run_program(NULL, argv), 0);
        scoped(free_str) char *dir = finish(&b);
        (void)dir;
        OK(backup_changed(f->store, "notes", f->id, &changed, err));
        assert_false(changed);
        restore_all(f); /* other inodes, other times, same content */
        OK(backup_changed(f->store, "notes", f->id, &changed, err));
        assert_false(changed);
}

static void what_changed_is_counted(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "one");
        put_text(f, "b", "two");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        scoped(free_str) char *before = NULL;
        scoped(free_str) char *after = NULL;
        OK(backup_fingerprint(&f->service, &before, err));
        put_text(f, "a", "ONE");
        put_text(f, "c", "three");
        scoped(free_str) char *gone = in_data(f, "b");
        OK(file_unlink(gone, err));
        sql(f->contents[1].path, "DELETE FROM note WHERE id < 3; CREATE TABLE more (x); INSERT "
                                 "INTO more VALUES (1), (2)");
        OK(backup_fingerprint(&f->service, &after, err));
        assert_string_not_equal(before, after);
        BackupLoss loss = {0};
        OK(backup_loss(f->store, "notes", f->id, &loss, err));
        assert_true(loss.changed && loss.schema_changed && loss.fewer_rows && loss.missing_files);
        assert_int_equal(loss.files_missing, 1);
        assert_int_equal(loss.files_added, 1);
        assert_int_equal(loss.files_changed, 1);
        assert_int_equal(loss.rows_fewer, 2);
        assert_int_equal(loss.rows_more, 2);
        assert_int_equal(loss.n_tables, 2);
        assert_true(loss.last_change_ms > 0);
        assert_true(says(loss.lines, "note had 3 rows then, 1 now"));
        backup_loss_done(&loss);
        /* Rows changed in place: same numbers, but not the same. */
        restore_all(f);
        sql(f->contents[1].path, "UPDATE note SET text = 'z' WHERE id = 1");
        OK(backup_loss(f->store, "notes", f->id, &loss, err));
        assert_true(loss.changed);
        assert_false(loss.schema_changed || loss.fewer_rows || loss.missing_files);
        backup_loss_done(&loss);
}

/* -- restore -- */

static void a_restore_can_be_taken_back(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "old");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        put_text(f, "a", "new");
        sql(f->contents[1].path, "INSERT INTO note(text) VALUES ('new')");
        RestoreRequest r = restore_of(f, "44");
        RestoreStage stage;
        OK(restore_stage(&r, &stage, err));
        assert_int_equal(stage, RESTORE_NONE);
        OK(restore_prepare(&r, err));
        OK(restore_stage(&r, &stage, err));
        assert_int_equal(stage, RESTORE_PREPARED);
        OK(restore_swap(&r, err));
        OK(restore_swap(&r, err)); /* again does nothing */
        OK(restore_stage(&r, &stage, err));
        assert_int_equal(stage, RESTORE_SWAPPED);
        text_is(f, "a", "old");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 3);
        OK(restore_undo(&r, err));
        OK(restore_undo(&r, err));
        OK(restore_stage(&r, &stage, err));
        assert_int_equal(stage, RESTORE_UNDONE);
        text_is(f, "a", "new");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 4);
        OK(restore_discard(&r, err));
        scoped(free_str) char *srv = path_join(f->root, "srv");
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
                (char[]){"test -z \"$(ls -d .??* 2>/dev/null)\""}, NULL};
        assert_int_equal(run_program(srv, argv), 0);
        BackupList list = {0};
        OK(backup_list(f->store, "notes", &list, err));
        assert_int_equal(list.n, 1); /* no salvage is left over */
        backup_list_done(&list);
}

static void salvage_is_listed_and_comes_back(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "old");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        put_text(f, "a", "new");
        sql(f->contents[1].path, "INSERT INTO note(text) VALUES ('new')");
        RestoreRequest r = restore_of(f, "44");
        OK(restore_prepare(&r, err));
        OK(restore_swap(&r, err));
        BackupInfo info = {0};
        OK(backup_find(f->store, "notes", "salvage-44", &info, err));
        assert_true(info.salvage && !info.damaged);
        backup_info_done(&info);
        OK(backup_find(f->store, "notes", NULL, &info, err));
        assert_string_equal(info.id, f->id);
        backup_info_done(&info);
        OK(tree_remove(f->notes, err));
        OK(dir_make(f->notes, err));
        RestoreRequest back = restore_of(f, "45");
        back.backup = "salvage-44";
        OK(restore_prepare(&back, err));
        OK(restore_swap(&back, err));
        text_is(f, "a", "new");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 4);
        OK(backup_remove(f->store, "notes", "salvage-45", err));
        scoped(free_str) char *srv = path_join(f->root, "srv");
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
                (char[]){"test -z \"$(ls -d .*-45 2>/dev/null)\""}, NULL};
        assert_int_equal(run_program(srv, argv), 0);
}

static void only_one_content(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "old");
        make_note_table(f->contents[1].path, "WAL");
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        put_text(f, "a", "new");
        sql(f->contents[1].path, "DELETE FROM note");
        RestoreRequest r = restore_of(f, "44");
        r.only = "x.db";
        OK(restore_prepare(&r, err));
        OK(restore_swap(&r, err));
        text_is(f, "a", "new");
        assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 3);
        r.only = "nothing";
        FAILS(ERR_UNKNOWN, restore_prepare(&r, err));
}

static void restore_to_another_place(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        put_text(f, "a", "old");
        make_note_table(f->contents[1].path, "DELETE");
        scoped(free_str) char *before = tree_text(f->data);
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        scoped(free_str) char *to = path_join(f->root, "elsewhere");
        RestoreRequest r = restore_of(f, "44");
        OK(restore_to(&r, to, err));
        scoped(free_str) char *data = path_join(to, "data");
        scoped(free_str) char *db = path_join(to, "x.db");
        scoped(free_str) char *after = tree_text(data);
        assert_string_equal(before, after);
        assert_int_equal(sql_int(db, "SELECT count(*) FROM note"), 3);
        FAILS(ERR_REFUSED, restore_to(&r, to, err));
}

/* What makes a restore possible on a full disk. */
static void room_is_reserved_and_given_back(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *big = mem_new(1, 300000);
        scoped(free_str) char *path = in_data(f, "big");
        memset(big, 'x', 300000);
        put_file(path, big, 300000);
        BackupPlan plan = plan_of(f);
        OK(backup_reserve(&plan, "44", err));
        OK(backup_reserve(&plan, "44", err));
        scoped(free_str) char *reserve = path_join(f->root, "srv/.data.belay-reserve-44");
        struct stat st;
        assert_int_equal(stat(reserve, &st), 0);
        assert_true(st.st_blocks * 512 >= 300000);
        scoped(free_str) char *dir = whole_backup(f);
        (void)dir;
        RestoreRequest r = restore_of(f, "44");
        OK(restore_prepare(&r, err));
        assert_false(file_exists(reserve));
        OK(backup_reserve(&plan, "45", err));
        OK(backup_unreserve(&f->service, "45", err));
        scoped(free_str) char *other = path_join(f->root, "srv/.data.belay-reserve-45");
        assert_false(file_exists(other));
        backup_plan_done(&plan);
}

static void fill_disk(const char *path) {
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT, 0600);
        char block[4096] = {1};
        assert_true(fd >= 0);
        while (write(fd, block, sizeof(block)) > 0)
                continue;
        assert_int_equal(errno, ENOSPC);
}

/* A rollback works on a full disk, since room for it was kept; without that it says so and touches nothing. */
static void a_full_disk(bool reserved) {
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *srv = path_join(f->root, "srv");
        char *mount_it[] = {(char[]){"mount"}, (char[]){"-t"}, (char[]){"tmpfs"}, (char[]){"-o"},
                (char[]){"size=4m"}, (char[]){"none"}, srv, NULL};
        char *unmount_it[] = {(char[]){"umount"}, (char[]){"-l"}, srv, NULL};
        if (geteuid() != 0 || run_program(NULL, mount_it) != 0)
                skip();
        OK(dir_make(f->data, err));
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        scoped(free_str) char *bytes = mem_new(300000, 1);
        scoped(free_str) char *big = in_data(f, "big");
        scoped(free_str) char *rest = path_join(srv, "rest");
        put_file(big, bytes, 300000);
        put_text(f, "a", "old");
        make_note_table(f->contents[1].path, "WAL");
        BackupPlan plan = plan_of(f);
        if (reserved)
                OK(backup_reserve(&plan, "44", err));
        free(whole_backup(f));
        put_text(f, "a", "new");
        fill_disk(rest);
        RestoreRequest r = restore_of(f, "44");
        if (reserved) {
                OK(restore_prepare(&r, err));
                OK(restore_swap(&r, err));
                assert_int_equal(sql_int(f->contents[1].path, "SELECT count(*) FROM note"), 3);
        } else {
                FAILS(ERR_NO_SPACE, restore_prepare(&r, err));
                OK(restore_discard(&r, err));
        }
        text_is(f, "a", reserved ? "old" : "new");
        backup_plan_done(&plan);
        assert_int_equal(run_program(NULL, unmount_it), 0);
}

static void a_full_disk_with_room_kept(void **state) {
        (void)state;
        a_full_disk(true);
}

static void a_full_disk_without(void **state) {
        (void)state;
        a_full_disk(false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_plan_tells_sizes_and_databases),
                cmocka_unit_test(a_plan_refuses_what_cannot_be_undone),
                cmocka_unit_test(what_is_not_even_a_file_is_no_database),
                cmocka_unit_test(two_names_of_one_database_are_one),
                cmocka_unit_test(a_store_inside_of_the_data_is_refused),
                cmocka_unit_test(a_store_that_others_may_write_is_refused),
                cmocka_unit_test(missing_and_empty_contents_are_said),
                cmocka_unit_test(a_mount_inside_is_refused),
                cmocka_unit_test(a_database_in_a_path_is_taken_as_one),
                cmocka_unit_test(a_single_file_and_an_absent_one),
                cmocka_unit_test(what_appears_between_the_passes_is_taken),
                cmocka_unit_test(sockets_are_left_out_fifos_come_back),
                cmocka_unit_test(set_uid_is_left_out),
                cmocka_unit_test(links_on_the_way_are_followed),
                cmocka_unit_test(a_lost_session_wal),
                cmocka_unit_test(a_lost_session_journal),
                cmocka_unit_test(stages_are_told),
                cmocka_unit_test(cancelling_ends_a_first_pass),
                cmocka_unit_test(a_change_that_times_do_not_show_is_found),
                cmocka_unit_test(the_instructions_restore_it),
                cmocka_unit_test(extras_are_kept_and_secret),
                cmocka_unit_test(nothing_changed),
                cmocka_unit_test(what_changed_is_counted),
                cmocka_unit_test(a_restore_can_be_taken_back),
                cmocka_unit_test(salvage_is_listed_and_comes_back),
                cmocka_unit_test(only_one_content),
                cmocka_unit_test(restore_to_another_place),
                cmocka_unit_test(room_is_reserved_and_given_back),
                cmocka_unit_test(a_full_disk_with_room_kept),
                cmocka_unit_test(a_full_disk_without),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
