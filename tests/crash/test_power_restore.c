/*
 * The power goes at every point of a restore and of its undo: of images of what the disk may hold then
 * (lib/power.h) each is either finished or taken back, and what is there afterwards is the old or the new,
 * whole. With syncs that do nothing some image must be wrong, or this finds nothing.
 */
#include "../unit/backup/fixture.h"

#include <time.h>

#include "lib/power.h"
#include "platform/fault.h"

#ifdef BELAY_FAULT_POINTS

POWER_SEES_SYNCS

static uint64_t seed;
enum { IMAGES = 200 };

typedef struct Case {
        const char *name;
        void (*before)(Fixture *f);
        bool (*work)(Fixture *f, Err *err);
        void (*looks[2])(Fixture *f); /* ways to recover; each fails the test or returns */
} Case;

static const char *live_db(const Fixture *f) { return f->contents[1].path; }

/* Without sidecars, so that looking at it leaves nothing behind. */
static void rows(const Fixture *f, const char *text) {
        sqlite3 *db = NULL;
        assert_int_equal(sqlite3_open(live_db(f), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make_and_spoil(Fixture *f) {
        fixture_add(f, CONTENT_PATH, "data", "data");
        fixture_add(f, CONTENT_SQLITE, "x.db", "x.db");
        scoped(free_str) char *sub = in_data(f, "sub");
        OK(dir_make(sub, err));
        put_text(f, "a", "old");
        put_text(f, "sub/b", "old");
        rows(f, "PRAGMA page_size=512; CREATE TABLE note (text TEXT); INSERT INTO note VALUES "
                "('a'), ('b')");
        free(whole_backup(f));
        put_text(f, "a", "new");
        put_text(f, "c", "new");
        scoped(free_str) char *gone = in_data(f, "sub/b");
        OK(file_unlink(gone, err));
        rows(f, "INSERT INTO note VALUES ('new')");
}

static bool restore_work(Fixture *f, Err *err) {
        RestoreRequest r = restore_of(f, "44");
        return restore_prepare(&r, err) && restore_swap(&r, err);
}

static bool undo_work(Fixture *f, Err *err) {
        RestoreRequest r = restore_of(f, "44");
        return restore_undo(&r, err) && restore_discard(&r, err);
}

static void undo_before(Fixture *f) {
        make_and_spoil(f);
        OK(restore_work(f, err));
}

static void is_old(Fixture *f) {
        scoped(free_str) char *c = in_data(f, "c");
        text_is(f, "a", "old");
        text_is(f, "sub/b", "old");
        assert_false(file_exists(c));
        assert_int_equal(sql_int(live_db(f), "SELECT count(*) FROM note"), 2);
}

static void is_new(Fixture *f) {
        scoped(free_str) char *gone = in_data(f, "sub/b");
        text_is(f, "a", "new");
        text_is(f, "c", "new");
        assert_false(file_exists(gone));
        assert_int_equal(sql_int(live_db(f), "SELECT count(*) FROM note"), 3);
}

static void finished(Fixture *f) {
        OK(restore_work(f, err));
        is_old(f);
        OK(restore_work(f, err)); /* once more does nothing */
        is_old(f);
}

static void taken_back(Fixture *f) {
        OK(undo_work(f, err));
        is_new(f);
}

static const Case cases[] = {
        {"restore", make_and_spoil, restore_work, {finished, taken_back}},
        {"undo", undo_before, undo_work, {taken_back, NULL}},
};

/* A process of its own, so that what fails in it is an answer. */
static bool holds(Fixture *f, void (*look)(Fixture *f), bool quiet) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                if (quiet) {
                        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
                        (void)dup2(null, STDERR_FILENO);
                        (void)dup2(null, STDOUT_FILENO);
                }
                look(f);
                _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        return status == 0;
}

typedef struct Found {
        unsigned long images, points, wrong;
} Found;

static void try_images(Power *power, Fixture *f, const Case *one, bool syncs_count, Found *found) {
        for (size_t point = 0; point < power_points(power); point++) {
                found->points++;
                for (unsigned i = 0; i < IMAGES; i++) {
                        if (!power_image(power, point, &seed, i, syncs_count))
                                continue;
                        found->images++;
                        void (*look)(Fixture *) =
                                one->looks[one->looks[1] ? power_random(&seed) % 2 : 0];
                        if (holds(f, look, !syncs_count))
                                continue;
                        found->wrong++;
                        if (!syncs_count)
                                return;
                        fail_msg("%s, %s: wrong at point %zu, image %u", one->name,
                                look == finished ? "finished" : "taken back", point, i);
                }
        }
}

static Found try_case(const Case *one, bool syncs_count) {
        Found found = {0};
        scoped(fixture_freep) Fixture *f = fixture_new();
        one->before(f);
        Power *power = power_record(f->root);
        power_inodes_in(power, "notes"); /* what is done already is seen by inode */
        OK(one->work(f, err));
        power_stop(power);
        try_images(power, f, one, syncs_count, &found);
        power_free(power);
        return found;
}

static void the_old_or_the_new(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                Found found = try_case(&cases[i], POWER_SYNCS_COUNT);
                print_message(
                        "figure: power lost at %lu points of %s: %lu different images of %d each\n",
                        found.points, cases[i].name, found.images, IMAGES);
                assert_true(found.points > 20 && found.images > found.points / 2);
        }
}

static void without_syncs_it_is_found(void **state) {
        (void)state;
        Found found = try_case(&cases[0], POWER_SYNCS_DO_NOTHING);
        if (!found.wrong)
                fail_msg("%lu images of syncs that do nothing, and none is wrong", found.images);
}

static int draw(void **state) {
        (void)state;
        const char *given = getenv("BELAY_SEED");
        seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        print_message("BELAY_SEED=%llu\n", (unsigned long long)seed);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_old_or_the_new),
                cmocka_unit_test(without_syncs_it_is_found),
        };
        return cmocka_run_group_tests(tests, draw, NULL);
}

#else

int main(void) { return 0; }

#endif
