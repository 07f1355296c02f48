/*
 * Archives and lists of files as an attacker would write them (research rows T01 to T22). The reader takes its own
 * dialect and nothing else; a set with one bad entry is refused whole, with nothing live touched.
 */
#include "../unit/backup/fixture.h"

#include <dirent.h>

/* -- the reader alone -- */

static bool read_all(const char *path, Err *err) {
        scoped(zreader_freep) ZReader *in = NULL;
        StreamSum sum;
        if (!zreader_open(path, false, INT64_MAX, &in, err))
                return false;
        TarReader tar = {.in = in};
        for (;;) {
                scoped(file_entry_done) FileEntry entry = {0};
                scoped(segment_map_done) SegmentMap map = {0};
                bool end = false;
                if (!tar_get(&tar, &entry, &map, &end, err))
                        return false;
                if (end)
                        return zreader_end(in, &sum, err);
                assert_true(strcmp(entry.path, ".") == 0 || file_path_ok(entry.path));
        }
}

static char *hostile_dir(const Fixture *f) {
        char *dir = path_join(f->root, "archives");
        static const char from_root[] = "tests/contract/data/hostile_archives.py";
        scoped(free_str) char *here = path_dirname(__FILE__);
        scoped(free_str) char *script = file_exists(from_root)
                                                ? str_copy(from_root)
                                                : path_join(here, "data/hostile_archives.py");
        char *argv[] = {(char[]){"/usr/bin/python3"}, script, dir, NULL};
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(run_program(NULL, argv), 0);
        return dir;
}

static void archives_of_other_dialects_are_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *dir = hostile_dir(f);
        struct dirent **names = NULL;
        int n = scandir(dir, &names, NULL, alphasort);
        unsigned good = 0, bad = 0;
        for (int i = 0; i < n; i++) {
                scoped(err_clear) Err err = {0};
                scoped(free_str) char *path = path_join(dir, names[i]->d_name);
                if (names[i]->d_name[0] != '.') {
                        bool wanted = str_starts(names[i]->d_name, "ok-");
                        if (read_all(path, &err) != wanted)
                                fail_msg("%s: %s", names[i]->d_name,
                                        wanted ? err.message : "was accepted");
                        if (!wanted && err.code != ERR_CORRUPT)
                                fail_msg("%s: %s", names[i]->d_name, err.message);
                        *(wanted ? &good : &bad) += 1;
                }
                free(names[i]);
        }
        free(names);
        assert_true(good > 8 && bad > 90);
        printf("%u good, %u bad\n", good, bad);
}

/* -- whole sets, by somebody who can write all of it, sums included -- */

typedef struct Case {
        const char *what;
        FileEntry entries[6]; /* of the archive */
        FileEntry list[6];    /* of the list; empty: the same */
} Case;

#define DIR_ENTRY(p)                                                                               \
        { .path = (char *)(uintptr_t)(p), .type = FILE_DIRECTORY, .mode = 0755 }
#define FILE_ENTRY(p)                                                                              \
        { .path = (char *)(uintptr_t)(p), .type = FILE_REGULAR, .mode = 0644 }
#define LINK_ENTRY(p, l)                                                                           \
        {                                                                                          \
                .path = (char *)(uintptr_t)(p), .type = FILE_SYMLINK, .mode = 0777,                \
                .link = (char *)(uintptr_t)(l)                                                     \
        }
#define HARD_ENTRY(p, l)                                                                           \
        {                                                                                          \
                .path = (char *)(uintptr_t)(p), .type = FILE_HARDLINK, .mode = 0644,               \
                .link = (char *)(uintptr_t)(l)                                                     \
        }

