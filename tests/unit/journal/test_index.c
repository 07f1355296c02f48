/* The index says what the journals say, whatever is done to its file (J09). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "client/sqlite.h"
#include "journal/index.h"
#include "platform/fault.h"
#include "platform/file.h"
#include "platform/lock.h"

enum { RUNS = 60, PAGE = 4096 };

static char *dir;
static State state;
static unsigned summarised; /* how many journals were read */

static char *in_state(const char *name) { return path_join(state.root, name); }

/* Here a journal is any text: "<service> <anything>". What is known of it is the text itself. */
static json_t *summarise(const State *at, unsigned run) {
        scoped(free_str) char *path = state_run_file(at, run, "journal");
        scoped(free_str) char *text = NULL;
        size_t n = 0;
        summarised++;
        if (!file_read_if(path, 1 << 20, &text, &n, NULL) || !text || !n)
                return NULL;
        scoped(free_str) char *service = str_copy_n(text, strcspn(text, " "));
        json_t *object = json_object();
        js_set_str(object, "service", service);
        js_set_str(object, "text", text);
        return object;
}

static const IndexMaker maker = {.version = 7, .summarise = summarise};

static void write_text(const char *path, const char *text) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        assert_int_equal(fclose(file), 0);
}

static void write_journal(unsigned run, const char *text) {
        scoped(free_str) char *at = state_run_dir(&state, run);
        scoped(free_str) char *path = state_run_file(&state, run, "journal");
        assert_true(dir_make(at, NULL));
        write_text(path, text);
}

static void make_runs(unsigned from, unsigned to) {
        for (unsigned run = from; run <= to; run++) {
                /* Long enough for several pages, and some that need overflow pages. */
                scoped(free_mem) char *filler = mem_new(6001, 1);
                memset(filler, 'a' + (int)(run % 26), run % 10 == 0 ? 6000 : 200);
                scoped(free_str) char *text = str_format("service-%u %u %s", run % 7, run, filler);
                write_journal(run, text);
        }
}

static int make_state(void **unused) {
        (void)unused;
        dir = str_copy("/dev/shm/belay-index-XXXXXX");
        unsetenv("BELAY_STATE");
        if (!mkdtemp(dir) || !state_open(dir, &state, NULL))
                return -1;
        make_runs(1, RUNS);
        return 0;
}

static int remove_state(void **unused) {
        (void)unused;
        fault_set("");
        bool ok = tree_remove(dir, NULL);
        state_done(&state);
        free(dir);
        return ok ? 0 : -1;
}

/* Every run that has a journal, with what its journal says now. Returns how many journals were read. */
static unsigned assert_right(void) {
        scoped(free_mem) unsigned *runs = NULL;
        size_t n = 0, at = 0;
        scoped(index_done) Index index = {0};
        summarised = 0;
        assert_true(index_read(&state, &maker, &index, NULL));
        unsigned made = summarised;
        assert_true(state_runs(&state, &runs, &n, NULL));
        for (size_t i = 0; i < n; i++) {
                scoped(js_freep) json_t *wanted = summarise(&state, runs[i]);
                if (!wanted)
                        continue;
                assert_true(at < index.n);
                const IndexRow *row = &index.rows[at++];
                scoped(free_str) char *text = js_line(wanted);
                assert_int_equal(row->run, runs[i]);
                assert_string_equal(row->service, js_str(wanted, "service"));
                assert_string_equal(row->summary, text);
        }
        assert_int_equal(at, index.n);
        return made;
}

/* And as it should be: the next reader reads no journal at all. */
static void assert_whole(void) {
        assert_right();
        assert_int_equal(assert_right(), 0);
}

static bool is_there(const char *name) {
        scoped(free_str) char *path = in_state(name);
        return file_exists(path);
}

static void read_whole(const char *path, char **ret, size_t *ret_n) {
        *ret = NULL;
        assert_true(file_read(path, 64 << 20, ret, ret_n, NULL));
}

static void write_whole(const char *path, const char *bytes, size_t n) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
}

