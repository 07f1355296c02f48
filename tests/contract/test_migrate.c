/* Migrations on real SQLite files and with real scripts. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "client/sqlite.h"
#include "migrate/migrate.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

/* For fields that own their text in a real Service. */
#define WORD(text) ((char *)(uintptr_t)(text))

static char root[32];
static char *app, *database, *output;
static State state_dir;
static Service service;
static MigrationSpec specs[4];
static MigrateContext context;
static Strv started_ids;
static ProcessId started_process;

static void started(void *unused, const char *id, const ProcessId *process) {
        (void)unused;
        strv_add(&started_ids, id);
        started_process = *process;
}

static int set_up(void **unused) {
        (void)unused;
        snprintf(root, sizeof(root), "/tmp/belay-migrate-XXXXXX");
        if (!mkdtemp(root))
                return -1;
        app = path_join(root, "app [1]");
        output = path_join(root, "output");
        database = path_join(root, "notes.db");
        scoped(free_str) char *scripts = path_join(app, "migrations");
        scoped(free_str) char *state_root = path_join(root, "state");
        if (!dir_make(scripts, NULL) || !dir_make(output, NULL) ||
                !state_open(state_root, &state_dir, NULL))
                return -1;
        memset(specs, 0, sizeof(specs));
        service = (Service){.name = WORD("notes"), .directory = app, .migrations = specs};
        context = (MigrateContext){.service = &service,
                .state = &state_dir,
                .run = 44,
                .output_dir = output,
                .started = started};
        scoped(database_close) sqlite3 *db = NULL;
        return database_open(database, DATABASE_CREATE, &db, NULL) &&
                               database_run(db,
                                       "create table note(id integer primary key, text); "
                                       "insert into note(text) values('a'),('b'),('c')",
                                       NULL)
                       ? 0
                       : -1;
}

static int tear_down(void **unused) {
        (void)unused;
        strv_free(TAKE(started_ids));
        state_done(&state_dir);
        free(TAKE(app));
        free(TAKE(database));
        free(TAKE(output));
        return tree_remove(root, NULL) ? 0 : -1;
}

static void write_file(const char *name, const char *text) {
        scoped(free_str) char *path = path_join(app, name);
        assert_true(file_write_durable(path, text, strlen(text), 0755, NULL));
}

static void with_sql(const char *files) {
        specs[0] = (MigrationSpec){.kind = MIGRATION_SQL,
                .files = WORD(files),
                .database = database,
                .run_once = true};
        service.n_migrations = 1;
}

static void with_scripts(const char *files, bool once) {
        static char sh[] = "sh", *shell[] = {sh, NULL};
        specs[0] = (MigrationSpec){.kind = MIGRATION_SCRIPTS,
                .files = WORD(files),
                .run_with = shell,
                .run_once = once};
        service.n_migrations = 1;
}

static int64_t number(const char *sql) {
        scoped(database_close) sqlite3 *db = NULL;
        int64_t ret = -1;
        scoped(err_clear) Err err = {0};
        if (!database_open(database, DATABASE_READ_WRITE, &db, &err) ||
                !database_int(db, sql, &ret, &err))
                fail_msg("%s", err.message);
        return ret;
}

static MigrationList list_now(void) {
        MigrationList list = {0};
        scoped(err_clear) Err err = {0};
        if (!migrate_list(&context, NULL, &list, &err))
                fail_msg("%s", err.message);
        return list;
}

/* Runs all that is pending; ERR_NONE, or the code of the first failure, whose message goes to *ret_message. */
static ErrCode run_pending(char **ret_message) {
        scoped(migration_list_done) MigrationList list = list_now();
        scoped(err_clear) Err err = {0};
        bool good = migrate_refuse_changed(&list, &err);
        for (size_t i = 0; good && i < list.n; i++) {
                scoped(migrate_result_done) MigrateResult result = {0};
                if (migration_pending(&list.items[i]))
                        good = migrate_run(&context, &list.items[i], &result, &err);
        }
        if (ret_message)
                str_replace_owned(ret_message, str_copy(good ? "" : err.message));
        return good ? ERR_NONE : err.code;
}

static char *kept_output(const char *name) {
        scoped(free_str) char *path = path_join(output, name);
        char *text = NULL;
        size_t n = 0;
        assert_true(file_read(path, 64 * 1024 * 1024, &text, &n, NULL));
        return text;
}

