/*
 * SQLite while it is written: a process of its own inserts, updates, checkpoints, vacuums and reopens all through the
 * first pass, then ends cleanly or is killed; after the second pass the backup holds every row that was acknowledged
 * and nothing that the live database does not hold. BELAY_WRITERS rounds (50) for each journal mode.
 */
#include "../unit/backup/fixture.h"

#include <sys/mman.h>
#include <sys/prctl.h>

/* A child that ends with this process, however that ends. */
static pid_t fork_child(void) {
        pid_t pid = fork();
        if (pid == 0)
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        return pid;
}

enum { LOG_BYTES = 60 << 20 };

typedef struct Shared {
        volatile int stop, acknowledged, ready;
} Shared;

static unsigned seed;
static unsigned pick(unsigned n) { return (unsigned)rand_r(&seed) % n; }

static bool attempt(sqlite3 *db, const char *text) {
        return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
}

static void write_on(const char *path, Shared *shared) {
        sqlite3 *db = NULL;
        for (int row = shared->acknowledged + 1; !shared->stop; row++) {
                char text[200];
                if (!db) {
                        if (sqlite3_open(path, &db) != SQLITE_OK)
                                _exit(1);
                        sqlite3_busy_timeout(db, 10000);
                        (void)attempt(db, pick(2) ? "PRAGMA wal_autocheckpoint=5"
                                                  : "PRAGMA wal_autocheckpoint=100");
                        (void)attempt(db, "PRAGMA synchronous=OFF; PRAGMA cache_size=8");
                }
                snprintf(text, sizeof(text), "INSERT INTO note VALUES (%d, hex(zeroblob(%u)))", row,
                        pick(600));
                if (!attempt(db, text))
                        _exit(2);
                shared->acknowledged = row;
                shared->ready = 1;
                if (pick(5) == 0) {
                        snprintf(text, sizeof(text),
                                "UPDATE note SET text = hex(randomblob(%u)) WHERE id %% 7 = %u",
                                pick(200), pick(7));
                        (void)attempt(db, text);
                }
                static const char *const checkpoints[] = {
                        "PRAGMA wal_checkpoint(PASSIVE)",
                        "PRAGMA wal_checkpoint(TRUNCATE)",
                        "PRAGMA wal_checkpoint(RESTART)",
                        "PRAGMA incremental_vacuum(3)",
                        "VACUUM",
                };
                if (pick(10) == 0) {
                        sqlite3_busy_timeout(db, 0);
                        (void)attempt(db, checkpoints[pick(COUNT_OF(checkpoints))]);
                        sqlite3_busy_timeout(db, 10000);
                }
                if (pick(30) == 0) {
                        sqlite3_close(db);
                        db = NULL;
                }
        }
        sqlite3_close(db);
        _exit(0);
}

