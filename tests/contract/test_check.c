/* Checks against servers and programs that behave in every way there is (E-01 to E-15). */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "check/check.h"
#include "check/log_file.h"
#include "client/http.h"
#include "lib/test_server.h"
#include "platform/clock.h"
#include "platform/file.h"

/* For fields that own their text in a real Service. */
#define WORD(text) ((char *)(uintptr_t)(text))
#define OK         "HTTP/1.1 200 OK\r\n"

static char dir[] = "/tmp/belay-check-XXXXXX";
static char url_room[64];
static Service service = {.name = WORD("notes")};

static int set_up(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        service.directory = dir;
        return 0;
}

static int tear_down(void **state) {
        (void)state;
        test_servers_stop();
        return tree_remove(dir, NULL) ? 0 : -1;
}

static int stop_servers(void **state) {
        (void)state;
        test_servers_stop();
        return 0;
}

static char *url_of(unsigned port) {
        snprintf(url_room, sizeof(url_room), "http://127.0.0.1:%u/health", port);
        return url_room;
}

static CheckSpec http_check(unsigned port) {
        return (CheckSpec){
                .kind = CHECK_HTTP, .title = WORD("health"), .url = url_of(port), .within_ms = 400};
}

static CheckAnswer ask_with(const CheckSpec *check, CheckContext *context) {
        CheckAnswer answer;
        check_ask(check, context, &answer);
        assert_true(strlen(answer.evidence) <= CHECK_EVIDENCE_MAX);
        assert_true(answer.evidence[0] != '\0');
        return answer;
}

static CheckAnswer ask(const CheckSpec *check) {
        CheckContext context = {
                .service = &service, .values = {.version = "1.2.0", .tag = "v1.2.0"}};
        CheckAnswer answer = ask_with(check, &context);
        check_context_done(&context);
        return answer;
}

static HttpFailure failure_with(const char *url, const HttpRequest *like) {
        scoped(http_freep) Http *http = NULL;
        scoped(http_answer_done) HttpAnswer answer = {0};
        HttpRequest request = like ? *like : (HttpRequest){.timeout_ms = 400};
        assert_true(http_new(&http, NULL));
        request.url = url;
        http_ask(http, &request, &answer);
        assert_non_null(answer.body);
        assert_true((answer.failure == HTTP_ANSWERED) == (answer.why == NULL));
        return answer.failure;
}

static HttpFailure failure_of(unsigned port) { return failure_with(url_of(port), NULL); }

