/* Retention against a model: what must be kept is recomputed the slow way, over random histories. */
#include "fixture.h"

#include "platform/fault.h"

static unsigned seed = 20;
static unsigned pick(unsigned n) { return (unsigned)rand_r(&seed) % n; }

enum { MOST = 40 };
static const int64_t day = 24 * 3600 * 1000LL;

typedef struct History {
        BackupInfo items[MOST];
        BackupList list;
        char names[MOST][24];
} History;

static void make_history(History *h, int64_t now) {
        static char versions[][6] = {"1.0.0", "1.1.0", "1.2.0", "2.0.0"};
        memset(h, 0, sizeof(*h));
        h->list = (BackupList){h->items, pick(MOST)};
        int64_t at = now;
        for (size_t i = 0; i < h->list.n; i++) {
                at -= pick(3) * (int64_t)pick(4) * day / 3 + 1;
                snprintf(h->names[i], sizeof(h->names[i]), "n%zu", i);
                h->items[i] = (BackupInfo){
                        .id = h->names[i],
                        .name = h->names[i],
                        .version = versions[pick(4)],
                        .taken_ms = at,
                        .salvage = pick(8) == 0,
                        .damaged = pick(8) == 0,
                        .level = pick(5) ? 2 : (int)pick(2),
                };
        }
}

static bool proven(const BackupInfo *b) { return !b->salvage && !b->damaged && b->level >= 2; }

/* How many sound backups are newer: the slow way. */
static unsigned rank(const History *h, size_t at) {
        unsigned newer = 0;
        for (size_t i = 0; i < h->list.n; i++)
                newer += !h->items[i].salvage && !h->items[i].damaged &&
                         h->items[i].taken_ms > h->items[at].taken_ms;
        return newer;
}

static bool newest_proven_of(const History *h, size_t at, const char *version) {
        if (!version || !proven(&h->items[at]) || strcmp(h->items[at].version, version) != 0)
                return false;
        for (size_t i = 0; i < h->list.n; i++)
                if (proven(&h->items[i]) && strcmp(h->items[i].version, version) == 0 &&
                        h->items[i].taken_ms > h->items[at].taken_ms)
                        return false;
        return true;
}

static bool must_stay(const History *h, size_t at, const RetentionPolicy *p) {
        const BackupInfo *b = &h->items[at];
        if (p->pinned && strcmp(p->pinned[0], b->name) == 0)
                return true;
        if (b->salvage)
                return p->now_ms - b->taken_ms < SALVAGE_KEEP_DAYS * day;
        if (b->damaged)
                return true;
        return p->now_ms - b->taken_ms < p->days * day || rank(h, at) < p->last ||
               newest_proven_of(h, at, p->running_version) ||
               newest_proven_of(h, at, p->rollback_version);
}

static void the_decision_is_the_models(void **state) {
        (void)state;
        static History h;
        unsigned deleted = 0;
        for (unsigned round = 0; round < 10000; round++) {
                int64_t now = 1800000000000LL;
                bool gone[MOST];
                char *pins[] = {(char[]){"n3"}, NULL};
                make_history(&h, now);
                RetentionPolicy p = {.last = pick(6),
                        .days = pick(10),
                        .now_ms = now,
                        .running_version = pick(3) ? "1.2.0" : NULL,
                        .rollback_version = pick(3) ? "1.1.0" : NULL,
                        .pinned = pick(4) ? NULL : pins};
                scoped(err_clear) Err err = {0};
                bool ok = retention_decide(&h.list, &p, gone, &err);
                size_t n_proven = 0, n_left = 0;
                for (size_t i = 0; i < h.list.n; i++) {
                        n_proven += proven(&h.items[i]);
                        n_left += proven(&h.items[i]) && must_stay(&h, i, &p);
                }
                bool refused = (p.last == 0 && p.days == 0) || (n_proven > 0 && n_left == 0);
                assert_int_equal(ok, !refused);
                for (size_t i = 0; i < h.list.n; i++) {
                        assert_int_equal(gone[i], ok && !must_stay(&h, i, &p));
                        deleted += gone[i];
                }
        }
        assert_true(deleted > 10000);
}

