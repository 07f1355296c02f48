/*
 * SQLite while it is written: a process of its own inserts, updates, checkpoints, vacuums and reopens all through the
 * first pass, then ends cleanly or is killed; after the second pass the backup holds every row that was acknowledged
 * and nothing that the live database does not hold. BELAY_WRITERS rounds (50) for each journal mode.
 */
#include "../unit/backup/fixture.h"

#include <sys/mman.h>

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
        pid_t writer = fork();
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(writers_in_wal_mode),
                cmocka_unit_test(writers_with_a_journal),
                cmocka_unit_test(writers_with_a_persistent_journal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