/* Every row: how the server behaves, what the client says, what the check says. */
static const struct {
        const char *name;
        TestBehaviour *behave;
        const char *context;
        HttpFailure failure;
        AnswerKind answer;
} rows[] = {
        {"E-01 reset after accept", reset_at_once, "", HTTP_CLOSED, ANSWER_NONE},
        {"E-01 closed after accept", close_at_once, "", HTTP_CLOSED, ANSWER_NONE},
        {"E-02 never answers", never_answer, "", HTTP_TIMEOUT, ANSWER_NONE},
        {"E-03 slow head", send_slowly, OK "X-Slow: ", HTTP_TIMEOUT, ANSWER_NONE},
        {"E-03 slow body", send_slowly, OK "\r\n", HTTP_TIMEOUT, ANSWER_NONE},
        {"E-04 10 GiB", send_without_end, OK "Content-Length: 10737418240\r\n\r\n|xxxxxxxx",
                HTTP_TOO_LARGE, ANSWER_PASS},
        {"E-04 chunks for ever", send_without_end,
                OK "Transfer-Encoding: chunked\r\n\r\n|8\r\nxxxxxxxx\r\n", HTTP_TOO_LARGE,
                ANSWER_PASS},
        {"E-04 length of 2^64", send_text, OK "Content-Length: 18446744073709551616\r\n\r\nok",
                HTTP_ANSWERED, ANSWER_PASS},
        {"E-05 redirect to a file", send_text,
                "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
                HTTP_ANSWERED, ANSWER_FAIL},
        {"E-06 204", send_text, "HTTP/1.1 204 No Content\r\n\r\n", HTTP_ANSWERED, ANSWER_FAIL},
        {"E-06 304", send_text, "HTTP/1.1 304 Not Modified\r\n\r\n", HTTP_ANSWERED, ANSWER_FAIL},
        {"E-06 401", send_text, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
                HTTP_ANSWERED, ANSWER_FAIL},
        {"E-06 500", send_text, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", HTTP_ANSWERED,
                ANSWER_FAIL},
        {"E-06 503", send_text, "HTTP/1.1 503 Wait\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                HTTP_ANSWERED, ANSWER_NONE},
        {"E-06 200, fine", send_text, OK "Content-Length: 2\r\n\r\nok", HTTP_ANSWERED, ANSWER_PASS},
        {"E-06 half a body", send_text, OK "Content-Length: 100\r\n\r\nok", HTTP_CLOSED,
                ANSWER_NONE},
        {"E-07 HTTP/0.9", send_text, "just text\n", HTTP_NOT_HTTP, ANSWER_FAIL},
        {"E-07 another protocol", send_text, "SSH-2.0-OpenSSH_9.2\r\n", HTTP_NOT_HTTP, ANSWER_FAIL},
        {"E-07 garbage status", send_text, "HTTP/1.1 abc\r\n\r\n", HTTP_NOT_HTTP, ANSWER_FAIL},
        {"E-07 bare line feeds", send_text, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
                HTTP_ANSWERED, ANSWER_PASS},
        {"E-07 a head without end", send_without_end, OK "|X-One: two three four\r\n",
                HTTP_TOO_LARGE, ANSWER_FAIL},
        {"E-07 one line without end", send_without_end, OK "X-Long: |aaaaaaaaaaaaaaaa",
                HTTP_TOO_LARGE, ANSWER_FAIL},
        {"E-07 100 for ever", send_without_end, "|HTTP/1.1 100 Continue\r\n\r\n", HTTP_TOO_LARGE,
                ANSWER_FAIL},
        {"E-08 compressed, unasked", send_text,
                OK "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01",
                HTTP_ANSWERED, ANSWER_PASS},
};

static void every_server(void **state) {
        (void)state;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                unsigned port = test_server(rows[i].behave, rows[i].context);
                HttpFailure failure = failure_of(port);
                if (failure != rows[i].failure)
                        fail_msg("%s: %s, expected %s", rows[i].name, http_failure_name(failure),
                                http_failure_name(rows[i].failure));
                CheckSpec check = http_check(port);
                CheckAnswer answer = ask(&check);
                if (answer.kind != rows[i].answer)
                        fail_msg("%s: %s (%s), expected %s", rows[i].name, answer_name(answer.kind),
                                answer.evidence, answer_name(rows[i].answer));
                test_servers_stop();
        }
}

static void refused(void **state) {
        (void)state;
        unsigned port = test_free_port();
        assert_int_equal(failure_of(port), HTTP_REFUSED);
        CheckSpec check = http_check(port);
        assert_int_equal(ask(&check).kind, ANSWER_NONE);
}

static void evidence_says_where_to(void **state) {
        (void)state;
        unsigned port = test_server(send_text,
                "HTTP/1.1 301 Moved\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n");
        CheckSpec check = http_check(port);
        assert_non_null(strstr(ask(&check).evidence, "a redirect to 'http://other/'"));
}

static void no_name(void **state) {
        (void)state;
        HttpFailure failure = failure_with("http://no-such-name.invalid/", NULL);
        assert_true(failure == HTTP_DNS || failure == HTTP_TIMEOUT);
}

static void tls(void **state) {
        (void)state;
        char url[64];
        snprintf(url, sizeof(url), "https://127.0.0.1:%u/",
                test_server(send_text, "HTTP/1.1 400 No\r\n\r\n"));
        assert_int_equal(failure_with(url, NULL), HTTP_TLS);
        snprintf(url, sizeof(url), "https://127.0.0.1:%u/", test_server(never_answer, ""));
        assert_int_equal(failure_with(url, NULL), HTTP_TIMEOUT);
}