static const Case cases[] = {
        {"a file below a link",
                {DIR_ENTRY("."), LINK_ENTRY("evil", "/tmp"), FILE_ENTRY("evil/planted")}, {{0}}},
        {"a file below a file", {DIR_ENTRY("."), FILE_ENTRY("a"), FILE_ENTRY("a/b")}, {{0}}},
        {"a file whose directory is not there", {DIR_ENTRY("."), FILE_ENTRY("d/b")}, {{0}}},
        {"a hard link to a link",
                {DIR_ENTRY("."), LINK_ENTRY("a", "/etc/passwd"), HARD_ENTRY("b", "a")}, {{0}}},
        {"a hard link to nothing", {DIR_ENTRY("."), HARD_ENTRY("b", "none")}, {{0}}},
        {"a hard link to itself", {DIR_ENTRY("."), HARD_ENTRY("b", "b")}, {{0}}},
        {"a file twice", {DIR_ENTRY("."), FILE_ENTRY("a"), FILE_ENTRY("a")},
                {DIR_ENTRY("."), FILE_ENTRY("a")}},
        {"a directory, then a link of its name",
                {DIR_ENTRY("."), DIR_ENTRY("d"), LINK_ENTRY("d", "/etc")},
                {DIR_ENTRY("."), DIR_ENTRY("d")}},
        {"a file that the list lacks", {DIR_ENTRY("."), FILE_ENTRY("a"), FILE_ENTRY("b")},
                {DIR_ENTRY("."), FILE_ENTRY("a")}},
        {"a file that the archive lacks", {DIR_ENTRY("."), FILE_ENTRY("a")},
                {DIR_ENTRY("."), FILE_ENTRY("a"), FILE_ENTRY("b")}},
        {"a list out of order", {DIR_ENTRY("."), FILE_ENTRY("a"), FILE_ENTRY("b")},
                {FILE_ENTRY("b"), FILE_ENTRY("a"), DIR_ENTRY(".")}},
        {"another type", {DIR_ENTRY("."), FILE_ENTRY("a")}, {DIR_ENTRY("."), LINK_ENTRY("a", "x")}},
        {"another mode", {DIR_ENTRY("."), FILE_ENTRY("a")},
                {DIR_ENTRY((char[]){"."}),
                        {.path = (char[]){"a"}, .type = FILE_REGULAR, .mode = 04755}}},
        {"another owner", {DIR_ENTRY("."), FILE_ENTRY("a")},
                {DIR_ENTRY((char[]){"."}),
                        {.path = (char[]){"a"}, .type = FILE_REGULAR, .mode = 0644, .uid = 7}}},
        {"another sum", {DIR_ENTRY("."), FILE_ENTRY("a")},
                {DIR_ENTRY((char[]){"."}), {.path = (char[]){"a"},
                                                   .type = FILE_REGULAR,
                                                   .mode = 0644,
                                                   .sha256 = {1}}}},
        {"another size", {DIR_ENTRY("."), FILE_ENTRY("a")},
                {DIR_ENTRY((char[]){"."}),
                        {.path = (char[]){"a"}, .type = FILE_REGULAR, .mode = 0644, .size = 5}}},
        {"no root", {FILE_ENTRY("a")}, {{0}}},
        {"a name that leads out", {DIR_ENTRY(".")}, {DIR_ENTRY("."), FILE_ENTRY("../../planted")}},
        {"an absolute name", {DIR_ENTRY(".")}, {DIR_ENTRY("."), FILE_ENTRY("/tmp/planted")}},
        {"a link with an empty target", {DIR_ENTRY("."), LINK_ENTRY("a", "")}, {{0}}},
};

static size_t count(const FileEntry *entries) {
        size_t n = 0;
        while (n < 6 && entries[n].path)
                n++;
        return n;
}

static FileEntry copy_of(const FileEntry *from, bool fresh_sum) {
        static const char nothing[] =
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        FileEntry to = *from;
        to.path = str_copy(from->path);
        to.link = str_copy(from->link);
        if (fresh_sum && to.type == FILE_REGULAR && to.sha256[0] == 0)
                assert_true(hex_to_bytes(nothing, to.sha256, sizeof(to.sha256)));
        return to;
}

/* Rewrites a published backup so that everything but the case itself is in order. */
static void forge(const char *dir, const Case *c) {
        scoped(set_done) Set set = {0};
        scoped(zwriter_freep) ZWriter *w = NULL;
        OK(set_load(dir, &set, err));
        OK(set_load_files(&set, err));
        scoped(free_str) char *path = set_path(&set, "path-data.tar.zst");
        OK(file_unlink(path, err));
        OK(zwriter_open(path, true, &w, err));
        TarWriter tar = {.out = w};
        for (size_t i = 0; i < count(c->entries); i++) {
                OK(tar_put(&tar, &c->entries[i], NULL, err));
                OK(tar_put_end(&tar, err));
        }
        OK(tar_finish(&tar, err));
        OK(put_stream_object(&set, "path-data.tar.zst", OBJECT_PATHS, "data", w, err));
        file_list_done(&set.items[0].list);
        const FileEntry *list = count(c->list) ? c->list : c->entries;
        for (size_t i = 0; i < count(list); i++) {
                FileEntry entry = copy_of(&list[i], true);
                file_list_push(&set.items[0].list, &entry);
        }
        OK(set_write_files(&set, FILES_NAME, false, err));
        OK(set_save(&set, err));
}