static void a_backup_from_the_future_stops_it(void **state) {
        (void)state;
        int64_t now = 1800000000000LL;
        BackupInfo items[] = {
                {.id = (char[]){"a"},
                        .name = (char[]){"a"},
                        .version = (char[]){"1"},
                        .level = 2,
                        .taken_ms = now + 6 * 60 * 1000},
                {.id = (char[]){"b"},
                        .name = (char[]){"b"},
                        .version = (char[]){"1"},
                        .level = 2,
                        .taken_ms = now - 100 * day},
        };
        BackupList list = {items, 2};
        bool gone[2] = {true, true};
        RetentionPolicy p = {.last = 1, .days = 1, .now_ms = now};
        FAILS(ERR_REFUSED, retention_decide(&list, &p, gone, err));
        assert_false(gone[0] || gone[1]);
        items[0].taken_ms = now + 4 * 60 * 1000;
        OK(retention_decide(&list, &p, gone, err));
        assert_true(!gone[0] && gone[1]);
}

static void old_ones_go_new_ones_stay(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        char ids[4][33];
        for (int i = 0; i < 4; i++) {
                free(whole_backup(f));
                memcpy(ids[i], f->id, sizeof(ids[i]));
                clock_sleep_ms(5);
        }
        scoped(strv_freep) Strv names = NULL;
        RetentionPolicy p = {.last = 2, .days = 0, .now_ms = clock_wall_ms()};
        OK(retention_run(f->store, "notes", &p, true, &names, err));
        assert_int_equal(strv_count(names), 2);
        BackupList list = {0};
        OK(backup_list(f->store, "notes", &list, err));
        assert_int_equal(list.n, 4);
        backup_list_done(&list);
        OK(retention_run(f->store, "notes", &p, false, &names, err));
        OK(backup_list(f->store, "notes", &list, err));
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].id, ids[3]);
        assert_string_equal(list.items[1].id, ids[2]);
        backup_list_done(&list);
}

static void an_error_deletes_nothing(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *dir = path_join(f->store, "notes");
        OK(dir_make(f->store, err));
        put_file(dir, "not a directory", 15);
        RetentionPolicy p = {.last = 1, .days = 1, .now_ms = clock_wall_ms()};
        FAILS(ERR_IO, retention_run(f->store, "notes", &p, false, NULL, err));
}

/* A policy that is not followed, a removal that fails: said, and what was not reached stays. */
static void what_cannot_be_followed(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(strv_freep) Strv names = NULL;
        BackupList list = {0};
        fixture_add(f, CONTENT_PATH, "data", "data");
        for (int i = 0; i < 2; i++) {
                free(whole_backup(f));
                clock_sleep_ms(5);
        }
        RetentionPolicy p = {.last = 0, .days = 0, .now_ms = clock_wall_ms()};
        FAILS(ERR_REFUSED, retention_run(f->store, "notes", &p, false, &names, err));
        p.last = 1;
#ifdef BELAY_FAULT_POINTS
        fault_set("*:fails:1:EIO");
        FAILS(ERR_IO, retention_run(f->store, "notes", &p, false, &names, err));
        fault_set(NULL);
        assert_int_equal(strv_count(names), 0);
#endif
        OK(backup_list(f->store, "notes", &list, err));
        assert_int_equal(list.n, 2);
        char pinned_by_name[200];
        snprintf(pinned_by_name, sizeof(pinned_by_name), "%s", list.items[1].name);
        backup_list_done(&list);
        char *pinned[] = {pinned_by_name, NULL};
        p.pinned = pinned;
        OK(retention_run(f->store, "notes", &p, false, &names, err));
        assert_int_equal(strv_count(names), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_decision_is_the_models),
                cmocka_unit_test(a_backup_from_the_future_stops_it),
                cmocka_unit_test(old_ones_go_new_ones_stay),
                cmocka_unit_test(an_error_deletes_nothing),
                cmocka_unit_test(what_cannot_be_followed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
