/* TZif, RFC 8536: a table of instants, their offsets, and a rule in text for what comes after. */
#include <string.h>

#include "base/own.h"
#include "base/zone.h"

enum {
        HEADER_BYTES = 44,
        TRANSITIONS_MAX = 4096,
        TYPES_MAX = 256,
        TYPE_BYTES = 6,
        OFFSET_MAX_S = 26 * 3600,
        NAME_MAX_BYTES = 16,
        RULE_TEXT_MAX = 128,
};

/* ---- the rule ---- */

typedef struct Cursor {
        const char *at;
        bool good;
} Cursor;

static bool take(Cursor *c, char wanted) {
        if (!c->good || *c->at != wanted)
                return false;
        c->at++;
        return true;
}

static int take_number(Cursor *c, int least, int most) {
        int value = 0, digits = 0;
        for (; *c->at >= '0' && *c->at <= '9' && digits < 4; c->at++, digits++)
                value = value * 10 + (*c->at - '0');
        c->good = c->good && digits > 0 && value >= least && value <= most;
        return value;
}

/* "CET", or "<+0330>" */
static void take_name(Cursor *c) {
        const char *from = c->at;
        if (take(c, '<')) {
                while (*c->at && *c->at != '>')
                        c->at++;
                c->good = take(c, '>') && c->at - from > 2;
                return;
        }
        while ((*c->at >= 'a' && *c->at <= 'z') || (*c->at >= 'A' && *c->at <= 'Z'))
                c->at++;
        c->good = c->good && c->at - from >= 3 && c->at - from <= NAME_MAX_BYTES;
}

/* "[+-]h[:m[:s]]" in seconds */
static int64_t take_time(Cursor *c, int hours_max) {
        int sign = take(c, '-') ? -1 : 1;
        if (sign > 0)
                (void)take(c, '+');
        int64_t seconds = take_number(c, 0, hours_max) * 3600;
        if (take(c, ':'))
                seconds += take_number(c, 0, 59) * 60;
        if (take(c, ':'))
                seconds += take_number(c, 0, 59);
        return sign * seconds;
}

static ZoneDay take_day(Cursor *c) {
        ZoneDay day = {.kind = ZONE_DAY_COUNT, .at = 2 * 3600};
        if (take(c, 'M')) {
                day.kind = ZONE_DAY_MONTH;
                day.month = take_number(c, 1, 12);
                c->good = take(c, '.');
                day.week = take_number(c, 1, 5);
                c->good = take(c, '.');
                day.day = take_number(c, 0, 6);
        } else if (take(c, 'J')) {
                day.kind = ZONE_DAY_JULIAN;
                day.day = take_number(c, 1, 365);
        } else {
                day.day = take_number(c, 0, 365);
        }
        if (take(c, '/'))
                day.at = take_time(c, 167);
        return day;
}

/* POSIX counts offsets westwards. */
bool zone_read_rule(const char *text, ZoneRule *ret) {
        Cursor c = {text, true};
        ZoneRule rule = {.has = true};
        take_name(&c);
        rule.standard = -take_time(&c, 24);
        if (c.good && *c.at) {
                rule.has_dst = true;
                take_name(&c);
                rule.dst = rule.standard + 3600;
                if (c.good && *c.at && *c.at != ',')
                        rule.dst = -take_time(&c, 24);
                c.good = take(&c, ',');
                rule.begin = take_day(&c);
                c.good = take(&c, ',');
                rule.end = take_day(&c);
        }
        if (!c.good || *c.at)
                return false;
        *ret = rule;
        return true;
}

/* ---- the table ---- */

typedef struct Block {
        const unsigned char *at; /* behind the header */
        size_t n_utc, n_standard, n_leap, n_times, n_types, n_chars;
        size_t time_bytes;
        size_t bytes;
} Block;

static uint64_t big_endian(const unsigned char *at, size_t n) {
        uint64_t value = 0;
        for (size_t i = 0; i < n; i++)
                value = value << 8 | at[i];
        return value;
}

static int64_t signed_of(const unsigned char *at, size_t n) {
        uint64_t value = big_endian(at, n);
        return n == 4 ? (int64_t)(int32_t)(uint32_t)value : (int64_t)value;
}

static bool bad(Err *err, const char *what) {
        return err_fail(err, ERR_CORRUPT, "it is no time zone file: %s", what);
}