static void in_order_and_once(void **unused) {
        (void)unused;
        write_file("migrations/10_b.sql", "update note set text = text || '10';");
        write_file("migrations/02_a.sql",
                "alter table note add column owner;\nupdate note set text = text || '2';");
        write_file("migrations/readme.txt", "no sql");
        with_sql("./migrations/*.sql");
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].id, "sql:migrations/02_a.sql");
        assert_string_equal(list.items[1].title, "10_b.sql");
        assert_int_equal(list.items[0].state, MIGRATION_NEW);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(number("select count(*) from note where text like '_210'"), 3);
        scoped(migration_list_done) MigrationList after = list_now();
        assert_int_equal(after.items[0].state, MIGRATION_RECORDED);
        assert_int_equal(after.items[1].recorded_run, 44);
        assert_true(after.items[1].recorded_ms > 0);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(number("select count(*) from note where text like '_210'"), 3);
        scoped(free_str) char *text = kept_output("migrate-sql-migrations-02_a.sql.log");
        assert_non_null(strstr(text, "2 statements, 3 rows changed, in one transaction"));
}

static void a_changed_one_is_refused(void **unused) {
        (void)unused;
        scoped(free_str) char *message = NULL;
        write_file("migrations/1.sql", "create table a(x);");
        with_sql("migrations/*.sql");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        write_file("migrations/1.sql", "create table a(x, y);");
        write_file("migrations/2.sql", "create table b(x);");
        assert_int_equal(run_pending(&message), ERR_REFUSED);
        assert_non_null(strstr(message, "'migrations/1.sql'"));
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'b'"), 0);
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_CHANGED);
        assert_false(migration_pending(&list.items[0]));
}

/* Nothing of a file that fails stays. */
static void a_failing_file_leaves_nothing(void **unused) {
        (void)unused;
        scoped(free_str) char *message = NULL;
        write_file("migrations/1.sql", "-- drops and fails\ncreate table a(x);\ndelete from "
                                       "note;\n\nselect\n  nonsense\nfrom note;\n");
        with_sql("migrations/*.sql");
        assert_int_equal(run_pending(&message), ERR_ANSWER_NO);
        assert_non_null(strstr(message, "migrations/1.sql:6: no such column: nonsense"));
        assert_int_equal(number("select count(*) from note"), 3);
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'a'"), 0);
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_NEW);
}

static void own_transactions(void **unused) {
        (void)unused;
        scoped(free_str) char *message = NULL;
        write_file("migrations/1.sql", "begin; create table a(x); commit; begin; create table "
                                       "b(x); create table b(x); commit;");
        with_sql("migrations/*.sql");
        assert_int_equal(run_pending(&message), ERR_ANSWER_NO);
        assert_non_null(strstr(message, "of which those that ended stay"));
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'a'"), 1);
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'b'"), 0);
        write_file("migrations/1.sql", "begin; create table c(x);");
        assert_int_equal(run_pending(&message), ERR_ANSWER_NO);
        assert_non_null(strstr(message, "ends inside a transaction"));
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'c'"), 0);
        write_file("migrations/1.sql", "vacuum; create table c(x);");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'c'"), 1);
}

/* A table made anew, as sqlite.org/lang_altertable.html says: only without foreign keys does the drop keep the
 * rows of the other table. */
static void foreign_keys_as_the_file_says(void **unused) {
        (void)unused;
        static const char remake[] =
                "pragma foreign_keys=%s;\n"
                "create table n2(id integer primary key);insert into n2 select id from note;"
                "drop table note;alter table n2 rename to note;";
        scoped(free_str) char *off = str_format(remake, "off");
        scoped(free_str) char *on = str_format(remake, "on");
        write_file("migrations/0.sql",
                "create table tag(note references note(id) on delete cascade);"
                "insert into tag select id from note;");
        write_file("migrations/1.sql", off);
        with_sql("migrations/*.sql");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(number("select count(*) from tag"), 3);
        write_file("migrations/2.sql", on);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(number("select count(*) from tag"), 0);
        write_file("migrations/3.sql", "insert into tag values(77); pragma foreign_key_check;");
        assert_int_equal(run_pending(NULL), ERR_ANSWER_NO);
        assert_int_equal(number("select count(*) from tag"), 0);
}