/* -- in step ------------------------------------------------------------------------------ */

static void test_what_is_known_is_not_read_again(void **unused) {
        (void)unused;
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(assert_right(), 0);
        scoped(free_str) char *path = in_state("belay.db");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_a_journal_that_grew_is_read_again(void **unused) {
        (void)unused;
        assert_whole();
        scoped(free_str) char *path = state_run_file(&state, 3, "journal");
        FILE *file = fopen(path, "a");
        fputs(" more", file);
        fclose(file);
        assert_int_equal(assert_right(), 1);
        assert_int_equal(assert_right(), 0);
}

/* The same size and the same times: another file all the same, or changed since (ctime). */
static void test_a_journal_in_disguise_is_read_again(void **unused) {
        (void)unused;
        assert_whole();
        scoped(free_str) char *path = state_run_file(&state, 5, "journal");
        scoped(free_str) char *text = NULL;
        size_t n = 0;
        struct stat st;
        read_whole(path, &text, &n);
        assert_int_equal(stat(path, &st), 0);
        text[n - 1] = '!';
        write_whole(path, text, n);
        const struct timespec times[] = {st.st_atim, st.st_mtim};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        assert_int_equal(assert_right(), 1);
}

static void test_runs_come_and_go(void **unused) {
        (void)unused;
        assert_whole();
        scoped(free_str) char *gone = state_run_dir(&state, 9);
        assert_true(tree_remove(gone, NULL));
        scoped(free_str) char *emptied = state_run_file(&state, 11, "journal");
        assert_true(file_unlink(emptied, NULL));
        make_runs(RUNS + 1, RUNS + 2);
        assert_int_equal(assert_right(), 2);
        assert_int_equal(assert_right(), 0);
        scoped(free_str) char *all = path_join(state.root, "runs");
        assert_true(tree_remove(all, NULL));
        assert_whole();
}

/* A copy of a state directory brings an index with it that knows other inodes. */
static void test_the_index_of_another_state_directory(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        assert_whole();
        read_whole(path, &bytes, &n);
        for (unsigned run = 1; run <= RUNS; run++) {
                scoped(free_str) char *journal = state_run_file(&state, run, "journal");
                scoped(free_str) char *copy = state_run_file(&state, run, "copy");
                assert_true(file_copy_durable(journal, copy, NULL));
                assert_int_equal(rename(copy, journal), 0);
        }
        write_whole(path, bytes, n);
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(assert_right(), 0);
}

/* -- J09 ---------------------------------------------------------------------------------- */

static void test_J09_deleted(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        assert_whole();
        assert_int_equal(unlink(path), 0);
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(assert_right(), 0);
}

static void test_J09_no_bytes_and_no_database(void **unused) {
        (void)unused;
        static const char *const texts[] = {"", "x", "SQLite format 3",
                "this was a database once, and somebody wrote a letter into it\n"};
        scoped(free_str) char *path = in_state("belay.db");
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                assert_whole();
                write_text(path, texts[i]);
                assert_int_equal(assert_right(), RUNS);
                assert_int_equal(assert_right(), 0);
        }
}

static void fill_random(char *bytes, size_t n, unsigned *seed) {
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char)rand_r(seed);
}

/* Each page in turn: bytes without meaning, zeros, and another page of the same file. */
static void test_J09_each_page_overwritten(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        scoped(free_str) char *good = NULL;
        size_t n = 0;
        unsigned seed = 1;
        assert_whole();
        read_whole(path, &good, &n);
        assert_true(n / PAGE > 10);
        for (size_t page = 0; page < n / PAGE; page++)
                for (int how = 0; how < 3; how++) {
                        scoped(free_mem) char *bad = mem_new(n, 1);
                        memcpy(bad, good, n);
                        if (how == 0)
                                fill_random(bad + page * PAGE, PAGE, &seed);
                        else if (how == 1)
                                memset(bad + page * PAGE, 0, PAGE);
                        else
                                memcpy(bad + page * PAGE, good + (page + 1) % (n / PAGE) * PAGE,
                                        PAGE);
                        write_whole(path, bad, n);
                        assert_whole();
                }
}

