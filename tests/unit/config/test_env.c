/* The env file in an update: applied, taken back, and what happens when a user edits it meanwhile. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "config/config.h"
#include "model/envfile.h"
#include "platform/fault.h"
#include "platform/file.h"

enum { POINTS_MAX = 16 }; /* more than apply and undo have */

typedef struct Place {
        char *dir, *env, *undo;
        State state;
        ConfigSpec spec;
        Pair set[2];
        SecretSpec secret;
        ConfigChange change;
        json_t *facts;
} Place;

static const char before_text[] = "# mine\nAPP_VERSION=1.0.0 # now\nOTHER='kept'\n";

static char *in_dir(const Place *place, const char *name) { return path_join(place->dir, name); }

static void write_text(const char *path, const char *text, mode_t mode) {
        scoped(err_clear) Err err = {0};
        if (!file_write_durable(path, text, strlen(text), mode, &err))
                fail_msg("%s", err.message);
}

static char *read_text(const char *path) {
        char *text = NULL;
        assert_true(file_read_if(path, 1 << 20, &text, NULL, NULL));
        return text;
}

static Place *place_new(const char *text) {
        char pattern[] = "/tmp/belay-config-XXXXXX";
        Place *place = NEW(Place);
        place->dir = str_copy(mkdtemp(pattern));
        place->env = in_dir(place, ".env");
        scoped(free_str) char *runs = in_dir(place, "state/runs");
        assert_true(dir_make(runs, NULL));
        place->undo = in_dir(place, "state/runs/env");
        place->state.root = in_dir(place, "state");
        if (text)
                write_text(place->env, text, 0640);
        place->set[0].name = str_copy("APP_VERSION");
        place->set[0].value = str_copy("2.0.0");
        place->set[1] = (Pair){str_copy("APP_TAG"), str_copy("v2 x")};
        place->secret = (SecretSpec){.key = str_copy("APP_KEY"), .bytes = 32, .as = SECRET_BASE64};
        place->spec = (ConfigSpec){.env_file = place->env,
                .set = place->set,
                .n_set = 2,
                .secrets = &place->secret,
                .n_secrets = 1};
        place->change = (ConfigChange){.spec = &place->spec,
                .directory = place->dir,
                .set = place->set,
                .n_set = 2,
                .from_version = "1.0.0",
                .state = &place->state,
                .service = "notes",
                .undo_path = place->undo};
        place->facts = json_object();
        return place;
}

static void place_done(Place *place) {
        tree_remove(place->dir, NULL);
        for (size_t i = 0; i < 2; i++) {
                free(place->set[i].name);
                free(place->set[i].value);
        }
        free(place->secret.key);
        free(place->dir);
        free(place->env);
        free(place->undo);
        free(place->state.root);
        json_decref(place->facts);
        free(place);
}

static void must(bool ok, Err *err) {
        if (!ok)
                fail_msg("%s", err->message);
}

static void prepare(Place *place) {
        scoped(err_clear) Err err = {0};
        json_object_clear(place->facts);
        must(config_prepare(&place->change, place->facts, &err), &err);
}

static void apply(Place *place) {
        scoped(err_clear) Err err = {0};
        must(config_apply(place->facts, &err), &err);
}

static bool undo(Place *place) {
        scoped(err_clear) Err err = {0};
        bool by_key = false;
        must(config_undo(place->facts, &by_key, &err), &err);
        return by_key;
}

static ConfigTruth truth(Place *place) {
        scoped(err_clear) Err err = {0};
        ConfigTruth is = CONFIG_UNKNOWN;
        must(config_observe(place->facts, &is, &err), &err);
        return is;
}

static char *value_now(Place *place, const char *key) {
        scoped(free_str) char *text = read_text(place->env);
        char *value = NULL;
        assert_true(envfile_get(text, key, &value, NULL));
        return value;
}

