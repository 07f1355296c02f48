/* The watch on a real server, a real log and a process that is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "check/log_file.h"
#include "check/monitor.h"
#include "lib/test_server.h"
#include "platform/clock.h"
#include "platform/file.h"

#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define BAD  "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"

static char dir[] = "/tmp/belay-monitor-XXXXXX";
static char *log_path;
static char url[64], title[] = "health", expected[] = "never written";

static int set_up(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        log_path = path_join(dir, "service.log");
        return 0;
}

static int stop(void **state) {
        (void)state;
        test_servers_stop();
        return file_unlink(log_path, NULL) ? 0 : -1;
}

static int tear_down(void **state) {
        (void)state;
        free(log_path);
        return tree_remove(dir, NULL) ? 0 : -1;
}

static void append(const char *text) {
        FILE *file = fopen(log_path, "a");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

typedef struct Played {
        int64_t began_ms;
        int64_t dies_after_ms, writes_after_ms; /* 0: never */
        const char *writes;
        bool written;
        int shown;
} Played;

static bool play(void *context, ProcessSample *ret, Err *err) {
        (void)err;
        Played *played = context;
        int64_t passed = clock_now_ms() - played->began_ms;
        *ret = (ProcessSample){.running = true, .memory_bytes = 1000, .cpu_ms = 1};
        if (played->dies_after_ms && passed > played->dies_after_ms) {
                ret->running = false;
                ret->gone = str_copy("exited with status 9");
        }
        if (played->writes && !played->written && passed > played->writes_after_ms) {
                played->written = true;
                append(played->writes);
        }
        return true;
}

static void show(void *context, int64_t left_ms, const char *text) {
        Played *played = context;
        assert_true(left_ms >= 0 && text);
        played->shown++;
}

typedef struct Watched {
        MonitorResult result;
        Err err;
        bool good;
} Watched;

static void watched_done(Watched *watched) {
        monitor_result_done(&watched->result);
        err_clear(&watched->err);
}

static Watched watch(
        const MonitorSpec *spec, const char *answer, Played *played, const Cancel *cancel) {
        LogFile file = {.path = log_path};
        LogReader log = log_file_reader(&file);
        CheckSpec checks[] = {{.kind = CHECK_HTTP, .title = title, .url = url, .within_ms = 400},
                {.kind = CHECK_LOG, .title = title, .expect = expected}};
        CheckContext context = {.log = &log, .cancel = cancel};
        MonitorBaseline baseline;
        Watched ret = {0};
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/health",
                answer ? test_server(send_text, answer) : test_free_port());
        MonitorWatch what = {.spec = spec, .checks = checks, .n_checks = 2, .context = &context};
        append("an old line\n");
        monitor_baseline_take(&what, &baseline);
        assert_true(baseline.known && baseline.log_known);
        assert_int_equal(baseline.n_kinds, 1);
        assert_int_equal(baseline.latency_ms > 0, answer && strstr(answer, "200") ? 1 : 0);
        what.baseline = &baseline;
        assert_true(log.end(log.context, &what.log_from, NULL));
        played->began_ms = clock_now_ms();
        what.process = play;
        what.process_context = played;
        what.progress = show;
        what.progress_context = played;
        ret.good = monitor_watch(&what, &ret.result, &ret.err);
        monitor_baseline_done(&baseline);
        check_context_done(&context);
        return ret;
}

static void healthy(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 600, .every_ms = 100, .log_defaults = true};
        Played played = {0};
        scoped(watched_done) Watched watched = watch(&spec, GOOD, &played, NULL);
        assert_true(watched.good);
        assert_int_equal(watched.result.verdict, MONITOR_HEALTHY);
        assert_true(watched.result.answers >= 2); /* the log check is left out */
        assert_true(watched.result.watched_ms >= 600);
        assert_true(played.shown >= 2);
        scoped(js_freep) json_t *object = monitor_result_to_json(&watched.result);
        assert_string_equal(js_str(object, "verdict"), "healthy");
}

static void asked_once_at_the_end(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 150, .every_ms = 60000, .log_defaults = true};
        Played played = {0};
        scoped(watched_done) Watched watched = watch(&spec, GOOD, &played, NULL);
        assert_int_equal(watched.result.answers, 1);
        assert_int_equal(watched.result.verdict, MONITOR_HEALTHY);
}