/* One byte here and there: in a header, a pointer, a number, a text. */
static void test_J09_bytes_flipped_and_tails_cut(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        scoped(free_str) char *good = NULL;
        size_t n = 0;
        unsigned seed = 2;
        assert_whole();
        read_whole(path, &good, &n);
        for (size_t i = 0; i < 400; i++) {
                /* Every byte of the first 100, which are the header; then anywhere. */
                size_t at = i < 100 ? i : (size_t)rand_r(&seed) % n;
                good[at] = (char)(good[at] ^ 1 << (i % 8));
                write_whole(path, good, n);
                assert_right();
                good[at] = (char)(good[at] ^ 1 << (i % 8));
        }
        for (size_t i = 1; i < 20; i++) {
                write_whole(path, good, n * i / 20);
                assert_whole();
        }
}

/* A hot journal of some other database: SQLite plays it back into the file beside it. */
static void leave_journal(const char *path, bool wal) {
        scoped(free_str) char *other = in_state("other.db");
        scoped(free_str) char *sidecar = str_format("%s%s", other, wal ? "-wal" : "-journal");
        scoped(free_str) char *bytes = NULL;
        size_t n = 0;
        {
                scoped(database_close) sqlite3 *db = NULL;
                assert_true(database_open(other, DATABASE_CREATE, &db, NULL));
                assert_true(database_run(db,
                        wal ? "PRAGMA journal_mode = WAL; PRAGMA cache_size = 1"
                            : "PRAGMA cache_size = 1",
                        NULL));
                assert_true(database_run(db,
                        "CREATE TABLE t(a); WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + "
                        "1"
                        " FROM c WHERE n < 99) INSERT INTO t SELECT randomblob(2000) FROM c; BEGIN;"
                        " UPDATE t SET a = randomblob(2000)",
                        NULL));
                read_whole(sidecar, &bytes, &n);
                assert_true(n > PAGE);
                assert_true(database_run(db, "COMMIT", NULL));
        }
        assert_int_equal(unlink(other), 0);
        (void)unlink(sidecar);
        scoped(free_str) char *to = str_format("%s%s", path, wal ? "-wal" : "-journal");
        write_whole(to, bytes, n);
}

static void test_J09_the_journal_of_another_database(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        for (int wal = 0; wal < 2; wal++) {
                assert_whole();
                leave_journal(path, wal);
                assert_right();
                assert_whole();
                /* Beside no database at all it must not get into the new one either. */
                assert_int_equal(unlink(path), 0);
                leave_journal(path, wal);
                assert_right();
                assert_whole();
        }
}

static void change(const char *sql) {
        scoped(free_str) char *path = in_state("belay.db");
        scoped(database_close) sqlite3 *db = NULL;
        assert_true(database_open(path, DATABASE_READ_WRITE, &db, NULL));
        assert_true(database_run(db, sql, NULL));
}

static void test_J09_another_schema(void **unused) {
        (void)unused;
        static const char *const changes[] = {
                "PRAGMA user_version = 1008",
                "PRAGMA user_version = 2007",
                "PRAGMA user_version = 0",
                "PRAGMA application_id = 1",
                "DROP TABLE run",
                "ALTER TABLE run RENAME COLUMN stamp TO stomp",
                "UPDATE run SET summary = '{}' WHERE run = 7",
                "UPDATE run SET run = run + 100",
                "UPDATE run SET stamp = (SELECT stamp FROM run WHERE run = 2) WHERE run = 1",
                "UPDATE run SET sum = 'x' WHERE run = 4",
        };
        for (size_t i = 0; i < COUNT_OF(changes); i++) {
                assert_whole();
                change(changes[i]);
                assert_int_equal(assert_right(), RUNS);
                assert_int_equal(assert_right(), 0);
        }
        change("DELETE FROM run WHERE run < 5");
        assert_int_equal(assert_right(), 4);
        assert_int_equal(assert_right(), 0);
}