/* B-04, B-05 and their like: a migration keeps to its database. */
static void what_sql_may_not_do(void **unused) {
        (void)unused;
        static const char *const rows[] = {
                "attach 'other.db' as o; create table o.x(a);",
                "vacuum into 'copy.db';",
                "select load_extension('x.so');",
                ".read other.sql\n",
                "select 'open",
                "create table a(;",
        };
        with_sql("migrations/*.sql");
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                write_file("migrations/1.sql", rows[i]);
                assert_int_equal(run_pending(NULL), ERR_ANSWER_NO);
        }
        scoped(free_str) char *other = path_join(app, "other.db");
        assert_false(file_exists(other));
        assert_int_equal(number("select count(*) from note"), 3);
        scoped(free_str) char *path = path_join(app, "migrations/1.sql");
        assert_true(file_write_durable(path, "select 1;\0drop table note;", 26, 0644, NULL));
        assert_int_equal(run_pending(NULL), ERR_REFUSED);
        write_file("migrations/1.sql", "attach ':memory:' as m; create table m.t(a); detach m;");
        (void)run_pending(NULL);
        write_file("migrations/1.sql", "");
        assert_int_equal(run_pending(NULL), ERR_NONE);
}

static void sql_without_end(void **unused) {
        (void)unused;
        write_file("migrations/1.sql",
                "create table a(x); with recursive c(x) as (select 1 union all select x+1 from c) "
                "select max(x) from c;");
        with_sql("migrations/*.sql");
        specs[0].timeout_ms = 200;
        assert_int_equal(run_pending(NULL), ERR_TIMEOUT);
        assert_int_equal(number("select count(*) from sqlite_schema where name = 'a'"), 0);
        Cancel cancel = {.requested = 1};
        context.cancel = &cancel;
        specs[0].timeout_ms = 0;
        assert_int_equal(run_pending(NULL), ERR_CANCELLED);
}

static ErrCode run_on(Value value) {
        scoped(free_str) char *message = NULL;
        with_sql("migrations/*.sql");
        specs[0].database = NULL;
        specs[0].database_value = value;
        ErrCode code = run_pending(&message);
        if (code == ERR_NONE && !migrate_record_import(&state_dir, "notes", NULL, NULL))
                fail_msg("record");
        return code;
}

static void databases(void **unused) {
        (void)unused;
        static const char *const forms[] = {
                "sqlite:////%s", "sqlite:///%s", "sqlite:%s", "file:%s", "sqlite3:%s", "%s"};
        write_file("migrations/1.sql", "update note set text = text || '+';");
        for (size_t i = 0; i < COUNT_OF(forms); i++) {
                bool after_slash = str_ends(forms[i], "/%s");
                Str setting = {0};
                str_add(&setting, "DATABASE_URL=");
                str_add_n(&setting, forms[i], strlen(forms[i]) - 2);
                str_add(&setting, database + after_slash);
                char *env[] = {setting.text, NULL};
                context.env = env;
                if (run_on((Value){VALUE_ENV, WORD("DATABASE_URL")}) != ERR_NONE)
                        fail_msg("%s", setting.text);
                str_done(&setting);
        }
        context.env = NULL;
        assert_int_equal(number("select count(*) from note where text like '_++++++'"), 3);
        scoped(free_str) char *twin = path_join(app, database + 1);
        scoped(free_str) char *twin_dir = path_dirname(twin);
        scoped(free_str) char *either = str_format("sqlite://%s", database);
        assert_true(dir_make(twin_dir, NULL) && file_write_durable(twin, "", 0, 0600, NULL));
        assert_int_equal(run_on((Value){VALUE_TEXT, either}), ERR_REFUSED);
        assert_int_equal(run_on((Value){VALUE_TEXT, WORD("postgres://u:p@h/db")}), ERR_REFUSED);
        assert_int_equal(run_on((Value){VALUE_TEXT, WORD("sqlite:///x.db?mode=rwc")}), ERR_REFUSED);
        assert_int_equal(run_on((Value){VALUE_TEXT, WORD("none.db")}), ERR_REFUSED);
        assert_int_equal(run_on((Value){VALUE_TEXT, app}), ERR_REFUSED);
        assert_int_equal(run_on((Value){VALUE_ENV, WORD("BELAY_NO_SUCH_VARIABLE")}), ERR_UNKNOWN);
        write_file("data.db", "this is no database, whatever its name says, and it is long enough "
                              "to be looked at closely");
        assert_int_equal(run_on((Value){VALUE_TEXT, WORD("data.db")}), ERR_CORRUPT);
        scoped(free_str) char *none = path_join(app, "none.db");
        assert_false(file_exists(none));
}