static void hostile_sets_are_refused_whole(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(fixture_freep) Fixture *f = fixture_new();
                scoped(err_clear) Err why = {0};
                fixture_add(f, CONTENT_PATH, "data", "data");
                put_text(f, "live", "live");
                scoped(free_str) char *dir = whole_backup(f);
                scoped(free_str) char *before = tree_text(f->data);
                forge(dir, &cases[i]);
                RestoreRequest r = restore_of(f, "44");
                if (restore_prepare(&r, &why))
                        fail_msg("%s: was accepted", cases[i].what);
                FAILS(ERR_BUG, restore_swap(&r, err));
                OK(restore_discard(&r, err));
                scoped(free_str) char *after = tree_text(f->data);
                assert_string_equal(before, after);
                assert_false(file_exists("/tmp/planted"));
                scoped(free_str) char *srv = path_join(f->root, "srv");
                char *argv[] = {
                        (char[]){"sh"}, (char[]){"-c"}, (char[]){"test \"$(ls -A)\" = data"}, NULL};
                assert_int_equal(run_program(srv, argv), 0);
                if (why.code != ERR_CORRUPT && why.code != ERR_IO)
                        fail_msg("%s: %s", cases[i].what, why.message);
        }
}

/* The forging itself is sound: without a case's fault the set is accepted. */
static void a_forged_good_set_is_accepted(void **state) {
        (void)state;
        static const Case good = {
                "good", {DIR_ENTRY("."), FILE_ENTRY("a"), LINK_ENTRY("b", "/etc/passwd")}, {{0}}};
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *dir = whole_backup(f);
        forge(dir, &good);
        restore_all(f);
        scoped(free_str) char *link = in_data(f, "b");
        char target[64];
        assert_int_equal(readlink(link, target, sizeof(target)), 11);
}

/* -- T18: compressed streams -- */

static void broken_streams_are_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        scoped(free_str) char *path = path_join(f->root, "z");
        char *bomb[] = {(char[]){"sh"}, (char[]){"-c"},
                (char[]){"head -c 300000000 /dev/zero | zstd -q -o z"}, NULL};
        char *window[] = {(char[]){"sh"}, (char[]){"-c"},
                (char[]){"rm -f z; head -c 70000000 /dev/urandom | zstd -q -1 --long=27 -o z"},
                NULL};
        scoped(free_str) char *buffer = mem_new(1 << 20, 1);
        for (int i = 0; i < 2; i++) {
                scoped(zreader_freep) ZReader *r = NULL;
                scoped(err_clear) Err why = {0};
                size_t got = 1;
                bool ok = true;
                assert_int_equal(run_program(f->root, i == 0 ? bomb : window), 0);
                OK(zreader_open(path, true, i == 0 ? 1 << 20 : 1 << 30, &r, err));
                while (ok && got > 0)
                        ok = zreader_get(r, buffer, 1 << 20, &got, &why);
                assert_false(ok);
                assert_int_equal(why.code, ERR_CORRUPT);
        }
}

/* T22 */
static void a_newer_format_is_refused(void **state) {
        (void)state;
        scoped(fixture_freep) Fixture *f = fixture_new();
        fixture_add(f, CONTENT_PATH, "data", "data");
        scoped(free_str) char *dir = whole_backup(f);
        char *argv[] = {(char[]){"sed"}, (char[]){"-i"}, (char[]){"s/\"format\": 1/\"format\": 2/"},
                (char[]){"MANIFEST.json"}, NULL};
        assert_int_equal(run_program(dir, argv), 0);
        FAILS(ERR_REFUSED, backup_verify(dir, 2, NULL, err));
        RestoreRequest r = restore_of(f, "44");
        FAILS(ERR_REFUSED, restore_prepare(&r, err));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(archives_of_other_dialects_are_refused),
                cmocka_unit_test(hostile_sets_are_refused_whole),
                cmocka_unit_test(a_forged_good_set_is_accepted),
                cmocka_unit_test(broken_streams_are_refused),
                cmocka_unit_test(a_newer_format_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
