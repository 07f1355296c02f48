#include "journal/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"

enum {
        CRC_DIGITS = 8,
        HEADER_BYTES = CRC_DIGITS + 1,
        SEQUENCE_DIGITS_MAX = 18,
        /* Number, type and spaces around a payload of the greatest size. */
        LINE_BYTES_MAX = LIMIT_JOURNAL_RECORD + 64,
};

static const char *const type_names[RECORD_TYPE_COUNT] = {
        [RECORD_PLAN] = "PLAN",
        [RECORD_OWNER] = "OWNER",
        [RECORD_INTENT] = "INTENT",
        [RECORD_DONE] = "DONE",
        [RECORD_FAILED] = "FAILED",
        [RECORD_ARM] = "ARM",
        [RECORD_WAIT] = "WAIT",
        [RECORD_COMMIT] = "COMMIT",
        [RECORD_ROLLBACK] = "ROLLBACK",
        [RECORD_NOTE] = "NOTE",
        [RECORD_AGAIN] = "AGAIN",
        [RECORD_END] = "END",
};

const char *record_type_name(RecordType type) { return type_names[type]; }

char *record_encode(const Record *record, size_t *ret_bytes) {
        scoped(free_str) char *json = js_line(record->payload);
        scoped(free_str) char *rest = str_format("%llu %s %s", (unsigned long long)record->sequence,
                record_type_name(record->type), json);
        char *line = str_format("%08x %s\n", crc32c(rest, strlen(rest)), rest);
        *ret_bytes = HEADER_BYTES + strlen(rest) + 1;
        return line;
}

/* Digits without leading zero, then a space; 0 when they are not there. */
static size_t sequence_digits(const char *at, size_t n) {
        size_t digits = 0;
        while (digits < n && digits <= SEQUENCE_DIGITS_MAX && at[digits] >= '0' &&
                at[digits] <= '9')
                digits++;
        bool right = digits > 0 && digits <= SEQUENCE_DIGITS_MAX && at[0] != '0' && digits < n;
        return right && at[digits] == ' ' ? digits : 0;
}

static bool header_matches(const char *line, size_t bytes) {
        if (bytes < HEADER_BYTES || line[CRC_DIGITS] != ' ')
                return false;
        for (size_t i = 0; i < CRC_DIGITS; i++)
                if (!((line[i] >= '0' && line[i] <= '9') || (line[i] >= 'a' && line[i] <= 'f')))
                        return false;
        return sequence_digits(line + HEADER_BYTES, bytes - HEADER_BYTES) > 0;
}

bool record_is_whole(const char *line, size_t bytes) {
        if (bytes > LINE_BYTES_MAX || !header_matches(line, bytes))
                return false;
        scoped(free_str) char *sum =
                str_format("%08x", crc32c(line + HEADER_BYTES, bytes - HEADER_BYTES));
        return memcmp(sum, line, CRC_DIGITS) == 0;
}

bool record_within(const char *bytes, size_t n) {
        for (size_t at = 0; at < n; at++) {
                if (!header_matches(bytes + at, n - at))
                        continue;
                const char *end = memchr(bytes + at, '\n', n - at);
                if (end && record_is_whole(bytes + at, (size_t)(end - (bytes + at))))
                        return true;
        }
        return false;
}

static bool type_of_name(const char *name, size_t n, RecordType *ret) {
        for (size_t i = 0; i < RECORD_TYPE_COUNT; i++) {
                if (strlen(type_names[i]) != n || memcmp(type_names[i], name, n) != 0)
                        continue;
                *ret = (RecordType)i;
                return true;
        }
        return false;
}

bool record_decode(const char *line, size_t bytes, Record *ret, Err *err) {
        const char *at = line + HEADER_BYTES, *end = line + bytes;
        size_t digits = sequence_digits(at, (size_t)(end - at));
        Record record = {.sequence = strtoull(at, NULL, 10)};
        const char *type = at + digits + 1;
        const char *space = memchr(type, ' ', (size_t)(end - type));
        if (!space || !type_of_name(type, (size_t)(space - type), &record.type))
                return err_fail(err, ERR_CORRUPT,
                        "record %llu is of a kind that this belay does not know",
                        (unsigned long long)record.sequence);
        const char *json = space + 1;
        if ((size_t)(end - json) > LIMIT_JOURNAL_RECORD)
                return err_fail(err, ERR_CORRUPT, "record %llu has more than %d bytes",
                        (unsigned long long)record.sequence, LIMIT_JOURNAL_RECORD);
        scoped(js_freep) json_t *payload = js_parse(json, (size_t)(end - json), "the payload", err);
        if (!payload)
                return err_context(err, "record %llu", (unsigned long long)record.sequence);
        if (!json_is_object(payload))
                return err_fail(err, ERR_CORRUPT, "record %llu holds no JSON object",
                        (unsigned long long)record.sequence);
        record.payload = TAKE(payload);
        *ret = record;
        return true;
}
