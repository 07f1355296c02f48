/*
 * Durable appends a second: of the journal, and of a bare file with lines of the same size, each one
 * write and one fdatasync. In turns, so that both meet the same disk.
 *
 *     journal_appends DIRECTORY ROUNDS APPENDS   ->  {"journal_us": [...], "bare_us": [...], "bytes": n}
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "journal/journal.h"
#include "platform/clock.h"

static json_t *intent(void) {
        json_t *payload = json_object(), *facts = json_object();
        js_set_str(payload, "step", "second-pass");
        js_set_bool(payload, "undo", false);
        js_set_int(payload, "attempt", 1);
        js_set_str(facts, "backup", "0123456789ab");
        js_set_str(facts, "store", "/var/lib/belay/backups");
        js_set(payload, "facts", facts);
        return payload;
}

static json_t *plan(void) {
        json_t *payload = json_object();
        js_set_int(payload, "format", JOURNAL_FORMAT);
        return payload;
}

/* Microseconds for each append. */
static double journal_round(const char *path, int appends) {
        Err err = {0};
        Journal *journal = NULL;
        bool ok = journal_create(path, &journal, &err) &&
                  journal_append(journal, RECORD_PLAN, plan(), &err);
        int64_t began = clock_now_us();
        for (int i = 0; ok && i < appends; i++)
                ok = journal_append(journal, RECORD_NOTE, intent(), &err);
        int64_t took = clock_now_us() - began;
        journal_close(journal);
        if (!ok) {
                fprintf(stderr, "%s\n", err.message);
                exit(1);
        }
        return (double)took / appends;
}

static size_t line_of(const char *path, char *ret, size_t room) {
        FILE *file = fopen(path, "r");
        size_t bytes = 0;
        while (file && fgets(ret, (int)room, file))
                bytes = strlen(ret);
        if (file)
                fclose(file);
        return bytes;
}

static double bare_round(const char *path, const char *line, size_t bytes, int appends) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
        int64_t began = clock_now_us();
        for (int i = 0; i < appends; i++)
                if (write(fd, line, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
                        exit(1);
        int64_t took = clock_now_us() - began;
        close(fd);
        return (double)took / appends;
}

int main(int argc, char **argv) {
        if (argc != 4)
                return 2;
        scoped(free_str) char *journal = path_join(argv[1], "bench-journal");
        scoped(free_str) char *bare = path_join(argv[1], "bench-bare");
        int rounds = (int)strtol(argv[2], NULL, 10), appends = (int)strtol(argv[3], NULL, 10);
        scoped(js_freep) json_t *result = json_object();
        json_t *journals = json_array(), *bares = json_array();
        char line[1024] = "";
        size_t bytes = 0;
        for (int i = 0; i < rounds; i++) {
                json_array_append_new(journals, json_real(journal_round(journal, appends)));
                bytes = line_of(journal, line, sizeof(line));
                json_array_append_new(bares, json_real(bare_round(bare, line, bytes, appends)));
                unlink(journal);
                unlink(bare);
        }
        js_set(result, "journal_us", journals);
        js_set(result, "bare_us", bares);
        js_set_int(result, "bytes", (int64_t)bytes);
        scoped(free_str) char *text = js_line(result);
        puts(text);
        return 0;
}
