/*
 * noted: a small web service with a SQLite database, for tests that start and stop it thousands of
 * times. It listens on loopback, answers one request at a time, and starts within 10 ms.
 *
 *     noted --port P --db PATH [--version V] [--journal wal|delete] [--log]
 *
 *     POST /rows/N   inserts row N; 201 with its version when that is on disk (again: 201 too)
 *     GET  /rows     {"rows":[1,2,...]}
 *     GET  /health   {"status":"ok","version":"1.0.0","rows":2}, or 500
 *
 * The version is the first line of ./VERSION, so that a git checkout decides it. The words in
 * ./behaviour, read at the start, make a bad release of it; SECONDS may have decimals:
 *     bad-health  bad-later:SECONDS  drop-rows[:SECONDS]  change-schema  ignore-term  fork-child
 *     refuse-start  crash-later:SECONDS  slow-start:SECONDS
 * SIGTERM: the request under way is answered, then it exits with 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 4096, REQUEST_WAIT_MS = 2000, TICK_MS = 50 };

typedef struct Noted {
        sqlite3 *db;
        char version[64];
        char behaviour[512]; /* words between blanks, one before the first and after the last */
        struct timespec started;
        sigset_t waiting; /* the signal mask while it waits: TERM gets through */
        bool log;
        bool dropped;
} Noted;

static volatile sig_atomic_t stopping;

static void on_term(int number) {
        (void)number;
        stopping = 1;
}

static _Noreturn void fail(const char *what, const char *why) {
        fprintf(stderr, "noted: %s: %s\n", what, why);
        exit(1);
}

static void read_first(const char *path, char *text, size_t room) {
        FILE *file = fopen(path, "re");
        if (!file)
                return;
        size_t n = fread(text, 1, room - 1, file);
        text[n] = '\0';
        fclose(file);
}

/* Is the word there? Its number after the colon goes to *seconds (0 without one). */
static bool behaves(const Noted *noted, const char *word, double *seconds) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, " %s", word);
        size_t length = strlen(pattern);
        for (const char *at = noted->behaviour; (at = strstr(at, pattern)); at += length) {
                if (at[length] != ' ' && at[length] != ':')
                        continue;
                if (seconds)
                        *seconds = at[length] == ':' ? strtod(at + length + 1, NULL) : 0;
                return true;
        }
        return false;
}

/* Is the word there, and its time since the start over? */
static bool behaves_now(const Noted *noted, const char *word) {
        double after;
        if (!behaves(noted, word, &after))
                return false;
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        double age = (double)(now.tv_sec - noted->started.tv_sec) +
                     (double)(now.tv_nsec - noted->started.tv_nsec) / 1e9;
        return age >= after;
}

static void execute(Noted *noted, const char *sql) {
        char *message = NULL;
        if (sqlite3_exec(noted->db, sql, NULL, NULL, &message) != SQLITE_OK)
                fail(sql, message ? message : "unknown");
}

static void open_database(Noted *noted, const char *path, const char *journal) {
        if (sqlite3_open(path, &noted->db) != SQLITE_OK)
                fail(path, sqlite3_errmsg(noted->db));
        sqlite3_busy_timeout(noted->db, 5000);
        char pragma[64];
        snprintf(pragma, sizeof pragma, "PRAGMA journal_mode=%s", journal);
        execute(noted, pragma);
        execute(noted, "PRAGMA synchronous=FULL");
        execute(noted, "CREATE TABLE IF NOT EXISTS row(n INTEGER PRIMARY KEY, version TEXT)");
}

/* A release that changes the schema when it starts, declared or not. */
static void change_schema(Noted *noted) {
        sqlite3_stmt *query;
        const char *sql = "SELECT 1 FROM pragma_table_info('row') WHERE name='remark'";
        if (sqlite3_prepare_v2(noted->db, sql, -1, &query, NULL) != SQLITE_OK)
                fail("schema", sqlite3_errmsg(noted->db));
        bool there = sqlite3_step(query) == SQLITE_ROW;
        sqlite3_finalize(query);
        if (!there)
                execute(noted, "ALTER TABLE row ADD COLUMN remark TEXT");
}