static void scripts(void **unused) {
        (void)unused;
        char *env[] = {(char[]){"FROM_FILE=yes"}, NULL},
             *extra[] = {(char[]){"BELAY_VERSION=1.2.0"}, NULL};
        context.env = env;
        context.extra = extra;
        context.mark = "here:44";
        setenv("BELAY_TEST_OF_THE_CALLER", "1", 1);
        write_file("migrations/1.sh",
                "pwd; echo $FROM_FILE $BELAY_VERSION $BELAY_SERVICE $BELAY_RUN "
                "$BELAY_TEST_OF_THE_CALLER; echo x >> runs; echo to err >&2");
        write_file("migrations/-2.sh", "echo dash");
        with_scripts("migrations/[1-9].sh", false);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(free_str) char *text = kept_output("migrate-scripts-migrations-1.sh.log");
        scoped(free_str) char *start = str_format("%s\nyes 1.2.0 notes here:44\n", app);
        assert_true(str_starts(text, start));
        assert_non_null(strstr(text, "to err"));
        assert_true(strv_contains(started_ids, "scripts:migrations/1.sh"));
        assert_true(started_process.pid > 0);
        scoped(free_str) char *runs = path_join(app, "runs");
        scoped(free_str) char *count = NULL;
        size_t n = 0;
        assert_true(file_read(runs, 100, &count, &n, NULL));
        assert_string_equal(count, "x\nx\n"); /* always means each time */
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_EACH_TIME);
        assert_true(list.items[0].recorded_ms > 0);
}

static void a_script_by_itself(void **unused) {
        (void)unused;
        write_file("-1.sh", "#!/bin/sh\necho x > ran\n");
        with_scripts("*.sh", true);
        assert_int_equal(run_pending(NULL), ERR_NONE); /* sh ./-1.sh */
        specs[0].run_with = NULL;
        write_file("-2.sh", "#!/bin/sh\necho x > ran2\n");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(free_str) char *ran = path_join(app, "ran2");
        assert_true(file_exists(ran));
        write_file("3.sh", "no interpreter named, and none in PATH would be tried");
        scoped(free_str) char *path = path_join(app, "3.sh");
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(run_pending(NULL), ERR_TOOL);
}

static void failing_scripts(void **unused) {
        (void)unused;
        scoped(free_str) char *message = NULL;
        char *secrets[] = {(char[]){"canary-7f3a"}, NULL};
        context.secrets = secrets;
        write_file("1.sh", "echo one; echo token canary-7f3a; echo the reason >&2; exit 3");
        with_scripts("1.sh", true);
        assert_int_equal(run_pending(&message), ERR_TOOL);
        assert_non_null(strstr(message, "exited with 3"));
        assert_non_null(strstr(message, "the reason"));
        scoped(free_str) char *text = kept_output("migrate-scripts-1.sh.log");
        assert_non_null(strstr(text, "token [secret]"));
        assert_null(strstr(text, "canary"));
        write_file("1.sh", "echo canary-7f3a >&2; kill -KILL $$");
        assert_int_equal(run_pending(&message), ERR_TOOL);
        assert_non_null(strstr(message, "ended by signal 9"));
        assert_null(strstr(message, "canary"));
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_NEW);
}

static bool alive_in(const char *name) {
        scoped(free_str) char *path = path_join(app, name);
        scoped(free_str) char *text = NULL;
        size_t n = 0;
        ProcessId id;
        assert_true(file_read(path, 100, &text, &n, NULL));
        return process_identify((pid_t)strtol(text, NULL, 10), &id) && process_alive(&id);
}

/* It ignores TERM, forks, and leaves its session: it must be dead when the call returns. */
static void a_script_that_will_not_end(void **unused) {
        (void)unused;
        write_file("1.sh",
                "trap '' TERM HUP INT\necho $$ > pid\necho written first\n"
                "setsid sh -c 'trap \"\" TERM HUP; echo $$ > pid2; while :; do sleep 1; done' &\n"
                "while [ ! -s pid2 ]; do sleep 0.05; done\nwhile :; do sleep 1; done");
        with_scripts("1.sh", true);
        specs[0].timeout_ms = 1500;
        context.mark = "migrate-test:1";
        scoped(free_str) char *message = NULL;
        assert_int_equal(run_pending(&message), ERR_TIMEOUT);
        assert_false(process_alive(&started_process));
        assert_false(alive_in("pid"));
        assert_false(alive_in("pid2"));
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_NEW);
}