/* One bad answer at the end is neither right nor a failure: it is asked on until it is one of them. */
static void goes_on_until_it_is_clear(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 100, .every_ms = 50, .log_defaults = true};
        Played played = {0};
        scoped(watched_done) Watched watched = watch(&spec, BAD, &played, NULL);
        assert_true(watched.good);
        assert_int_equal(watched.result.verdict, MONITOR_ROLL_BACK);
        assert_int_equal(watched.result.answers, 3);
        assert_non_null(strstr(watched.result.reason, "3 times in a row"));
}

static void no_answer_ends_it_early(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 3600000, .every_ms = 50, .log_defaults = true};
        Played played = {0};
        scoped(watched_done) Watched watched = watch(&spec, NULL, &played, NULL);
        assert_int_equal(watched.result.verdict, MONITOR_ROLL_BACK);
}

static void death_ends_it_early(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 3600000, .every_ms = 3600000, .log_defaults = true};
        Played played = {.dies_after_ms = 200};
        scoped(watched_done) Watched watched = watch(&spec, GOOD, &played, NULL);
        assert_int_equal(watched.result.verdict, MONITOR_ROLL_BACK);
        assert_string_equal(watched.result.reason, "exited with status 9");
        assert_int_equal(watched.result.answers, 0);
}

static void a_red_flag_ends_it_early(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 3600000, .every_ms = 3600000, .log_defaults = true};
        Played played = {.writes = "old rubbish\nmigration failed: tags\n", .writes_after_ms = 100};
        scoped(watched_done) Watched watched = watch(&spec, GOOD, &played, NULL);
        assert_int_equal(watched.result.verdict, MONITOR_ROLL_BACK);
        assert_non_null(strstr(watched.result.reason, "migration failed: tags"));
}

static void for_no_time(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 0, .every_ms = 10000, .log_defaults = true};
        Played played = {0}, dead = {.dies_after_ms = -1};
        scoped(watched_done) Watched watched = watch(&spec, BAD, &played, NULL);
        assert_true(watched.good);
        assert_int_equal(watched.result.verdict, MONITOR_HEALTHY);
        assert_int_equal(watched.result.answers, 0);
        scoped(watched_done) Watched other = watch(&spec, GOOD, &dead, NULL);
        assert_int_equal(other.result.verdict, MONITOR_ROLL_BACK);
}

static void cancelled(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 3600000, .every_ms = 100};
        Played played = {0};
        Cancel cancel = {.requested = 1};
        scoped(watched_done) Watched watched = watch(&spec, BAD, &played, &cancel);
        assert_false(watched.good);
        assert_int_equal(watched.err.code, ERR_CANCELLED);
}

static void outside(void **state) {
        (void)state;
        char far_url[64];
        MonitorSpec spec = {
                .for_ms = 100, .every_ms = 30, .outside_url = far_url, .outside_every_ms = 3600000};
        Played played = {0};
        snprintf(far_url, sizeof(far_url), "http://127.0.0.1:%u/",
                test_server(send_text, "HTTP/1.1 302 F\r\n\r\n"));
        scoped(watched_done) Watched fine = watch(&spec, GOOD, &played, NULL);
        assert_int_equal(fine.result.verdict, MONITOR_HEALTHY);
        snprintf(far_url, sizeof(far_url), "http://127.0.0.1:%u/", test_free_port());
        scoped(watched_done) Watched before = watch(&spec, GOOD, &played, NULL);
        assert_int_equal(before.result.verdict, MONITOR_INVESTIGATE); /* it was so before */
}

static void the_log_cannot_be_read(void **state) {
        (void)state;
        MonitorSpec spec = {.for_ms = 0, .log_defaults = true};
        LogFile file = {.path = dir};
        LogReader log = log_file_reader(&file);
        CheckContext context = {.log = &log};
        MonitorWatch what = {.spec = &spec, .context = &context};
        scoped(monitor_result_done) MonitorResult result = {0};
        assert_true(monitor_watch(&what, &result, NULL));
        assert_int_equal(result.verdict, MONITOR_INVESTIGATE);
        check_context_done(&context);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(healthy, stop),
                cmocka_unit_test_teardown(asked_once_at_the_end, stop),
                cmocka_unit_test_teardown(goes_on_until_it_is_clear, stop),
                cmocka_unit_test_teardown(no_answer_ends_it_early, stop),
                cmocka_unit_test_teardown(death_ends_it_early, stop),
                cmocka_unit_test_teardown(a_red_flag_ends_it_early, stop),
                cmocka_unit_test_teardown(for_no_time, stop),
                cmocka_unit_test_teardown(cancelled, stop),
                cmocka_unit_test_teardown(outside, stop),
                cmocka_unit_test_teardown(the_log_cannot_be_read, stop),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