/* The same file for a summary of another version. */
static void test_J09_another_version_of_the_summaries(void **unused) {
        (void)unused;
        const IndexMaker newer = {.version = 8, .summarise = summarise};
        scoped(index_done) Index index = {0};
        assert_whole();
        summarised = 0;
        assert_true(index_read(&state, &newer, &index, NULL));
        assert_int_equal(summarised, RUNS);
        assert_int_equal(assert_right(), RUNS);
}

typedef struct Holder {
        pid_t pid;
        int to;
} Holder;

/* Another process, which holds what `hold` takes until it is told. */
static Holder start_holder(void (*hold)(void)) {
        int ready[2], end[2];
        char byte = 0;
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(end), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(end[1]);
                hold();
                (void)!write(ready[1], "x", 1);
                (void)!read(end[0], &byte, 1);
                _exit(0);
        }
        close(ready[1]);
        close(end[0]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return (Holder){.pid = pid, .to = end[1]};
}

static void end_holder(const Holder *holder) {
        int status = 0;
        close(holder->to);
        assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
        assert_int_equal(status, 0);
}

static void hold_database(void) {
        scoped(free_str) char *path = in_state("belay.db");
        sqlite3 *db = NULL;
        if (!database_open(path, DATABASE_READ_WRITE, &db, NULL) ||
                !database_run(db, "BEGIN EXCLUSIVE", NULL))
                _exit(1);
}

static void hold_for_reading(void) {
        scoped(free_str) char *path = in_state("belay.db");
        sqlite3 *db = NULL;
        int64_t n = 0;
        if (!database_open(path, DATABASE_READ_WRITE, &db, NULL) ||
                !database_run(db, "BEGIN", NULL) ||
                !database_int(db, "SELECT count(*) FROM run", &n, NULL))
                _exit(1);
}

static void hold_lock(void) {
        scoped(free_str) char *path = in_state("belay.db.lock");
        const LockOwner owner = {.what = "another"};
        static Lock lock;
        if (!lock_take(path, &owner, 0, &lock, NULL))
                _exit(1);
}

static void test_J09_locked_by_another_process(void **unused) {
        (void)unused;
        assert_whole();
        Holder holder = start_holder(hold_database);
        assert_int_equal(assert_right(), RUNS);
        end_holder(&holder);
        assert_int_equal(assert_right(), 0);

        holder = start_holder(hold_for_reading);
        make_runs(RUNS + 1, RUNS + 1);
        assert_int_equal(assert_right(), 1);
        end_holder(&holder);
        assert_int_equal(assert_right(), 1);
        assert_int_equal(assert_right(), 0);
}

static void test_J09_another_process_makes_it(void **unused) {
        (void)unused;
        Holder holder = start_holder(hold_lock);
        assert_int_equal(assert_right(), RUNS);
        assert_false(is_there("belay.db"));
        end_holder(&holder);
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(assert_right(), 0);
}

/* -- where it cannot be ------------------------------------------------------------------- */

static void test_what_a_person_put_there_stays(void **unused) {
        (void)unused;
        scoped(free_str) char *path = in_state("belay.db");
        scoped(free_str) char *elsewhere = in_state("elsewhere");
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(symlink(elsewhere, path), 0);
        assert_int_equal(assert_right(), RUNS);
        assert_false(file_exists(elsewhere));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(assert_right(), RUNS);
        assert_int_equal(unlink(path), 0);
        assert_whole();
}