static void there_and_back(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        assert_int_equal(truth(place), CONFIG_NOT_APPLIED);
        apply(place);
        apply(place);
        assert_int_equal(truth(place), CONFIG_APPLIED);
        scoped(free_str) char *after = read_text(place->env);
        const char *head =
                "# mine\nAPP_VERSION=2.0.0 # now\nOTHER='kept'\nAPP_TAG='v2 x'\nAPP_KEY=";
        assert_memory_equal(after, head, strlen(head));
        assert_int_equal(strlen(after), strlen(head) + 44 + 1);
        struct stat st;
        assert_int_equal(stat(place->env, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        scoped(free_str) char *backup_path = in_dir(place, ".env.backup.1.0.0");
        scoped(free_str) char *backup = read_text(backup_path);
        assert_string_equal(backup, before_text);
        assert_false(undo(place));
        undo(place);
        assert_int_equal(truth(place), CONFIG_NOT_APPLIED);
        scoped(free_str) char *back = read_text(place->env);
        assert_string_equal(back, before_text);
        place_done(place);
}

static void facts_hold_no_value(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        apply(place);
        scoped(free_str) char *line = js_line(place->facts);
        scoped(free_str) char *secret = value_now(place, "APP_KEY");
        assert_null(strstr(line, secret));
        assert_null(strstr(line, "v2 x"));
        assert_non_null(strstr(line, "APP_KEY"));
        scoped(free_str) char *text = NULL;
        assert_true(config_explain(&place->change, &text, NULL));
        assert_string_equal(text, "nothing to change");
        place_done(place);
}

static void explains_by_name(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        scoped(free_str) char *text = NULL;
        assert_true(config_explain(&place->change, &text, NULL));
        assert_string_equal(text, "2 keys set (APP_VERSION, APP_TAG), 1 secret made (APP_KEY)");
        scoped(free_str) char *unchanged = read_text(place->env);
        assert_string_equal(unchanged, before_text);
        place_done(place);
}

static void secret_is_made_once(void **state) {
        (void)state;
        Place *place = place_new("APP_KEY=mine\n");
        prepare(place);
        apply(place);
        scoped(free_str) char *secret = value_now(place, "APP_KEY");
        assert_string_equal(secret, "mine");
        place_done(place);
}

static void secret_survives_a_second_prepare(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        apply(place);
        scoped(free_str) char *first = value_now(place, "APP_KEY");
        prepare(place);
        assert_int_equal(truth(place), CONFIG_APPLIED);
        apply(place);
        scoped(free_str) char *second = value_now(place, "APP_KEY");
        assert_string_equal(first, second);
        undo(place);
        scoped(free_str) char *back = read_text(place->env);
        assert_string_equal(back, before_text);
        place_done(place);
}

static void missing_file_is_made_and_unmade(void **state) {
        (void)state;
        Place *place = place_new(NULL);
        prepare(place);
        apply(place);
        struct stat st;
        assert_int_equal(stat(place->env, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        prepare(place);
        assert_false(js_bool(place->facts, "existed", true));
        undo(place);
        assert_false(file_exists(place->env));
        assert_int_equal(truth(place), CONFIG_NOT_APPLIED);
        place_done(place);
}

static void made_for_the_owner_of_the_directory(void **state) {
        (void)state;
        if (geteuid() != 0)
                skip();
        Place *place = place_new(NULL);
        assert_int_equal(chown(place->dir, 1234, 1235), 0);
        prepare(place);
        apply(place);
        struct stat st;
        assert_int_equal(stat(place->env, &st), 0);
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 1235);
        place_done(place);
}

static void edit_by_user_is_kept(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        apply(place);
        scoped(free_str) char *now = read_text(place->env);
        scoped(free_str) char *edited = NULL;
        assert_true(envfile_set(now, "OTHER", "changed by hand", &edited, NULL));
        write_text(place->env, edited, 0640);
        assert_int_equal(truth(place), CONFIG_PARTLY);
        assert_true(undo(place));
        scoped(free_str) char *back = read_text(place->env);
        assert_string_equal(back, "# mine\nAPP_VERSION=1.0.0 # now\nOTHER='changed by hand'\n");
        undo(place);
        scoped(free_str) char *again = read_text(place->env);
        assert_string_equal(back, again);
        place_done(place);
}

/* What a key meant before may be of several lines, in quotes: it comes back in its very bytes. */
static void value_of_several_lines_comes_back(void **state) {
        (void)state;
        static const char *const texts[] = {
                "APP_VERSION=\"1.0.0\nbuilt by hand\" # now\nOTHER='kept'\n",
                "APP_VERSION='1.0.0\nbuilt\nby hand'\nOTHER='kept'\n",
                "APP_VERSION=\"1.0.0\\nbuilt by hand\"\r\nOTHER='kept'\r\n",
                "APP_VERSION=\"1.0.0 \\\"x\\\" $HOME\"\nOTHER='kept'\n",
        };
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                Place *place = place_new(texts[i]);
                prepare(place);
                apply(place);
                scoped(free_str) char *now = read_text(place->env);
                scoped(free_str) char *edited = str_format("# a person's line\n%s", now);
                write_text(place->env, edited, 0640);
                assert_true(undo(place));
                scoped(free_str) char *back = read_text(place->env);
                scoped(free_str) char *wanted = str_format("# a person's line\n%s", texts[i]);
                assert_string_equal(back, wanted);
                place_done(place);
        }
}

static void edit_of_our_key_is_drift(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        apply(place);
        scoped(free_str) char *now = read_text(place->env);
        scoped(free_str) char *edited = NULL;
        assert_true(envfile_set(now, "APP_VERSION", "9.9.9", &edited, NULL));
        write_text(place->env, edited, 0640);
        assert_int_equal(truth(place), CONFIG_DRIFT);
        scoped(err_clear) Err err = {0};
        assert_false(config_undo(place->facts, NULL, &err));
        assert_int_equal(err.code, ERR_DRIFT);
        assert_non_null(strstr(err.message, "APP_VERSION"));
        assert_null(strstr(err.message, "9.9.9"));
        scoped(free_str) char *kept = read_text(place->env);
        assert_string_equal(kept, edited);
        place_done(place);
}

static void change_before_apply_is_drift(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        prepare(place);
        write_text(place->env, "A=1\n", 0640);
        scoped(err_clear) Err err = {0};
        assert_false(config_apply(place->facts, &err));
        assert_int_equal(err.code, ERR_DRIFT);
        scoped(free_str) char *kept = read_text(place->env);
        assert_string_equal(kept, "A=1\n");
        place_done(place);
}

static void one_run(Place *place, const char *undo_name, const char *version, const char *value) {
        free(place->undo);
        place->undo = in_dir(place, undo_name);
        place->change.undo_path = place->undo;
        place->change.from_version = version;
        str_replace_owned(&place->set[0].value, str_copy(value));
        prepare(place);
        apply(place);
}

static void backups_stay_until_the_next_success(void **state) {
        (void)state;
        Place *place = place_new(before_text);
        scoped(free_str) char *first = in_dir(place, ".env.backup.1.0.0");
        scoped(free_str) char *second = in_dir(place, ".env.backup.1.0.0.1");
        scoped(free_str) char *third = in_dir(place, ".env.backup.2.0.0");
        scoped(free_str) char *foreign = in_dir(place, ".env.backup.mine");
        write_text(foreign, "x", 0600);
        one_run(place, "state/runs/1", "1.0.0", "2.0.0");
        undo(place);
        write_text(place->env, "APP_VERSION=1.0.0\n", 0640);
        one_run(place, "state/runs/2", "1.0.0", "2.0.0");
        assert_true(file_exists(first));
        assert_true(file_exists(second));
        assert_true(config_cleanup(&place->state, "notes", place->facts, NULL));
        assert_false(file_exists(first));
        assert_true(file_exists(second));
        one_run(place, "state/runs/3", "2.0.0", "3.0.0");
        assert_true(config_cleanup(&place->state, "notes", place->facts, NULL));
        assert_true(config_cleanup(&place->state, "notes", place->facts, NULL));
        assert_false(file_exists(second));
        assert_true(file_exists(third));
        assert_true(file_exists(foreign));
        place_done(place);
}

static void bad_files_are_refused(void **state) {
        (void)state;
        static const char *const texts[] = {"A='x\n", "A=\"x\"y\n"};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                Place *place = place_new(texts[i]);
                scoped(err_clear) Err err = {0};
                assert_false(config_prepare(&place->change, place->facts, &err));
                assert_int_equal(err.code, ERR_REFUSED);
                place_done(place);
        }
        Place *place = place_new("A=1\n");
        int fd = open(place->env, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, "A=1\0B=2\n", 8), 8);
        close(fd);
        scoped(err_clear) Err err = {0};
        assert_false(config_prepare(&place->change, place->facts, &err));
        assert_int_equal(err.code, ERR_REFUSED);
        place_done(place);
}