static void output_without_end(void **unused) {
        (void)unused;
        write_file("1.sh", "head -c 40000000 /dev/zero | tr '\\0' x; echo; exit 4");
        with_scripts("1.sh", true);
        scoped(free_str) char *message = NULL;
        assert_int_equal(run_pending(&message), ERR_TOOL);
        assert_true(strlen(message) < 64 * 1024);
        scoped(free_str) char *text = kept_output("migrate-scripts-1.sh.log");
        assert_true(strlen(text) < 20000000);
        assert_non_null(strstr(text, "[more was written than is kept]"));
}

static volatile int *to_cancel;
static void request_cancel(int signal_number) {
        (void)signal_number;
        *to_cancel = 1;
}

static void a_script_is_cancelled(void **unused) {
        (void)unused;
        Cancel cancel = {0};
        write_file("1.sh", "sleep 1000");
        with_scripts("1.sh", true);
        context.cancel = &cancel;
        to_cancel = &cancel.requested;
        signal(SIGALRM, request_cancel);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 300000}, NULL);
        assert_int_equal(run_pending(NULL), ERR_CANCELLED);
}

static void by_a_person(void **unused) {
        (void)unused;
        scoped(free_str) char *message = NULL;
        specs[0] =
                (MigrationSpec){.kind = MIGRATION_MANUAL, .text = WORD("Rebuild the search index")};
        service.n_migrations = 1;
        assert_int_equal(run_pending(&message), ERR_INCONCLUSIVE);
        assert_non_null(strstr(message, "Rebuild the search index"));
        context.confirmed = true;
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(migration_list_done) MigrationList list = list_now();
        assert_true(migration_pending(&list.items[0])); /* with each update */
        assert_true(list.items[0].recorded_ms > 0);
}

static bool read_target(void *unused, const char *path, char **ret_bytes, size_t *ret_n, Err *err) {
        (void)unused;
        (void)err;
        *ret_bytes = str_format("create table t%c(x);", path[11]);
        *ret_n = strlen(*ret_bytes);
        return true;
}

/* Before place: the files of the target are not on disk yet. */
static void of_a_tree(void **unused) {
        (void)unused;
        char *paths[] = {WORD("migrations/2.sql"), WORD("migrations/1.sql"),
                WORD("migrations/deep/3.sql"), WORD("x.sql"), NULL};
        const MigrateTree names = {.paths = paths}, tree = {.paths = paths, .read = read_target};
        write_file("migrations/1.sql", "create table t1(x);");
        with_sql("migrations/*.sql");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(migration_list_done) MigrationList one = {0}, other = {0};
        assert_true(migrate_list(&context, &names, &one, NULL));
        assert_int_equal(one.n, 2);
        assert_int_equal(one.items[0].state, MIGRATION_RECORDED);
        assert_int_equal(one.items[1].state, MIGRATION_NEW);
        assert_true(migrate_list(&context, &tree, &other, NULL));
        assert_int_equal(other.items[0].state, MIGRATION_RECORDED);
        write_file("migrations/1.sql", "create table t1(x, y);");
        assert_true(migrate_record_import(&state_dir, "notes", NULL, NULL));
        write_file("migrations/1.sql", "create table other(x);");
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(migration_list_done) MigrationList changed = {0};
        assert_true(migrate_list(&context, &tree, &changed, NULL));
        assert_int_equal(changed.items[0].state, MIGRATION_CHANGED);
}

static void odd_lists(void **unused) {
        (void)unused;
        scoped(migration_list_done) MigrationList list = {0};
        with_sql("nothing/*.sql");
        assert_true(migrate_list(&context, NULL, &list, NULL));
        assert_int_equal(list.n, 0);
        assert_string_equal(list.warnings[0], "migrations[0]: 'nothing/*.sql' matches no file");
        static const char *const bad[] = {"../*.sql", "/etc/*.sql", "", "a/../../b"};
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                with_sql(bad[i]);
                assert_int_equal(migrate_list(&context, NULL, &list, NULL), false);
        }
        write_file("migrations/1.sql", "select 1;");
        with_sql("migrations/*.sql");
        specs[1] = specs[0];
        service.n_migrations = 2;
        scoped(err_clear) Err err = {0};
        assert_false(migrate_list(&context, NULL, &list, &err));
        assert_int_equal(err.code, ERR_MANIFEST);
}

