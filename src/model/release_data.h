/*
 * What is said about releases besides their commits: notes, breaking changes, required stops, settings,
 * support. Pure: text in, values out. Where the text comes from is source/'s.
 *
 * All of it is written by others. What is read here is limited in size and number (enum below), texts are
 * printable afterwards (no control bytes but newline and tab, no marks that turn text around), and a release that
 * is not valid is left out with a warning, never the others with it. Unknown fields are ignored.
 */
#ifndef BELAY_MODEL_RELEASE_DATA_H
#define BELAY_MODEL_RELEASE_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/js.h"
#include "base/str.h"
#include "model/service.h"

enum {
        RELEASES_MAX = 2000, /* those beyond are left out, with a warning */
        RELEASE_TEXT_MAX =
                32 * 1024,         /* of notes, of a guide: the rest is cut off, and that is said */
        RELEASE_SETTINGS_MAX = 64, /* of one release */
        RELEASE_SUPPORT_MAX = 64,
        RELEASE_WARNINGS_MAX = 20,
};

/* What nobody said is another thing than no. */
typedef enum Said { NOT_SAID, SAID_NO, SAID_YES } Said;

typedef enum ReleaseMigrations {
        RELEASE_MIGRATIONS_NOT_SAID,
        RELEASE_MIGRATIONS_NONE,
        RELEASE_MIGRATIONS_AUTOMATIC, /* at its start */
        RELEASE_MIGRATIONS_MANUAL,    /* the guide must be followed, and that confirmed */
} ReleaseMigrations;

typedef struct ReleaseSetting {
        char *name; /* as in an env file */
        bool secret, required;
        unsigned bytes; /* of a secret that Belay makes */
        SecretForm as;
} ReleaseSetting;

typedef struct ReleaseInfo {
        char *version;       /* semver, without leading v */
        int64_t released_ms; /* 0: not said */
        Said breaking, compatible_schema;
        bool security;
        bool stop;           /* must be run, and verified, on the way to anything newer */
        bool prerelease;     /* said to be one, whatever its number says */
        char *requires_from; /* a range: what it may be updated from; or NULL */
        ReleaseSetting *settings;
        size_t n_settings;
        ReleaseMigrations migrations;
        char *notes, *migration_guide; /* Markdown, printable; or NULL */
} ReleaseInfo;

typedef enum SupportStatus {
        SUPPORT_NOT_SAID,
        SUPPORT_CURRENT,
        SUPPORT_MAINTENANCE,
        SUPPORT_END_OF_LIFE,
} SupportStatus;

typedef struct SupportRange {
        char *versions; /* model/version_range.h */
        SupportStatus status;
} SupportRange;

typedef struct ReleaseData {
        char *product;      /* or NULL */
        ReleaseInfo *items; /* the newest first, each version once */
        size_t n;
        SupportRange *support; /* the first that holds counts */
        size_t n_support;
        Strv warnings; /* what was left out and why: printable, a line each */
} ReleaseData;

void release_data_done(ReleaseData *data);
void release_info_done(ReleaseInfo *info);

/* -- asking -- */

/* Borrowed; NULL: nothing is known of it. With or without a leading v. */
const ReleaseInfo *release_data_find(const ReleaseData *data, const char *version);
/* Those above `from` up to `to`, oldest first; `from` NULL or no version: `to` alone. An array that the caller
 * frees, of borrowed items; *ret_n may be 0. Pre-releases only when `to` is one itself. */
const ReleaseInfo **release_data_between(
        const ReleaseData *data, const char *from, const char *to, size_t *ret_n);
/* By what is said of the releases on the way; of what nobody said anything, by the numbers (base/version.h).
 * *ret_which, when breaking, is the version that breaks, borrowed. */
bool release_data_breaking(
        const ReleaseData *data, const char *from, const char *to, const char **ret_which);
SupportStatus release_data_support(const ReleaseData *data, const char *version);
const char *support_name(
        SupportStatus status); /* "current", "maintenance", "end-of-life"; NULL: not said */
const char *release_migrations_name(ReleaseMigrations migrations); /* NULL: not said */
/* The first lines that say something, joined to one of at most `most` bytes; owned, "" when there are none. */
char *release_notes_short(const char *notes, size_t most);

/* -- text forms. Each adds to `ret`, which is zero-initialised or holds what came before; a version that is
 *    there already is left out with a warning. release_data_sort ends the adding. -- */

/* The feed (format 1). False: no release data at all (ERR_CORRUPT), `ret` is untouched. `what` names it. */
bool release_data_add_feed(
        ReleaseData *ret, const char *text, size_t bytes, const char *what, Err *err);
/* One page of the releases as GitHub and Gitea give them; drafts are left out. *ret_n is how many there were. */
bool release_data_add_page(ReleaseData *ret, const char *text, size_t bytes, const char *what,
        size_t *ret_n, Err *err);
/* A changelog: a heading for each version ("## [1.2.0] - 2026-02-03", "# v1.2.0 (2026-02-03)"), notes below it. */
void release_data_add_changelog(ReleaseData *ret, const char *text);
/* Notes of one version: Markdown. What else is said of it may stand in front between two lines "---", or in a comment
 * "<!-- belay", one `key: value` a line, the keys of the feed. */
void release_data_add_notes(ReleaseData *ret, const char *version, const char *text);
void release_data_sort(ReleaseData *data);

/* As a feed: what release_data_add_feed reads. New reference. */
json_t *release_data_to_json(const ReleaseData *data);
json_t *release_info_to_json(const ReleaseInfo *info);
json_t *support_to_json(const ReleaseData *data);

/* -- for those who add -- */
void release_data_warn(ReleaseData *data, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* Takes `info` (which is then empty); false: it was left out, and that is a warning. */
bool release_data_add(ReleaseData *data, ReleaseInfo *info);
/* Printable, at most RELEASE_TEXT_MAX; NULL for NULL and for what is only white space; owned. */
char *release_text(const char *text);
/* Fields in the words of the feed, from the block in a Markdown text, and the guide from its heading. */
bool release_info_add_markdown(ReleaseInfo *info, const char *text, Err *err);
/* One field of the feed. Unknown names are fine. ERR_CORRUPT: its value is not what it should be. */
bool release_info_set(ReleaseInfo *info, const char *name, const json_t *value, Err *err);

#endif