/* Dies at every point of apply and of undo; afterwards the file is old or new, and finishing works. */
static unsigned sweep(Place *place, const char *action, bool undoing) {
        unsigned deaths = 0;
        for (unsigned n = 1; n <= POINTS_MAX; n++) {
                write_text(place->env, before_text, 0640);
                scoped(free_str) char *backup = in_dir(place, ".env.backup.1.0.0");
                unlink(place->undo);
                scoped(free_str) char *made = str_format("%s.new", place->undo);
                unlink(made);
                unlink(backup);
                prepare(place);
                if (undoing)
                        apply(place);
                pid_t pid = fork();
                if (pid == 0) {
                        scoped(free_str) char *rule = str_format("*:%s:%u", action, n);
                        fault_set(rule);
                        bool ok = undoing ? config_undo(place->facts, NULL, NULL)
                                          : config_apply(place->facts, NULL);
                        _exit(ok ? 0 : 1);
                }
                int status = 0;
                assert_int_equal(waitpid(pid, &status, 0), pid);
                ConfigTruth is = truth(place);
                assert_true(is == CONFIG_APPLIED || is == CONFIG_NOT_APPLIED);
                if (!undoing && n % 2 == 0) {
                        prepare(place);
                        apply(place);
                        assert_int_equal(truth(place), CONFIG_APPLIED);
                }
                undo(place);
                scoped(free_str) char *back = read_text(place->env);
                assert_string_equal(back, before_text);
                scoped(free_str) char *leftover = in_dir(place, "..env.belay-tmp");
                assert_false(file_exists(leftover));
                deaths += WIFSIGNALED(status);
        }
        return deaths;
}