/* A file is known by its name, in the record and in the journal: two that are no text would be one. */
static void names_that_are_no_text(void **unused) {
        (void)unused;
        static const char *const bad[] = {
                "1\n.sql", "1\033[31m.sql", "1\xff.sql", "1\xe2\x80\xae.sql"};
        with_sql("migrations/*.sql");
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                scoped(free_str) char *path = path_join("migrations", bad[i]);
                char *paths[] = {WORD("migrations/0.sql"), path, NULL};
                const MigrateTree tree = {.paths = paths};
                scoped(migration_list_done) MigrationList list = {0};
                scoped(err_clear) Err err = {0};
                assert_false(migrate_list(&context, &tree, &list, &err));
                assert_int_equal(err.code, ERR_REFUSED);
                assert_non_null(strstr(err.message, "is no text"));
                assert_null(strpbrk(err.message, "\n\033\xff\xe2"));
        }
}

static void the_record_travels(void **unused) {
        (void)unused;
        write_file("migrations/1.sql", "create table a(x);");
        with_sql("migrations/*.sql");
        scoped(js_freep) json_t *before = migrate_record_export(&state_dir, "notes", NULL);
        assert_non_null(before);
        assert_int_equal(run_pending(NULL), ERR_NONE);
        scoped(js_freep) json_t *after = migrate_record_export(&state_dir, "notes", NULL);
        assert_true(migrate_record_import(&state_dir, "notes", before, NULL));
        scoped(migration_list_done) MigrationList list = list_now();
        assert_int_equal(list.items[0].state, MIGRATION_NEW);
        assert_true(migrate_record_import(&state_dir, "notes", after, NULL));
        scoped(migration_list_done) MigrationList again = list_now();
        assert_int_equal(again.items[0].state, MIGRATION_RECORDED);
        js_set_int(after, "format", 2);
        assert_false(migrate_record_import(&state_dir, "notes", after, NULL));
        assert_true(state_save(&state_dir, "notes", "migrations.json", after, NULL));
        scoped(err_clear) Err err = {0};
        scoped(migration_list_done) MigrationList refused = {0};
        assert_false(migrate_list(&context, NULL, &refused, &err));
        assert_int_equal(err.code, ERR_REFUSED);
}

#ifdef BELAY_FAULT_POINTS
/* A failed write anywhere: what is said to be done is done and recorded. */
static void every_write_fails_once(void **unused) {
        (void)unused;
        unsigned points = 1, n = 0;
        write_file("migrations/1.sql", "create table if not exists a(x); insert into a values(1);");
        with_sql("migrations/*.sql");
        while (points >= n) {
                n++;
                scoped(free_str) char *rule = str_format("*:error:%u:EIO", n);
                fault_set(rule);
                ErrCode code = run_pending(NULL);
                points = fault_count();
                fault_set("");
                scoped(migration_list_done) MigrationList list = list_now();
                bool recorded = list.items[0].state == MIGRATION_RECORDED;
                assert_true(code == ERR_NONE ? recorded : points >= n);
                assert_true(!recorded || number("select count(*) from a") > 0);
                assert_true(migrate_record_import(&state_dir, "notes", NULL, NULL));
        }
        assert_true(n > 20);
}
#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(in_order_and_once),
                TEST(a_changed_one_is_refused),
                TEST(a_failing_file_leaves_nothing),
                TEST(own_transactions),
                TEST(foreign_keys_as_the_file_says),
                TEST(what_sql_may_not_do),
                TEST(sql_without_end),
                TEST(databases),
                TEST(scripts),
                TEST(a_script_by_itself),
                TEST(failing_scripts),
                TEST(a_script_that_will_not_end),
                TEST(output_without_end),
                TEST(a_script_is_cancelled),
                TEST(by_a_person),
                TEST(of_a_tree),
                TEST(odd_lists),
                TEST(names_that_are_no_text),
                TEST(the_record_travels),
#ifdef BELAY_FAULT_POINTS
                TEST(every_write_fails_once),
#endif
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