static pid_t run(const char *const *words) {
        fflush(NULL);
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() == parent && freopen("/dev/null", "w", stdout) &&
                        freopen("/dev/null", "w", stderr))
                        execvp(words[0], (char *const *)(uintptr_t)words);
                _exit(127);
        }
        return pid;
}

/* E-10: a certificate that nobody vouches for. */
static void self_signed(void **state) {
        (void)state;
        scoped(free_str) char *key = path_join(dir, "key.pem"),
                              *certificate = path_join(dir, "certificate.pem");
        char port[8], url[64];
        int status = -1;
        snprintf(port, sizeof(port), "%u", test_free_port());
        snprintf(url, sizeof(url), "https://localhost:%s/", port);
        pid_t made = run((const char *const[]){"openssl", "req", "-x509", "-newkey", "ec",
                "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                "-keyout", key, "-out", certificate, NULL});
        assert_int_equal(waitpid(made, &status, 0), made);
        assert_int_equal(status, 0);
        pid_t server = run((const char *const[]){"openssl", "s_server", "-accept", port, "-key",
                key, "-cert", certificate, "-www", NULL});
        HttpFailure failure = HTTP_REFUSED;
        for (int i = 0; i < 500 && failure == HTTP_REFUSED; i++) {
                clock_sleep_ms(20);
                failure = failure_with(url, &(HttpRequest){.timeout_ms = 20000});
        }
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        assert_int_equal(failure, HTTP_TLS);
}

static void what_cannot_be_sent(void **state) {
        (void)state;
        static const char *const urls[] = {"file:///etc/passwd", "ftp://localhost/",
                "http://u:p@localhost/", "http:///x", "localhost", "http://local host/",
                "http://localhost:0/", "http://localhost:99999/", "", "http://[::1/",
                "gopher://localhost"};
        for (size_t i = 0; i < COUNT_OF(urls); i++)
                assert_int_equal(failure_with(urls[i], NULL), HTTP_BAD_REQUEST);
        HttpHeader split = {"X-One", "a\r\nX-Two: b"}, name = {"X One", "a"};
        unsigned port = test_server(send_text, OK "Content-Length: 0\r\n\r\n");
        HttpRequest request = {.headers = &split, .n_headers = 1};
        assert_int_equal(failure_with(url_of(port), &request), HTTP_BAD_REQUEST);
        request.headers = &name;
        assert_int_equal(failure_with(url_of(port), &request), HTTP_BAD_REQUEST);
        request = (HttpRequest){.method = "GET / HTTP/1.1\r\nX: y"};
        assert_int_equal(failure_with(url_of(port), &request), HTTP_BAD_REQUEST);
}

/* Sends the request back in the body. */
static void echo(int fd, const char *context) {
        (void)context;
        send_text(
                fd, OK "Content-Type: text/plain\r\nX-Version: 1.2.0\r\nConnection: close\r\n\r\n");
}

static void proxies_are_not_for_loopback(void **state) {
        (void)state;
        char proxy[64];
        snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", test_free_port());
        setenv("http_proxy", proxy, 1);
        setenv("all_proxy", proxy, 1);
        CheckSpec check = http_check(test_server(echo, ""));
        AnswerKind kind = ask(&check).kind;
        unsetenv("http_proxy");
        unsetenv("all_proxy");
        assert_int_equal(kind, ANSWER_PASS);
}

static volatile int *to_cancel;
static void request_cancel(int number) {
        (void)number;
        *to_cancel = 1;
}

static void cancel_soon(Cancel *cancel) {
        to_cancel = &cancel->requested;
        signal(SIGALRM, request_cancel);
        setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 100000}, NULL);
}

