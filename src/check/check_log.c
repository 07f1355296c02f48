/* log: has the text been written since the start? Each question reads only what is new. */
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "check/driver.h"
#include "platform/clock.h"

enum { BLOCK = 64 * 1024, READ_MAX = 4 * 1024 * 1024, WITHIN_MS = 5000 };

static LogScan *scan_of(const CheckSpec *check, CheckContext *context) {
        CheckMemory *memory = check_memory(context);
        for (size_t i = 0; i < memory->n_scans; i++)
                if (memory->scans[i].check == check)
                        return &memory->scans[i];
        LogScan scan = {.check = check, .place = context->log_from};
        PUSH(memory->scans, memory->n_scans, scan);
        return &memory->scans[memory->n_scans - 1];
}

/* Looks in what was left of the last block and this one together: a text may lie across. What is kept is at
 * most one long line. */
static bool holds(LogScan *scan, const char *block, size_t n, const char *text) {
        str_add_n(&scan->tail, block, n);
        if (memmem(scan->tail.text, scan->tail.len, text, strlen(text)))
                return true;
        size_t keep = strlen(text);
        if (scan->tail.len > keep) {
                scoped(str_done) Str shorter = {0};
                str_add_n(&shorter, scan->tail.text + scan->tail.len - keep, keep);
                Str longer = scan->tail;
                scan->tail = shorter;
                shorter = longer;
        }
        return false;
}

static bool scan_on(LogScan *scan, const LogReader *log, const char *text, Err *err) {
        scoped(free_str) char *block = mem_new(BLOCK, 1);
        for (size_t total = 0, n = 1; n > 0 && total < READ_MAX && !scan->found; total += n) {
                if (!log->read(log->context, &scan->place, block, BLOCK, &n, err))
                        return false;
                scan->found = n > 0 && holds(scan, block, n, text);
        }
        return true;
}

static void ask(const CheckSpec *check, CheckContext *context, CheckAnswer *ret) {
        if (!context->log) {
                check_say(ret, context, ANSWER_ERROR, "the service has no log that Belay can read");
                return;
        }
        LogScan *scan = scan_of(check, context);
        scoped(free_str) char *text = check_expand(check->expect, context, ret);
        scoped(err_clear) Err err = {0};
        if (!text)
                return;
        if (!scan->found && !scan_on(scan, context->log, text, &err)) {
                check_say_err(ret, context, ANSWER_ERROR, &err);
                return;
        }
        if (scan->found) {
                check_say(ret, context, ANSWER_PASS, "the log says '%s'", text);
                return;
        }
        int64_t within = check->within_ms > 0 ? check->within_ms : WITHIN_MS;
        bool late = clock_now_ms() - check_memory(context)->began_ms > within;
        check_say(ret, context, late ? ANSWER_FAIL : ANSWER_NONE, "the log does not say '%s'%s",
                text, late ? " in time" : " yet");
}

const CheckDriver check_log_driver = {.name = "log", .ask = ask};