static void same_content(const char *live, const char *copy) {
        static const char text[] = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(id * "
                                   "length(text)) || ' ' || max(text) FROM note";
        scoped(database_close) sqlite3 *a = NULL;
        scoped(database_close) sqlite3 *b = NULL;
        scoped(free_str) char *x = NULL;
        scoped(free_str) char *y = NULL;
        OK(database_open(live, DATABASE_READ_WRITE, &a, err));
        OK(database_open(copy, DATABASE_IMMUTABLE, &b, err));
        OK(database_text(a, text, &x, err));
        OK(database_text(b, text, &y, err));
        assert_string_equal(x, y);
        OK(database_check(b, err));
}

static void one_round(const char *mode, unsigned number) {
        seed = number;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        const char *path = f->contents[0].path;
        scoped(free_str) char *text =
                str_format("PRAGMA page_size=%u; PRAGMA auto_vacuum=%u; PRAGMA journal_mode=%s;"
                           "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX i "
                           "ON note(text)",
                        512U << pick(8), pick(3), mode);
        sql(path, text);
        Shared *shared = mmap(
                NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(shared != MAP_FAILED);
        pid_t writer = fork_child();
        if (writer == 0)
                write_on(path, shared);
        while (!shared->ready)
                usleep(200);
        usleep(pick(20000));
        Backup *b = first_pass(f);
        usleep(pick(20000));
        bool killed = pick(2);
        if (killed)
                kill(writer, SIGKILL);
        else
                shared->stop = 1;
        int status;
        assert_int_equal(waitpid(writer, &status, 0), writer);
        if (!killed && status != 0)
                fail_msg("the writer was disturbed: %d", WEXITSTATUS(status));
        scoped(free_str) char *dir = finish(&b);
        scoped(free_str) char *copy = path_join(dir, "sqlite-x.db");
        int64_t rows = -1;
        scoped(database_close) sqlite3 *db = NULL;
        OK(database_open(copy, DATABASE_IMMUTABLE, &db, err));
        OK(database_int(db, "SELECT count(*) FROM note", &rows, err));
        if (rows != shared->acknowledged && !(killed && rows == shared->acknowledged + 1))
                fail_msg("%s, seed %u: %d rows acknowledged, %ld in the backup", mode, number,
                        shared->acknowledged, (long)rows);
        same_content(path, copy);
        bool changed = true;
        OK(backup_changed(f->store, "notes", f->id, &changed, err));
        assert_false(changed);
        munmap(shared, sizeof(Shared));
}

static void rounds(const char *mode) {
        const char *n = getenv("BELAY_WRITERS"), *first = getenv("BELAY_SEED");
        unsigned long count = n ? strtoul(n, NULL, 10) : 50,
                      from = first ? strtoul(first, NULL, 10) : 1;
        for (unsigned long i = 0; i < count; i++)
                one_round(mode, (unsigned)(from + i));
        printf("%lu rounds from seed %lu\n", count, from);
}

static void writers_in_wal_mode(void **state) {
        (void)state;
        rounds("WAL");
}

static void writers_with_a_journal(void **state) {
        (void)state;
        rounds("DELETE");
}

static void writers_with_a_persistent_journal(void **state) {
        (void)state;
        rounds("PERSIST");
}

static void grows(const char *path) {
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        for (off_t before = st.st_size; st.st_size == before; usleep(1000))
                assert_int_equal(stat(path, &st), 0);
}

/* A service that goes on: the backup is of one moment, and whole. */
static void live_round(const char *mode, unsigned number) {
        seed = number;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        const char *path = f->contents[1].path;
        scoped(free_str) char *log = in_data(f, "log");
        scoped(free_str) char *text = str_format(
                "PRAGMA journal_mode=%s; CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)",
                mode);
        sql(path, text);
        put_text(f, "log", "");
        Shared *shared = mmap(
                NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(shared != MAP_FAILED);
        pid_t writer = fork_child();
        if (writer == 0)
                write_on(path, shared);
        pid_t logger = fork_child();
        if (logger == 0)
                for (int fd = open(log, O_WRONLY | O_APPEND); write(fd, "line\n", 5) == 5;)
                        usleep(20);
        while (!shared->ready)
                usleep(200);
        BackupRequest r = request_of(f);
        BackupPlan plan = {0};
        PassStats stats = {0};
        Published published = {0};
        scoped(backup_freep) Backup *b = NULL;
        backup_new_id(r.id);
        r.reason = "manual";
        OK(backup_plan(&r, &plan, err));
        OK(backup_begin(&r, &plan, &b, err));
        int rows_before = shared->acknowledged;
        OK(backup_first_pass(b, err));
        OK(backup_prove(b, 2, err));
        OK(backup_second_pass(b, &stats, err));
        int rows_after = shared->acknowledged;
        OK(backup_merge_publish(b, &published, err));
        grows(log); /* whatever else this machine does */
        kill(writer, SIGKILL);
        kill(logger, SIGKILL);
        assert_int_equal(waitpid(writer, NULL, 0), writer);
        assert_int_equal(waitpid(logger, NULL, 0), logger);
        OK(backup_verify(published.dir, 2, NULL, err));
        scoped(free_str) char *copy = path_join(published.dir, "sqlite-x.db");
        int64_t rows = sql_int(copy, "SELECT count(*) FROM note");
        assert_true(rows >= rows_before && rows <= rows_after + 1);
        bool changed = false;
        OK(backup_changed(f->store, "notes", r.id, &changed, err));
        assert_true(changed);
        backup_plan_done(&plan);
        pass_stats_done(&stats);
        published_done(&published);
        munmap(shared, sizeof(Shared));
}

static void a_service_that_goes_on(void **state) {
        (void)state;
        for (unsigned i = 1; i <= 5; i++) {
                live_round("WAL", i);
                live_round("DELETE", i);
        }
}

/* In an update nobody may write any more: who still does is found out. */
static void a_writer_in_the_gap_is_noticed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *log = in_data(f, "log");
        scoped(free_str) char *lines = mem_new(LOG_BYTES, 1); /* long to read */
        put_file(log, lines, LOG_BYTES);
        scoped(backup_freep) Backup *b = first_pass(f);
        pid_t logger = fork_child();
        if (logger == 0)
                for (int fd = open(log, O_WRONLY | O_APPEND); write(fd, "line\n", 5) == 5;)
                        continue;
        PassStats stats = {0};
        grows(log);
        FAILS(ERR_IN_USE, backup_second_pass(b, &stats, err));
        kill(logger, SIGKILL);
        assert_int_equal(waitpid(logger, NULL, 0), logger);
        OK(backup_second_pass(b, &stats, err)); /* may be repeated */
        pass_stats_done(&stats);
        Published published = {0};
        OK(backup_merge_publish(b, &published, err));
        published_done(&published);
}

enum { SHM_HEADERS = 96 }; /* both copies of the wal-index header: sqlite.org/walformat.html, 2.1 */

static void shm_bytes(const char *path, char bytes[SHM_HEADERS], bool put) {
        scoped(free_str) char *name = str_format("%s-shm", path);
        scoped(close_fd) int fd = open(name, O_RDWR | O_CLOEXEC);
        char *at = mmap(NULL, SHM_HEADERS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd < 0 || at == MAP_FAILED)
                _exit(3);
        memcpy(put ? at : bytes, put ? bytes : at, SHM_HEADERS);
        munmap(at, SHM_HEADERS);
}

/* Commits, and dies when all of it is in the WAL but those who have the database open were not yet told. */
static void commit_and_die(const char *path) {
        sqlite3 *db = NULL;
        char headers[SHM_HEADERS];
        if (sqlite3_open(path, &db) != SQLITE_OK || !attempt(db, "SELECT count(*) FROM note"))
                _exit(1);
        shm_bytes(path, headers, false);
        if (!attempt(db, "INSERT INTO note VALUES (2, hex(zeroblob(20000)))"))
                _exit(2);
        shm_bytes(path, headers, true);
        _exit(0);
}

static void a_commit_that_nobody_was_told_of(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        const char *path = f->contents[0].path;
        sql(path, "PRAGMA journal_mode=WAL; CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);"
                  "INSERT INTO note VALUES (1, 'one')");
        Backup *b = first_pass(f);
        pid_t writer = fork_child();
        if (writer == 0)
                commit_and_die(path);
        int status;
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_int_equal(status, 0);
        scoped(free_str) char *dir = finish(&b);
        scoped(free_str) char *copy = path_join(dir, "sqlite-x.db");
        assert_int_equal(sql_int(copy, "SELECT count(*) FROM note"), 2);
        same_content(path, copy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(writers_in_wal_mode),
                cmocka_unit_test(writers_with_a_journal),
                cmocka_unit_test(writers_with_a_persistent_journal),
                cmocka_unit_test(a_service_that_goes_on),
                cmocka_unit_test(a_writer_in_the_gap_is_noticed),
                cmocka_unit_test(a_commit_that_nobody_was_told_of),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