static void cancelled(void **state) {
        (void)state;
        Cancel cancel = {0};
        HttpRequest request = {.timeout_ms = 60000, .cancel = &cancel};
        unsigned port = test_server(never_answer, "");
        cancel_soon(&cancel);
        assert_int_equal(failure_with(url_of(port), &request), HTTP_CANCELLED);
}

/* E: what Belay cannot do is no fault of the service. */
static void out_of_descriptors(void **state) {
        (void)state;
        CheckSpec http = http_check(test_server(echo, ""));
        CheckSpec tcp = {.kind = CHECK_TCP, .host = WORD("127.0.0.1"), .port = 1, .within_ms = 300};
        CheckContext context = {.service = &service};
        assert_int_equal(ask_with(&http, &context).kind, ANSWER_PASS);
        struct rlimit before, none;
        getrlimit(RLIMIT_NOFILE, &before);
        none = (struct rlimit){3, before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
        CheckAnswer one = ask_with(&http, &context), other = ask_with(&tcp, &context);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(one.kind, ANSWER_ERROR);
        assert_int_equal(other.kind, ANSWER_ERROR);
        assert_int_equal(ask_with(&http, &context).kind, ANSWER_PASS);
        check_context_done(&context);
}

#define JSON_ANSWER(body) OK "Connection: close\r\n\r\n" body

/* E-14: the version, whatever JSON there is. */
static void json_fields(void **state) {
        (void)state;
        static char deep[5000] = OK "Connection: close\r\n\r\n";
        memset(deep + strlen(deep), '[', 4000);
        const struct {
                const char *body, *path, *expected;
                AnswerKind kind;
        } cases[] = {
                {JSON_ANSWER("{\"version\":\"1.2.0\"}"), ".version", "${version}", ANSWER_PASS},
                {JSON_ANSWER("{\"version\":\"v1.2.0\"}"), ".version", "${version}", ANSWER_PASS},
                {JSON_ANSWER("{\"version\":\"v1.2.0\"}"), ".version", "1.2.0", ANSWER_FAIL},
                {JSON_ANSWER("{\"version\":\"v1.2.0\"}"), ".version", "${tag}", ANSWER_PASS},
                {JSON_ANSWER("{\"version\":\"1.1.0\"}"), ".version", "${version}", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":{\"b\":[true,{\"c\":7}]}}"), ".a.b[0]", "true", ANSWER_PASS},
                {JSON_ANSWER("{\"a\":{\"b\":[true,{\"c\":7}]}}"), ".a.b[1].c", "7", ANSWER_PASS},
                {JSON_ANSWER("{\"a\":{\"b\":[true]}}"), ".a.b[1]", "7", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":{\"b\":[true]}}"), ".a.b", "true", ANSWER_FAIL},
                {JSON_ANSWER("\"fine\""), ".", "fine", ANSWER_PASS},
                {JSON_ANSWER("{\"a\":1,\"a\":2}"), ".a", "2", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":1e999}"), ".a", "1", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":99999999999999999999}"), ".a", "1", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":"), ".a", "1", ANSWER_FAIL},
                {JSON_ANSWER("<html>"), ".a", "1", ANSWER_FAIL},
                {JSON_ANSWER(""), ".a", "1", ANSWER_FAIL},
                {deep, ".a", "1", ANSWER_FAIL},
                {JSON_ANSWER("{\"a\":1,\"b\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]"
                             "]]]]]]]]}"),
                        ".a", "1", ANSWER_PASS},
                {JSON_ANSWER("{\"a\":1,\"b\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]"
                             "]]]]]]]]]]}"),
                        ".a", "1", ANSWER_FAIL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                Pair field = {WORD(cases[i].path), WORD(cases[i].expected)};
                CheckSpec check = http_check(test_server(send_text, cases[i].body));
                check.json = &field;
                check.n_json = 1;
                CheckAnswer answer = ask(&check);
                if (answer.kind != cases[i].kind)
                        fail_msg("case %zu: %s: %s", i, answer_name(answer.kind), answer.evidence);
                test_servers_stop();
        }
}

