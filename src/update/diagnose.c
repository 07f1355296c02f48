#include "update/diagnose.h"

#include <string.h>

#include "base/own.h"

typedef struct Sign {
        const char *text; /* somewhere in the log or the reason, in any case */
        const char *likely;
} Sign;

/* The first that fits counts: the more telling ones stand first. */
static const Sign signs[] = {
        {"no such column",
                "the new version cannot read its database: a migration is missing or did not run"},
        {"no such table",
                "the new version cannot read its database: a migration is missing or did not run"},
        {"database is locked", "another process holds the database"},
        {"malformed", "the database file is damaged"},
        {"readonly database", "the service's user may not write to its database"},
        {"address already in use", "the port is taken by another program"},
        {"EADDRINUSE", "the port is taken by another program"},
        {"ModuleNotFoundError", "a dependency of the new version is not installed"},
        {"Cannot find module", "a dependency of the new version is not installed"},
        {"cannot open shared object file", "a library of the new version is not installed"},
        {"out of memory", "there is not enough memory"},
        {"signal 9", "it was ended from outside, maybe for lack of memory"},
        {"signal 11", "the new version crashes"},
        {"No space left on device", "a disk is full"},
        {"Permission denied", "the service's user may not read or write a file"},
        {"connection refused",
                "it does not listen where it is asked, or something that it needs does not run"},
        {"SyntaxError", "a file of the new version cannot be read by its interpreter"},
        {"answered 500", "the new version fails while it answers; its log says more"},
        {"answered 503", "it says itself that it is not ready"},
        {"no answer", "it takes longer to start than start.timeout allows, or hangs"},
};

const char *likely_cause(const char *reason, const char *log) {
        for (size_t i = 0; i < COUNT_OF(signs); i++)
                if ((log && strcasestr(log, signs[i].text)) ||
                        (reason && strcasestr(reason, signs[i].text)))
                        return signs[i].likely;
        return NULL;
}
