/* windows, freeze: when updates may begin. */
#include <string.h>
#include <strings.h>

#include "manifest/schema.h"
#include "manifest/value.h"
#include "model/window.h"

static bool refuse(Reader *r, const Key *key, const Node *node, const char *what) {
        return finding_add(r->findings, &(Finding){.at = node->at, .expected = key->type->expected},
                "\"%s\" %s", r->path.text, what);
}

/* ---- days ---- */

enum { ALL_DAYS = 0x7f };

static const char *const day_names[] = {
        "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

/* "Sun", "sunday"; -1: no day. */
static int day_of(const char *word) {
        size_t n = strlen(word);
        for (int i = 0; i < 7; i++)
                if ((n == 3 && strncasecmp(word, day_names[i], 3) == 0) ||
                        strcasecmp(word, day_names[i]) == 0)
                        return i;
        return -1;
}

/* "Sun", "Fri-Mon", "daily". */
static bool days_add(char *word, unsigned *days) {
        if (strcasecmp(word, "daily") == 0) {
                *days |= ALL_DAYS;
                return true;
        }
        char *dash = strchr(word, '-');
        if (dash)
                *dash = '\0';
        int from = day_of(str_trim(word)), to = dash ? day_of(str_trim(dash + 1)) : from;
        if (from < 0 || to < 0)
                return false;
        for (int day = from;; day = (day + 1) % 7) {
                *days |= 1u << day;
                if (day == to)
                        return true;
        }
}

static bool days_add_text(const char *text, unsigned *days) {
        scoped(strv_freep) Strv words = strv_split(text, ',');
        for (size_t i = 0; words && words[i]; i++)
                if (!days_add(str_trim(words[i]), days))
                        return false;
        return words != NULL;
}

static bool days_read(Reader *r, const Key *key, const Node *node, void *field) {
        unsigned days = 0;
        bool good = node->kind == NODE_SCALAR && days_add_text(node->text, &days);
        if (node->kind == NODE_LIST) {
                good = node->n > 0;
                for (size_t i = 0; good && i < node->n; i++)
                        good = node->items[i]->kind == NODE_SCALAR &&
                               days_add_text(node->items[i]->text, &days);
        }
        *(unsigned *)field = days;
        return good || refuse(r, key, node, "names no days");
}
static const KeyType type_days = {
        "days", "expected days such as Sun, Mon-Fri, [Sat, Sun] or daily", true, days_read};

/* ---- times of the day, dates ---- */

static bool two_digits(const char *text, unsigned most, unsigned *ret) {
        if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
                return false;
        *ret = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
        return *ret <= most;
}

/* "02:00"; 24:00 is the end of the day. */
static bool clock_read(Reader *r, const Key *key, const Node *node, void *field) {
        unsigned hour = 0, minute = 0;
        bool good = node->kind == NODE_SCALAR && strlen(node->text) == 5 &&
                    two_digits(node->text, 24, &hour) && node->text[2] == ':' &&
                    two_digits(node->text + 3, 59, &minute) && hour * 60 + minute <= 24 * 60;
        *(unsigned *)field = hour * 60 + minute;
        return good || refuse(r, key, node, "is no time of the day");
}
static const KeyType type_clock = {
        "time of the day", "expected a time such as \"02:00\", up to \"24:00\"", true, clock_read};

static bool date_read(Reader *r, const Key *key, const Node *node, void *field) {
        unsigned century = 0, year = 0, month = 0, day = 0;
        const char *text = node->kind == NODE_SCALAR ? node->text : "";
        bool good = strlen(text) == 10 && two_digits(text, 99, &century) &&
                    two_digits(text + 2, 99, &year) && text[4] == '-' &&
                    two_digits(text + 5, 12, &month) && text[7] == '-' &&
                    two_digits(text + 8, 31, &day) &&
                    calendar_is_date(century * 100 + year, (int)month, (int)day);
        if (!good)
                return refuse(r, key, node, "is no date");
        *(int64_t *)field = calendar_days(century * 100 + year, (int)month, (int)day);
        return true;
}
static const KeyType type_date = {"date", "expected a date such as 2026-12-20", true, date_read};

/* ---- windows ---- */

#define ZONE(type_of)                                                                              \
        {                                                                                          \
                .name = "zone", .type = &type_text, .problem = zone_problem,                       \
                .offset = offsetof(type_of, zone), .otherwise = "local"                            \
        }

static const Key window_keys[] = {
        {.name = "days",
                .type = &type_days,
                .offset = offsetof(WindowSpec, days),
                .otherwise = "daily"},
        {.name = "from",
                .type = &type_clock,
                .flags = KEY_REQUIRED,
                .offset = offsetof(WindowSpec, from_minute)},
        {.name = "to",
                .type = &type_clock,
                .flags = KEY_REQUIRED,
                .offset = offsetof(WindowSpec, to_minute)},
        ZONE(WindowSpec),
};
static const KeyTable window_table = KEY_TABLE("a window", window_keys);

static bool window_read(Reader *r, const Node *item) {
        WindowSpec window = {0};
        bool good = map_read(r, &window_table, item, &window);
        if (good && window.from_minute == window.to_minute)
                good = finding_add(r->findings,
                        &(Finding){.at = item->at,
                                .hint = "A whole day is from \"00:00\" to \"24:00\"."},
                        "\"%s\" ends when it begins", r->path.text);
        if (good && window.from_minute == 24 * 60)
                good = finding_add(r->findings,
                        &(Finding){.at = item->at, .hint = "Say \"00:00\" of the next day."},
                        "\"%s\" begins at the end of a day", r->path.text);
        unsigned minutes = (window.to_minute + 24 * 60 - window.from_minute) % (24 * 60);
        if (good && minutes > 0 && minutes < 5)
                warning_add(r, item, "the window is open for %u minutes only", minutes);
        PUSH(r->service->windows, r->service->n_windows, window);
        return good;
}

static bool windows_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        return items_read(r, node, window_read);
}
const KeyType type_windows = {"windows", "expected a list", false, windows_read};

/* ---- freeze ---- */

static const Key freeze_keys[] = {
        {.name = "from",
                .type = &type_date,
                .flags = KEY_REQUIRED,
                .offset = offsetof(FreezeSpec, from_day)},
        {.name = "to",
                .type = &type_date,
                .flags = KEY_REQUIRED,
                .offset = offsetof(FreezeSpec, to_day)},
        ZONE(FreezeSpec),
};
static const KeyTable freeze_table = KEY_TABLE("a freeze", freeze_keys);

static bool freeze_read(Reader *r, const Node *item) {
        FreezeSpec freeze = {0};
        bool good = map_read(r, &freeze_table, item, &freeze);
        if (good && freeze.to_day < freeze.from_day)
                good = finding_add(r->findings, &(Finding){.at = item->at},
                        "\"%s\" ends before it begins", r->path.text);
        PUSH(r->service->freezes, r->service->n_freezes, freeze);
        return good;
}

static bool freezes_read(Reader *r, const Key *key, const Node *node, void *field) {
        (void)key;
        (void)field;
        return items_read(r, node, freeze_read);
}
const KeyType type_freezes = {"freezes", "expected a list", false, freezes_read};
