/* Limits of everything that comes from outside, in one place (research/reliability.md, 8.9). */
#ifndef BELAY_BASE_LIMITS_H
#define BELAY_BASE_LIMITS_H

enum {
        LIMIT_MANIFEST_BYTES = 256 * 1024,
        LIMIT_MANIFEST_DEPTH = 32,
        LIMIT_MANIFEST_EVENTS = 20000,
        LIMIT_JOURNAL_RECORD = 64 * 1024,
        LIMIT_JOURNAL_BYTES = 8 * 1024 * 1024,
        LIMIT_STATE_FILE = 8 * 1024 * 1024, /* known.json, bad.json and the like */
        LIMIT_CHILD_OUTPUT = 16 * 1024 * 1024,
        LIMIT_HTTP_BODY = 64 * 1024,
        LIMIT_ENV_FILE = 1024 * 1024,
        LIMIT_LOG_LINE = 16 * 1024,
        LIMIT_TAGS = 10000,
        LIMIT_WORDS_OF_A_PERSON = 4096,        /* a lock's reason, a note */
        LIMIT_RELEASES_BODY = 4 * 1024 * 1024, /* all of a service's release data, as it comes */
};

#endif