static void body_headers_protocol(void **state) {
        (void)state;
        Pair right = {WORD("x-version"), WORD("${version}")},
             wrong = {WORD("X-Version"), WORD("9")}, absent = {WORD("X-None"), WORD("9")};
        CheckSpec check = http_check(test_server(
                send_text, OK "X-Version: 1.2.0\r\nContent-Length: 11\r\n\r\nhello\0there"));
        check.expect_headers = &right;
        check.n_expect_headers = 1;
        check.protocol = WORD("http/1.1");
        assert_int_equal(ask(&check).kind, ANSWER_NONE); /* the text ends at its NUL: half a body */
        test_servers_stop();
        check = http_check(
                test_server(send_text, OK "X-Version: 1.2.0\r\nContent-Length: 5\r\n\r\nhello"));
        check.expect_headers = &right;
        check.n_expect_headers = 1;
        check.body = WORD("ell");
        check.protocol = WORD("1.1");
        assert_int_equal(ask(&check).kind, ANSWER_PASS);
        check.body = WORD("bye");
        assert_int_equal(ask(&check).kind, ANSWER_FAIL);
        check.body = NULL;
        check.expect_headers = &wrong;
        assert_int_equal(ask(&check).kind, ANSWER_FAIL);
        check.expect_headers = &absent;
        assert_int_equal(ask(&check).kind, ANSWER_FAIL);
        check.n_expect_headers = 0;
        check.protocol = WORD("h2");
        assert_int_not_equal(ask(&check).kind, ANSWER_PASS);
        check.protocol = NULL;
        check.status = 204;
        assert_int_equal(ask(&check).kind, ANSWER_FAIL);
}

/* Answers 200 only to the right token, and says the token in its answer otherwise. */
static void wants_token(int fd, const char *context) {
        (void)context;
        send_text(fd, "HTTP/1.1 302 No\r\nContent-Length: 0\r\nLocation: "
                      "http://x/?t=canary-7f3a\r\n\r\n");
}

static void secrets_stay_secret(void **state) {
        (void)state;
        char setting[] = "HEALTH_TOKEN=canary-7f3a";
        char *env[] = {setting, NULL}, canary[] = "canary-7f3a", *secrets[] = {canary, NULL};
        HeaderSpec header = {WORD("Authorization"), {VALUE_ENV, WORD("HEALTH_TOKEN")}};
        HeaderSpec missing = {WORD("Authorization"), {VALUE_ENV, WORD("BELAY_NO_SUCH_VARIABLE")}};
        CheckContext context = {.service = &service, .env = env, .secrets = secrets};
        CheckSpec check = http_check(test_server(wants_token, ""));
        check.headers = &header;
        check.n_headers = 1;
        CheckAnswer answer = ask_with(&check, &context);
        assert_int_equal(answer.kind, ANSWER_FAIL);
        assert_null(strstr(answer.evidence, "canary"));
        check.headers = &missing;
        answer = ask_with(&check, &context);
        assert_int_equal(answer.kind, ANSWER_ERROR);
        assert_non_null(strstr(answer.evidence, "BELAY_NO_SUCH_VARIABLE"));
        check_context_done(&context);
}

static void tcp(void **state) {
        (void)state;
        CheckSpec check = {.kind = CHECK_TCP,
                .host = WORD("localhost"),
                .port = test_server(never_answer, ""),
                .within_ms = 400};
        assert_int_equal(ask(&check).kind, ANSWER_PASS);
        check.port = test_free_port();
        assert_int_equal(ask(&check).kind, ANSWER_NONE);
        check.host = WORD("no-such-name.invalid");
        assert_int_equal(ask(&check).kind, ANSWER_ERROR);
}

static CheckAnswer run_script(const char *text, int64_t within_ms) {
        scoped(free_str) char *path = path_join(dir, "smoke.sh");
        char *words[] = {WORD("sh"), path, WORD("${version}"), NULL};
        CheckSpec check = {.kind = CHECK_COMMAND, .run = words, .within_ms = within_ms};
        assert_true(file_write_durable(path, text, strlen(text), 0755, NULL));
        return ask(&check);
}