static void survives_death_at_every_point(void **state) {
        (void)state;
        static const char *const actions[] = {"die", "after", "torn"};
        for (size_t i = 0; i < COUNT_OF(actions); i++) {
                Place *place = place_new(before_text);
                unsigned there = sweep(place, actions[i], false),
                         back = sweep(place, actions[i], true);
                print_message("%s: %u points of apply, %u of undo\n", actions[i], there, back);
                assert_in_range(there, 1, POINTS_MAX - 1);
                assert_in_range(back, 1, POINTS_MAX - 1);
                place_done(place);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(there_and_back),
                cmocka_unit_test(facts_hold_no_value),
                cmocka_unit_test(explains_by_name),
                cmocka_unit_test(secret_is_made_once),
                cmocka_unit_test(secret_survives_a_second_prepare),
                cmocka_unit_test(missing_file_is_made_and_unmade),
                cmocka_unit_test(made_for_the_owner_of_the_directory),
                cmocka_unit_test(edit_by_user_is_kept),
                cmocka_unit_test(value_of_several_lines_comes_back),
                cmocka_unit_test(edit_of_our_key_is_drift),
                cmocka_unit_test(change_before_apply_is_drift),
                cmocka_unit_test(backups_stay_until_the_next_success),
                cmocka_unit_test(bad_files_are_refused),
                cmocka_unit_test(survives_death_at_every_point),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
