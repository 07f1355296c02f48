#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "base/str.h"

typedef struct Unit {
        const char *name;
        int64_t ms;
} Unit;

static const Unit units[] = {
        {"ms", 1},
        {"s", 1000},
        {"m", 60000},
        {"h", 3600000},
        {"d", 86400000},
        {"w", 604800000},
};

static const int64_t DURATION_MAX_MS = INT64_C(366) * 86400000;

bool duration_parse(const char *text, int64_t *ret_ms) {
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 12)
                return false;
        scoped(free_str) char *number = str_copy_n(text, digits);
        uint64_t value = 0;
        (void)str_to_uint(number, INT64_MAX, &value); /* so many digits always fit */
        for (size_t i = 0; i < COUNT_OF(units); i++) {
                if (strcmp(text + digits, units[i].name) != 0)
                        continue;
                if (value > (uint64_t)(DURATION_MAX_MS / units[i].ms))
                        return false;
                *ret_ms = (int64_t)value * units[i].ms;
                return true;
        }
        return false;
}

char *duration_text(int64_t ms) {
        if (ms < 0)
                ms = 0;
        if (ms < 60000)
                return str_format("%" PRId64 ".%" PRId64 " s", ms / 1000, ms % 1000 / 100);
        if (ms < 7200000)
                return str_format("%" PRId64 " min", (ms + 30000) / 60000);
        if (ms < 2 * INT64_C(86400000))
                return str_format("%" PRId64 " h", ms / 3600000);
        return str_format("%" PRId64 " d", ms / 86400000);
}

char *duration_manifest_text(int64_t ms) {
        for (size_t i = COUNT_OF(units) - 1; i > 0; i--)
                if (ms && ms % units[i].ms == 0)
                        return str_format("%" PRId64 "%s", ms / units[i].ms, units[i].name);
        return ms ? str_format("%" PRId64 "ms", ms) : str_format("0s");
}

char *bytes_text(uint64_t bytes) {
        static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
        double value = (double)bytes;
        size_t i = 0;
        /* 999.5 and more would be written as 1000. */
        while (value >= 999.5 && i + 1 < COUNT_OF(names)) {
                value /= 1000;
                i++;
        }
        if (i == 0 || value >= 99.95)
                return str_format("%.0f %s", value, names[i]);
        return str_format("%.1f %s", value, names[i]);
}

char *ago_text(int64_t then_unix_ms, int64_t now_unix_ms) {
        int64_t ms = now_unix_ms - then_unix_ms;
        if (ms < 0)
                return time_text(then_unix_ms);
        if (ms < 10000)
                return str_format("just now");
        if (ms < 60000)
                return str_format("%" PRId64 " s ago", ms / 1000);
        scoped(free_str) char *text = duration_text(ms);
        return str_format("%s ago", text);
}

static struct tm utc(int64_t unix_ms) {
        time_t seconds = (time_t)(unix_ms / 1000);
        struct tm parts = {.tm_mday = 1, .tm_year = 70};
        gmtime_r(&seconds, &parts);
        return parts;
}

char *time_text(int64_t unix_ms) {
        struct tm parts = utc(unix_ms);
        char text[64] = "";
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
        return str_copy(text);
}

char *time_name(int64_t unix_ms) {
        struct tm parts = utc(unix_ms);
        char text[64] = "";
        (void)strftime(text, sizeof(text), "%Y%m%d_%H%M%S", &parts);
        return str_copy(text);
}

bool time_parse(const char *text, int64_t *ret_unix_ms) {
        struct tm parts = {0};
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
        if (!end || *end) {
                parts = (struct tm){0};
                end = strptime(text, "%Y-%m-%d", &parts);
        }
        if (!end || *end)
                return false;
        time_t seconds = timegm(&parts);
        if (seconds < 0)
                return false;
        /* strptime takes a 30th of February, and missing digits: only what comes back the same. */
        scoped(free_str) char *again = time_text((int64_t)seconds * 1000);
        size_t n = strlen(text);
        if ((n != strlen(again) && n != strlen("2026-02-03")) || strncmp(again, text, n) != 0)
                return false;
        *ret_unix_ms = (int64_t)seconds * 1000;
        return true;
}