/* E-15: commands that hang, fork, write without end, die. */
static void commands(void **state) {
        (void)state;
        assert_int_equal(
                run_script("test \"$1\" = 1.2.0 && test \"$BELAY_SERVICE\" = notes", 5000).kind,
                ANSWER_PASS);
        CheckAnswer answer = run_script("echo first; echo the reason >&2; exit 2", 5000);
        assert_int_equal(answer.kind, ANSWER_FAIL);
        assert_non_null(strstr(answer.evidence, "exited with 2"));
        assert_non_null(strstr(answer.evidence, "the reason"));
        assert_int_equal(run_script("exit 75", 5000).kind, ANSWER_NONE);
        assert_int_equal(run_script("kill -SEGV $$", 5000).kind, ANSWER_FAIL);
        assert_int_equal(run_script("sleep 1000", 300).kind, ANSWER_NONE);
        assert_int_equal(run_script("setsid sleep 1000 & exit 0", 5000).kind, ANSWER_PASS);
        assert_int_equal(run_script("head -c 40000000 /dev/zero; exit 0", 30000).kind, ANSWER_PASS);
        char *missing[] = {WORD("./no-such-program"), NULL};
        CheckSpec check = {.kind = CHECK_COMMAND, .run = missing, .within_ms = 1000};
        assert_int_equal(ask(&check).kind, ANSWER_ERROR);
}

static void append(const char *path, const char *text) {
        FILE *file = fopen(path, "a");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
}

static void log_lines(void **state) {
        (void)state;
        scoped(free_str) char *path = path_join(dir, "service.log");
        LogFile file = {.path = path};
        LogReader log = log_file_reader(&file);
        CheckContext context = {.service = &service, .log = &log, .values = {.version = "1.2.0"}};
        CheckSpec check = {
                .kind = CHECK_LOG, .expect = WORD("started ${version}"), .within_ms = 60000};
        append(path, "started 1.2.0\n");
        assert_true(log.end(log.context, &context.log_from, NULL));
        assert_int_equal(
                ask_with(&check, &context).kind, ANSWER_NONE); /* that line is from before */
        append(path, "now sta");
        assert_int_equal(ask_with(&check, &context).kind, ANSWER_NONE);
        append(path, "rted 1.2.0 again\n");
        assert_int_equal(ask_with(&check, &context).kind, ANSWER_PASS);
        assert_int_equal(ask_with(&check, &context).kind, ANSWER_PASS);
        check_context_done(&context);
        CheckSpec late = {.kind = CHECK_LOG, .expect = WORD("never written"), .within_ms = 1};
        assert_int_equal(ask_with(&late, &context).kind, ANSWER_NONE);
        clock_sleep_ms(5);
        assert_int_equal(ask_with(&late, &context).kind, ANSWER_FAIL);
        context.log = NULL;
        assert_int_equal(ask_with(&late, &context).kind, ANSWER_ERROR);
        check_context_done(&context);
}

static bool wait_for(
        CheckSpec *checks, size_t n, int64_t timeout_ms, bool now, ChecksOutcome *ret, Err *err) {
        CheckContext context = {.service = &service};
        ChecksWait wait = {.checks = checks,
                .n_checks = n,
                .context = &context,
                .timeout_ms = timeout_ms,
                .now = now};
        bool good = checks_wait(&wait, ret, err);
        check_context_done(&context);
        return good;
}

