#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

typedef struct ErrKind {
        const char *name;
        int exit_status;
} ErrKind;

static const ErrKind kinds[] = {
        [ERR_NONE] = {"none", 0},
        [ERR_USAGE] = {"usage", 2},
        [ERR_MANIFEST] = {"manifest", 2},
        [ERR_UNKNOWN] = {"unknown", 2},
        [ERR_IO] = {"io", 1},
        [ERR_NO_SPACE] = {"no_space", 1},
        [ERR_REMOTE] = {"remote", 1},
        [ERR_TOOL] = {"tool", 1},
        [ERR_TIMEOUT] = {"timeout", 1},
        [ERR_ANSWER_NO] = {"answer_no", 1},
        [ERR_CORRUPT] = {"corrupt", 1},
        [ERR_ROLLED_BACK] = {"rolled_back", 3},
        [ERR_PERSON] = {"needs_a_person", 4},
        [ERR_DRIFT] = {"drift", 4},
        [ERR_LOCKED] = {"locked", 5},
        [ERR_REFUSED] = {"refused", 6},
        [ERR_INTERRUPTED] = {"interrupted", 7},
        [ERR_INCONCLUSIVE] = {"inconclusive", 8},
        [ERR_UNFINISHED] = {"unfinished", 9},
        [ERR_IN_USE] = {"in_use", 1},
        [ERR_BUSY] = {"busy", 75},
        [ERR_CANCELLED] = {"cancelled", 130},
        [ERR_BUG] = {"bug", 1},
};

const char *errno_text(int errnum) {
        const char *text = strerrordesc_np(errnum);
        return text ? text : "unknown error";
}

static bool fill(Err *err, ErrCode code, int errnum, char *message) {
        if (!err) {
                free(message);
                return false;
        }
        err_clear(err);
        err->code = code;
        err->sys = errnum;
        err->message = message;
        return false;
}

bool(err_fail)(Err *err, ErrCode code, const char *format, ...) {
        va_list args;
        va_start(args, format);
        char *message = str_vformat(format, args);
        va_end(args);
        return fill(err, code, 0, message);
}

bool(err_fail_errno)(Err *err, ErrCode code, int errnum, const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *what = str_vformat(format, args);
        va_end(args);
        if (code == ERR_IO && (errnum == ENOSPC || errnum == EDQUOT))
                code = ERR_NO_SPACE;
        return fill(err, code, errnum, str_format("%s: %s", what, errno_text(errnum)));
}

bool(err_context)(Err *err, const char *format, ...) {
        if (!err || err->code == ERR_NONE)
                return false;
        va_list args;
        va_start(args, format);
        scoped(free_str) char *what = str_vformat(format, args);
        va_end(args);
        char *joined = str_format("%s: %s", what, err->message);
        free(err->message);
        err->message = joined;
        return false;
}

bool(err_hint)(Err *err, const char *format, ...) {
        if (!err)
                return false;
        va_list args;
        va_start(args, format);
        char *hint = str_vformat(format, args); /* may be made from the old one */
        va_end(args);
        free(err->hint);
        err->hint = hint;
        return false;
}

bool(err_reason)(Err *err, const char *reason) {
        if (err)
                err->reason = reason;
        return false;
}

void err_clear(Err *err) {
        free(err->message);
        free(err->hint);
        *err = (Err){0};
}

void err_move(Err *to, Err *from) {
        if (!to) {
                err_clear(from);
                return;
        }
        err_clear(to);
        *to = *from;
        *from = (Err){0};
}

int err_exit_status(ErrCode code) { return kinds[code].exit_status; }

const char *err_name(ErrCode code) { return kinds[code].name; }

ErrCode err_code_of_name(const char *name) {
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
                if (name && strcmp(kinds[i].name, name) == 0)
                        return (ErrCode)i;
        return ERR_BUG;
}