static int listen_on(unsigned port) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int yes = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
                fail("listening", errno == EADDRINUSE ? "the port is taken" : "not possible");
        return fd;
}

static bool wait_readable(const Noted *noted, int fd, int wait_ms) {
        struct pollfd what = {.fd = fd, .events = POLLIN};
        struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000L};
        return ppoll(&what, 1, &wait, &noted->waiting) == 1;
}

/* The head of a request; its body, if it has one, is of no interest. */
static bool read_request(const Noted *noted, int fd, char text[REQUEST_MAX]) {
        size_t n = 0;
        while (n < REQUEST_MAX - 1) {
                if (!wait_readable(noted, fd, REQUEST_WAIT_MS))
                        return false;
                ssize_t got = read(fd, text + n, REQUEST_MAX - 1 - n);
                if (got <= 0)
                        return false;
                n += (size_t)got;
                text[n] = '\0';
                if (strstr(text, "\r\n\r\n"))
                        return true;
        }
        return false;
}

static void answer(const Noted *noted, int fd, int status, const char *body) {
        const char *reason = status == 200 ? "OK" : status == 201 ? "Created" : "Error";
        if (dprintf(fd,
                    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                    status, reason, strlen(body), body) < 0 &&
                noted->log)
                printf("client went away\n");
        if (noted->log)
                printf("%d %.60s\n", status, body);
}

static void answer_error(const Noted *noted, int fd, int status, const char *error) {
        char body[256];
        snprintf(body, sizeof body, "{\"status\":\"error\",\"error\":\"%.200s\"}", error);
        answer(noted, fd, status, body);
}

static void insert_row(Noted *noted, int fd, const char *number) {
        char *end;
        long long n = strtoll(number, &end, 10);
        sqlite3_stmt *insert;
        if (end == number || (*end != ' ' && *end != '\0')) {
                answer_error(noted, fd, 400, "no number");
                return;
        }
        char done[128];
        snprintf(done, sizeof done, "{\"status\":\"ok\",\"version\":\"%s\"}", noted->version);
        const char *sql = "INSERT INTO row(n, version) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
        if (sqlite3_prepare_v2(noted->db, sql, -1, &insert, NULL) != SQLITE_OK) {
                answer_error(noted, fd, 500, sqlite3_errmsg(noted->db));
                return;
        }
        sqlite3_bind_int64(insert, 1, n);
        sqlite3_bind_text(insert, 2, noted->version, -1, SQLITE_STATIC);
        int result = sqlite3_step(insert);
        if (sqlite3_finalize(insert) != SQLITE_OK || result != SQLITE_DONE)
                answer_error(noted, fd, 500, sqlite3_errmsg(noted->db));
        else
                answer(noted, fd, 201, done);
}

/* One text column of one row; owned. NULL with the error answered. */
static char *ask(const Noted *noted, int fd, const char *sql) {
        sqlite3_stmt *query = NULL;
        char *text = NULL;
        if (sqlite3_prepare_v2(noted->db, sql, -1, &query, NULL) == SQLITE_OK &&
                sqlite3_step(query) == SQLITE_ROW)
                text = strdup((const char *)sqlite3_column_text(query, 0));
        else
                answer_error(noted, fd, 500, sqlite3_errmsg(noted->db));
        sqlite3_finalize(query);
        return text;
}

static void list_rows(const Noted *noted, int fd) {
        char *body = ask(noted, fd,
                "SELECT '{\"rows\":' || json_group_array(n) || '}' FROM (SELECT n FROM row ORDER "
                "BY n)");
        if (body)
                answer(noted, fd, 200, body);
        free(body);
}

static void tell_health(const Noted *noted, int fd) {
        char *rows = ask(noted, fd, "SELECT count(*) FROM row");
        if (!rows)
                return;
        bool bad = behaves(noted, "bad-health", NULL) || behaves_now(noted, "bad-later");
        char body[256];
        snprintf(body, sizeof body, "{\"status\":\"%s\",\"version\":\"%s\",\"rows\":%s}",
                bad ? "bad" : "ok", noted->version, rows);
        answer(noted, fd, bad ? 500 : 200, body);
        free(rows);
}