static void waits_until_ready(void **state) {
        (void)state;
        unsigned port = test_free_port(), other = test_server(echo, "");
        CheckSpec checks[] = {http_check(port),
                {.kind = CHECK_TCP, .host = WORD("127.0.0.1"), .port = other, .within_ms = 400}};
        checks[0].interval_ms = checks[1].interval_ms = 50;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
                usleep(300000);
                if (test_server_on(port, echo, "") != 0)
                        _exit(1);
                for (;;)
                        pause(); /* the server ends with it */
        }
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        scoped(err_clear) Err err = {0};
        bool good = wait_for(checks, 2, 20000, false, &outcome, &err);
        kill(pid, SIGKILL);
        if (!good)
                fail_msg("%s", err.message);
        assert_int_equal(outcome.verdict, VERDICT_PASS);
        assert_int_equal(outcome.n_results, 2);
        assert_true(outcome.results[0].first_answer_ms > 0);
        assert_true(outcome.results[0].asked > 2);
        scoped(js_freep) json_t *object = checks_outcome_to_json(&outcome);
        assert_string_equal(js_str(object, "verdict"), "pass");
        assert_int_equal(json_array_size(js_get(object, "checks")), 2);
}

static void fails_after_five(void **state) {
        (void)state;
        CheckSpec check =
                http_check(test_server(send_text, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
        check.interval_ms = 10;
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        scoped(err_clear) Err err = {0};
        assert_false(wait_for(&check, 1, 60000, false, &outcome, &err));
        assert_int_equal(err.code, ERR_ANSWER_NO);
        assert_int_equal(outcome.results[0].asked, 5);
        assert_non_null(strstr(err.message, "answered 500"));
}

static void time_is_over(void **state) {
        (void)state;
        CheckSpec check = http_check(test_free_port());
        check.interval_ms = 10;
        scoped(checks_outcome_done) ChecksOutcome outcome = {0}, second = {0};
        scoped(err_clear) Err err = {0};
        assert_false(wait_for(&check, 1, 200, false, &outcome, &err));
        assert_int_equal(err.code, ERR_ANSWER_NO);
        assert_non_null(strstr(err.message, "not ready after 0.2 s"));
        assert_false(wait_for(&check, 1, 60000, true, &second, &err));
        assert_true(second.results[0].asked <= 3);
}

static void could_not_ask(void **state) {
        (void)state;
        CheckSpec check = {
                .kind = CHECK_LOG, .title = WORD("log"), .expect = WORD("x"), .interval_ms = 10};
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        scoped(err_clear) Err err = {0};
        assert_false(wait_for(&check, 1, 100, false, &outcome, &err));
        assert_int_equal(err.code, ERR_INCONCLUSIVE);
        assert_int_equal(outcome.verdict, VERDICT_INCONCLUSIVE);
}

static bool dies_later(void *context, char **ret_why) {
        int *left = context;
        if ((*left)-- > 0)
                return true;
        *ret_why = str_copy("exited with status 3");
        return false;
}

static void process_gone(void **state) {
        (void)state;
        int left = 3;
        CheckSpec check = http_check(test_free_port());
        CheckContext context = {.service = &service};
        ChecksWait wait = {.checks = &check,
                .n_checks = 1,
                .context = &context,
                .timeout_ms = 60000,
                .alive = dies_later,
                .alive_context = &left};
        scoped(checks_outcome_done) ChecksOutcome outcome = {0}, settled = {0}, gone = {0};
        scoped(err_clear) Err err = {0};
        assert_false(checks_wait(&wait, &outcome, &err));
        assert_int_equal(err.code, ERR_ANSWER_NO);
        assert_string_equal(outcome.reason, "exited with status 3");
        wait.n_checks = 0;
        left = 1000;
        assert_true(checks_wait(&wait, &settled, &err));
        left = 2;
        assert_false(checks_wait(&wait, &gone, &err));
        check_context_done(&context);
}

static void waiting_is_cancelled(void **state) {
        (void)state;
        Cancel cancel = {0};
        CheckSpec check = http_check(test_free_port());
        CheckContext context = {.service = &service, .cancel = &cancel};
        ChecksWait wait = {
                .checks = &check, .n_checks = 1, .context = &context, .timeout_ms = 600000};
        scoped(checks_outcome_done) ChecksOutcome outcome = {0};
        scoped(err_clear) Err err = {0};
        cancel_soon(&cancel);
        assert_false(checks_wait(&wait, &outcome, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        check_context_done(&context);
}

static void ask_installed(const InstalledSpec *installed, const char *expected, ErrCode code) {
        CheckContext context = {.service = &service};
        scoped(free_str) char *version = NULL;
        scoped(err_clear) Err err = {0};
        bool good = installed_ask(installed, &context, &version, &err);
        check_context_done(&context);
        if (good != (code == ERR_NONE))
                fail_msg("%s", good ? version : err.message);
        if (good)
                assert_string_equal(version, expected);
        else
                assert_int_equal(err.code, code);
}

static void installed(void **state) {
        (void)state;
        InstalledSpec http = {.http = url_of(test_server(
                                      send_text, JSON_ANSWER("{\"v\":{\"now\":\" v1.2.0 \"}}"))),
                .json = WORD(".v.now")};
        ask_installed(&http, "v1.2.0", ERR_NONE);
        http.json = WORD(".v.then");
        ask_installed(&http, NULL, ERR_ANSWER_NO);
        http.json = NULL;
        ask_installed(&http, NULL, ERR_ANSWER_NO);
        http.http = url_of(test_server(send_text, JSON_ANSWER("1.3.0\n")));
        ask_installed(&http, "1.3.0", ERR_NONE);
        http.http = url_of(test_server(send_text, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
        ask_installed(&http, NULL, ERR_REMOTE);
        http.http = url_of(test_free_port());
        ask_installed(&http, NULL, ERR_REMOTE);
        char *words[] = {WORD("echo"), WORD("1.4.0"), NULL}, *bad[] = {WORD("false"), NULL};
        ask_installed(&(InstalledSpec){.command = words}, "1.4.0", ERR_NONE);
        ask_installed(&(InstalledSpec){.command = bad}, NULL, ERR_REMOTE);
        scoped(free_str) char *path = path_join(dir, "VERSION");
        append(path, "1.5.0\n");
        ask_installed(&(InstalledSpec){.file = WORD("VERSION")}, "1.5.0", ERR_NONE);
        ask_installed(&(InstalledSpec){.file = WORD("NONE")}, NULL, ERR_UNKNOWN);
        append(path, "and more words\n");
        ask_installed(&(InstalledSpec){.file = WORD("VERSION")}, NULL, ERR_ANSWER_NO);
        assert_false(installed_can(&(InstalledSpec){0}));
        ask_installed(&(InstalledSpec){0}, NULL, ERR_USAGE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(every_server, stop_servers),
                cmocka_unit_test(refused),
                cmocka_unit_test_teardown(evidence_says_where_to, stop_servers),
                cmocka_unit_test(no_name),
                cmocka_unit_test_teardown(tls, stop_servers),
                cmocka_unit_test(self_signed),
                cmocka_unit_test_teardown(what_cannot_be_sent, stop_servers),
                cmocka_unit_test_teardown(proxies_are_not_for_loopback, stop_servers),
                cmocka_unit_test_teardown(cancelled, stop_servers),
                cmocka_unit_test_teardown(out_of_descriptors, stop_servers),
                cmocka_unit_test_teardown(json_fields, stop_servers),
                cmocka_unit_test_teardown(body_headers_protocol, stop_servers),
                cmocka_unit_test_teardown(secrets_stay_secret, stop_servers),
                cmocka_unit_test_teardown(tcp, stop_servers),
                cmocka_unit_test(commands),
                cmocka_unit_test(log_lines),
                cmocka_unit_test_teardown(waits_until_ready, stop_servers),
                cmocka_unit_test_teardown(fails_after_five, stop_servers),
                cmocka_unit_test(time_is_over),
                cmocka_unit_test(could_not_ask),
                cmocka_unit_test(process_gone),
                cmocka_unit_test(waiting_is_cancelled),
                cmocka_unit_test_teardown(installed, stop_servers),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