static bool read_header(
        const unsigned char *at, size_t n, size_t time_bytes, Block *ret, Err *err) {
        if (n < HEADER_BYTES || memcmp(at, "TZif", 4) != 0)
                return bad(err, "it does not begin with TZif");
        Block block = {
                .at = at + HEADER_BYTES,
                .n_utc = big_endian(at + 20, 4),
                .n_standard = big_endian(at + 24, 4),
                .n_leap = big_endian(at + 28, 4),
                .n_times = big_endian(at + 32, 4),
                .n_types = big_endian(at + 36, 4),
                .n_chars = big_endian(at + 40, 4),
                .time_bytes = time_bytes,
        };
        if (block.n_times > TRANSITIONS_MAX || block.n_types > TYPES_MAX || block.n_chars > 1024 ||
                block.n_leap > 1024 || block.n_utc > TYPES_MAX || block.n_standard > TYPES_MAX)
                return bad(err, "its counts are out of range");
        block.bytes = block.n_times * (time_bytes + 1) + block.n_types * TYPE_BYTES +
                      block.n_chars + block.n_leap * (time_bytes + 4) + block.n_standard +
                      block.n_utc;
        if (n - HEADER_BYTES < block.bytes)
                return bad(err, "it is cut short");
        *ret = block;
        return true;
}

static bool read_table(const Block *block, Zone *zone, Err *err) {
        const unsigned char *indexes = block->at + block->n_times * block->time_bytes;
        const unsigned char *types = indexes + block->n_times;
        if (block->n_types < 1)
                return bad(err, "it has no offset at all");
        zone->first = signed_of(types, 4);
        for (size_t i = 0; i < block->n_types; i++) {
                int64_t offset = signed_of(types + i * TYPE_BYTES, 4);
                if (offset > OFFSET_MAX_S || offset < -OFFSET_MAX_S)
                        return bad(err, "an offset is more than 26 hours");
        }
        /* Its instants count leap seconds, which no clock of this machine does. */
        if (block->n_leap)
                return bad(err, "it counts leap seconds");
        zone->at = NEW_ARRAY(int64_t, block->n_times + 1);
        zone->offset = NEW_ARRAY(int64_t, block->n_times + 1);
        for (size_t i = 0; i < block->n_times; i++) {
                zone->at[i] = signed_of(block->at + i * block->time_bytes, block->time_bytes);
                if (i && zone->at[i] <= zone->at[i - 1])
                        return bad(err, "its instants are out of order");
                if (indexes[i] >= block->n_types)
                        return bad(err, "an instant has no type");
                zone->offset[i] = signed_of(types + indexes[i] * TYPE_BYTES, 4);
                zone->n = i + 1;
        }
        return true;
}

/* Between two line feeds behind the second block; an empty one says that the table is all. */
static bool read_footer(const char *at, size_t n, Zone *zone, Err *err) {
        const char *end = n > 1 && at[0] == '\n' ? memchr(at + 1, '\n', n - 1) : NULL;
        if (!end || end - at > RULE_TEXT_MAX)
                return bad(err, "the rule at its end is missing");
        scoped(free_mem) char *text = NEW_ARRAY(char, RULE_TEXT_MAX + 1);
        memcpy(text, at + 1, (size_t)(end - at - 1));
        if (*text && !zone_read_rule(text, &zone->rule))
                return bad(err, "the rule at its end cannot be read");
        return true;
}

/* Files of version 2 and later say everything again with instants of 8 bytes. */
bool zone_read(const char *bytes, size_t n, Zone *ret, Err *err) {
        const unsigned char *at = (const unsigned char *)bytes;
        scoped(zone_done) Zone zone = {0};
        Block block;
        if (!read_header(at, n, 4, &block, err))
                return false;
        bool old = at[4] < '2';
        if (!old) {
                size_t skip = HEADER_BYTES + block.bytes;
                at += skip;
                n -= skip;
                if (!read_header(at, n, 8, &block, err))
                        return false;
        }
        if (!read_table(&block, &zone, err))
                return false;
        size_t used = HEADER_BYTES + block.bytes;
        if (!old && !read_footer((const char *)at + used, n - used, &zone, err))
                return false;
        *ret = zone;
        zone = (Zone){0};
        return true;
}