static void serve_one(Noted *noted, int fd) {
        char request[REQUEST_MAX];
        if (!read_request(noted, fd, request))
                return;
        if (strncmp(request, "POST /rows/", 11) == 0)
                insert_row(noted, fd, request + 11);
        else if (strncmp(request, "GET /rows ", 10) == 0)
                list_rows(noted, fd);
        else if (strncmp(request, "GET /health ", 12) == 0)
                tell_health(noted, fd);
        else
                answer_error(noted, fd, 404, "not found");
}

static void misbehave(Noted *noted) {
        if (behaves_now(noted, "crash-later"))
                _exit(3);
        if (!noted->dropped && behaves_now(noted, "drop-rows")) {
                execute(noted, "DELETE FROM row WHERE n % 2 = 0");
                noted->dropped = true;
        }
}

static void serve(Noted *noted, int listener) {
        while (!stopping) {
                misbehave(noted);
                if (!wait_readable(noted, listener, TICK_MS))
                        continue;
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0)
                        continue;
                serve_one(noted, fd);
                close(fd);
        }
}

static void take_signals(Noted *noted) {
        bool deaf = behaves(noted, "ignore-term", NULL);
        struct sigaction term = {.sa_handler = deaf ? SIG_IGN : on_term};
        struct sigaction pipe = {.sa_handler = SIG_IGN};
        sigaction(SIGTERM, &term, NULL);
        sigaction(SIGINT, &term, NULL);
        sigaction(SIGPIPE, &pipe, NULL);
        /* Blocked but in ppoll: no signal is lost between the look at `stopping` and the wait. */
        sigset_t block;
        sigemptyset(&block);
        sigaddset(&block, SIGTERM);
        sigaddset(&block, SIGINT);
        sigprocmask(SIG_BLOCK, &block, &noted->waiting);
        sigdelset(&noted->waiting, SIGTERM);
        sigdelset(&noted->waiting, SIGINT);
}

static void fork_deaf_child(void) {
        if (fork() != 0)
                return;
        setsid();
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigaction(SIGTERM, &ignore, NULL);
        for (;;)
                pause();
}

static void read_release(Noted *noted) {
        if (!noted->version[0])
                read_first("VERSION", noted->version, sizeof noted->version);
        noted->version[strcspn(noted->version, "\r\n")] = '\0';
        noted->behaviour[0] = ' ';
        read_first("behaviour", noted->behaviour + 1, sizeof noted->behaviour - 2);
        strcat(noted->behaviour, " ");
        for (char *c = noted->behaviour; *c; c++)
                if (*c == '\n' || *c == '\t' || *c == '\r')
                        *c = ' ';
        double seconds;
        if (behaves(noted, "slow-start", &seconds))
                usleep((useconds_t)(seconds * 1e6));
        if (behaves(noted, "refuse-start", NULL))
                fail("starting", "this release refuses to");
        if (behaves(noted, "fork-child", NULL))
                fork_deaf_child();
}

int main(int argc, char **argv) {
        static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                {"db", required_argument, NULL, 'd'}, {"version", required_argument, NULL, 'v'},
                {"journal", required_argument, NULL, 'j'}, {"log", no_argument, NULL, 'l'}, {0}};
        Noted noted = {0};
        const char *path = NULL, *journal = "wal";
        unsigned port = 0;
        for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
                if (c == 'p')
                        port = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 'd')
                        path = optarg;
                else if (c == 'v')
                        snprintf(noted.version, sizeof noted.version, "%s", optarg);
                else if (c == 'j')
                        journal = optarg;
                else if (c == 'l')
                        noted.log = true;
                else
                        return 2;
        }
        if (!port || port > 65535 || !path)
                fail("usage",
                        "noted --port P --db PATH [--version V] [--journal wal|delete] [--log]");
        setvbuf(stdout, NULL, _IOLBF, 0);
        clock_gettime(CLOCK_MONOTONIC, &noted.started);
        read_release(&noted);
        take_signals(&noted);
        int listener = listen_on(port);
        open_database(&noted, path, journal);
        if (behaves(&noted, "change-schema", NULL))
                change_schema(&noted);
        printf("noted %s ready on port %u\n", noted.version, port);
        serve(&noted, listener);
        sqlite3_close(noted.db);
        return 0;
}