/* As somebody who may only look; root may do everything. */
static void assert_right_for_a_reader(unsigned made) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
                        _exit(77);
                _exit(assert_right() == made ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void set_modes(mode_t directories, mode_t files) {
        for (unsigned run = 1; run <= RUNS + 1; run++) {
                scoped(free_str) char *at = state_run_dir(&state, run);
                scoped(free_str) char *journal = state_run_file(&state, run, "journal");
                (void)chmod(at, directories);
                (void)chmod(journal, files);
        }
        scoped(free_str) char *runs = in_state("runs");
        scoped(free_str) char *path = in_state("belay.db");
        assert_int_equal(chmod(runs, directories), 0);
        assert_int_equal(chmod(state.root, directories), 0);
        (void)chmod(path, files);
}

static void test_a_directory_that_is_only_read(void **unused) {
        (void)unused;
        set_modes(0555, 0444);
        assert_right_for_a_reader(RUNS);
        set_modes(0755, 0644);
        assert_false(is_there("belay.db"));
        assert_whole();
        make_runs(RUNS + 1, RUNS + 1);
        set_modes(0555, 0444);
        /* The change of modes is one of the journals: each is looked at again, and nothing written. */
        assert_right_for_a_reader(RUNS + 1);
        set_modes(0755, 0644);
}

/* -- faults ------------------------------------------------------------------------------- */

typedef void (*Prepare)(void);

static void without_index(void) {
        scoped(free_str) char *path = in_state("belay.db");
        (void)unlink(path);
}

static void with_a_new_run(void) {
        scoped(free_str) char *gone = state_run_dir(&state, RUNS + 1);
        assert_true(tree_remove(gone, NULL));
        assert_whole();
        make_runs(RUNS + 1, RUNS + 1);
}

static void with_a_damaged_index(void) {
        scoped(free_str) char *path = in_state("belay.db");
        assert_whole();
        write_text(path, "damaged");
}

static const Prepare prepares[] = {without_index, with_a_new_run, with_a_damaged_index};

static unsigned count_points(Prepare prepare) {
        fault_set("");
        prepare();
        fault_set("");
        scoped(index_done) Index index = {0};
        assert_true(index_read(&state, &maker, &index, NULL));
        return fault_count();
}

static void die_at(const char *rule) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                scoped(index_done) Index index = {0};
                fault_set(rule);
                _exit(index_read(&state, &maker, &index, NULL) ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static void test_death_at_each_point(void **unused) {
        (void)unused;
        static const char *const actions[] = {"die", "after", "torn"};
        for (size_t i = 0; i < COUNT_OF(prepares); i++) {
                unsigned points = count_points(prepares[i]);
                assert_true(points > 4);
                for (unsigned at = 1; at <= points; at++)
                        for (size_t k = 0; k < COUNT_OF(actions); k++) {
                                scoped(free_str) char *rule = str_format("*:%s:%u", actions[k], at);
                                prepares[i]();
                                die_at(rule);
                                assert_whole();
                                assert_false(is_there("belay.db.new"));
                        }
        }
}

static void test_failure_at_each_point(void **unused) {
        (void)unused;
        static const char *const actions[] = {"error", "fails"};
        static const char *const errors[] = {"EIO", "ENOSPC"};
        for (size_t i = 0; i < COUNT_OF(prepares); i++) {
                unsigned points = count_points(prepares[i]);
                for (unsigned at = 1; at <= points; at++)
                        for (size_t k = 0; k < 2 * COUNT_OF(errors); k++) {
                                scoped(free_str) char *rule =
                                        str_format("*:%s:%u:%s", actions[k % 2], at, errors[k / 2]);
                                prepares[i]();
                                fault_set(rule);
                                assert_right();
                                fault_set("");
                                assert_whole();
                        }
        }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, make_state, remove_state)
        const struct CMUnitTest tests[] = {
                T(test_what_is_known_is_not_read_again),
                T(test_a_journal_that_grew_is_read_again),
                T(test_a_journal_in_disguise_is_read_again),
                T(test_runs_come_and_go),
                T(test_the_index_of_another_state_directory),
                T(test_J09_deleted),
                T(test_J09_no_bytes_and_no_database),
                T(test_J09_each_page_overwritten),
                T(test_J09_bytes_flipped_and_tails_cut),
                T(test_J09_the_journal_of_another_database),
                T(test_J09_another_schema),
                T(test_J09_another_version_of_the_summaries),
                T(test_J09_locked_by_another_process),
                T(test_J09_another_process_makes_it),
                T(test_what_a_person_put_there_stays),
                T(test_a_directory_that_is_only_read),
                T(test_death_at_each_point),
                T(test_failure_at_each_point),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
