#include "model/reason.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/units.h"

typedef struct ReasonKind {
        const char *code;
        const char *option; /* of update that clears it; NULL: none */
        ErrCode err;        /* gives the exit status */
        bool waited;        /* the update waits for it by itself, and is not refused for it */
        bool lifts; /* by itself, at a time that is known: it is refused, but not for good */
        bool told;  /* as a note, when its option is given */
} ReasonKind;

static const ReasonKind kinds[REASON_COUNT] = {
        [REASON_INSIDE_RUN] = {"inside-run", NULL, ERR_LOCKED},
        [REASON_RUN_UNDER_WAY] = {"run-under-way", "--wait-lock", ERR_LOCKED},
        [REASON_LOCKED] = {"locked", NULL, ERR_LOCKED},
        [REASON_RUN_DAMAGED] = {"run-damaged", NULL, ERR_PERSON},
        [REASON_RUN_OPEN] = {"run-open", NULL, ERR_INTERRUPTED},
        [REASON_RUN_WAITS] = {"run-waits", NULL, ERR_INTERRUPTED},
        [REASON_NEEDS_PERSON] = {"needs-a-person", "--reinstall", ERR_PERSON},
        [REASON_PLAN_CHANGED] = {"plan-changed", NULL, ERR_REFUSED},
        [REASON_NO_SUCH_VERSION] = {"no-such-version", NULL, ERR_REFUSED},
        [REASON_NO_VERSION_BEFORE] = {"no-version-before", NULL, ERR_REFUSED},
        [REASON_MOVED_TAG] = {"moved-tag", "--even-if-bad", ERR_REFUSED},
        [REASON_BAD_VERSION] = {"bad-version", "--even-if-bad", ERR_REFUSED},
        [REASON_DOWNGRADE] = {"downgrade", "--allow-downgrade", ERR_REFUSED},
        [REASON_BREAKING] = {"breaking", "--accept-breaking", ERR_REFUSED},
        [REASON_FREEZE] = {"freeze", "--any-time", ERR_REFUSED, .told = true},
        [REASON_WINDOW] = {"window", "--any-time", ERR_REFUSED, .told = true},
        [REASON_STAGING_FIRST] = {"staging-first", NULL, ERR_REFUSED},
        [REASON_COOLDOWN] = {"cooldown", NULL, ERR_REFUSED, .lifts = true},
        [REASON_NO_WAY] = {"no-way", NULL, ERR_REFUSED},
        [REASON_SETTING_MISSING] = {"setting-missing", NULL, ERR_REFUSED},
        [REASON_CHECKOUT] = {"checkout", NULL, ERR_REFUSED},
        [REASON_UNFINISHED_GIT] = {"unfinished", NULL, ERR_REFUSED},
        [REASON_HEAD_LOCK] = {"head-lock", NULL, ERR_REFUSED},
        [REASON_INDEX_LOCK] = {"index-lock", NULL, ERR_REFUSED},
        [REASON_ADDRESS] = {"address", NULL, ERR_REFUSED},
        [REASON_REMOTE] = {"remote", NULL, ERR_REFUSED},
        [REASON_REFSPEC] = {"refspec", "--fix", ERR_REFUSED},
        [REASON_SPARSE] = {"sparse", NULL, ERR_REFUSED},
        [REASON_CORE_WORKTREE] = {"core-worktree", NULL, ERR_REFUSED},
        [REASON_LOCAL_CHANGES] = {"local-changes", NULL, ERR_REFUSED},
        [REASON_IN_THE_WAY] = {"in-the-way", NULL, ERR_REFUSED},
        [REASON_DIVERGED] = {"diverged", NULL, ERR_REFUSED},
        [REASON_FORCE_PUSHED] = {"force-pushed", "--even-if-bad", ERR_REFUSED, .told = true},
        [REASON_SET_BACK] = {"set-back", "--even-if-bad", ERR_REFUSED, .told = true},
        [REASON_SUBMODULE_MOVES] = {"submodule-moves", NULL, ERR_REFUSED},
        [REASON_SUBMODULES_EMPTY] = {"submodules-empty", NULL, ERR_REFUSED},
        [REASON_FILE_SYSTEMS] = {"file-systems", NULL, ERR_REFUSED},
        [REASON_LAYOUT] = {"layout", NULL, ERR_REFUSED},
        [REASON_SHARED_MISSING] = {"shared-missing", NULL, ERR_REFUSED},
        [REASON_TRACKED] = {"tracked", NULL, ERR_REFUSED},
        [REASON_ARTIFACT_LINK] = {"artifact-link", NULL, ERR_REFUSED},
        [REASON_BUSY] = {"busy", NULL, ERR_BUSY, .waited = true},
        [REASON_UNHEALTHY] = {"unhealthy", "--accept-unhealthy", ERR_REFUSED, .told = true},
        [REASON_RUNTIME] = {"runtime", NULL, ERR_REFUSED},
        [REASON_PORT_TAKEN] = {"port-taken", NULL, ERR_REFUSED},
        [REASON_CONFIGURATION] = {"configuration", NULL, ERR_REFUSED},
        [REASON_SECRET_NEEDED] = {"secret-needed", NULL, ERR_REFUSED},
        [REASON_BACKUP] = {"backup", NULL, ERR_REFUSED},
        [REASON_NO_BACKUP] = {"no-backup", "--revert", ERR_REFUSED},
        [REASON_OTHER_VERSION] = {"other-version", "--allow-downgrade", ERR_REFUSED},
        [REASON_NO_ROOM] = {"no-room", NULL, ERR_REFUSED},
        [REASON_MIGRATIONS] = {"migrations", NULL, ERR_REFUSED},
        [REASON_MIGRATION_CHANGED] = {"migration-changed", "--no-migrations", ERR_REFUSED},
        [REASON_NOT_UNDOABLE] = {"not-undoable", "--no-migrations", ERR_REFUSED},
        [REASON_NO_REHEARSAL] = {"no-rehearsal", "--no-rehearsal", ERR_REFUSED},
        [REASON_REFUSED] = {"refused", NULL, ERR_REFUSED},
};

const char *reason_code(ReasonCode code) { return kinds[code].code; }

const char *reason_option(ReasonCode code) { return kinds[code].option; }

bool reason_is_hard(ReasonCode code) {
        return !kinds[code].option && !kinds[code].waited && !kinds[code].lifts;
}

ReasonCode reason_find(const char *code) {
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
                if (str_equal(kinds[i].code, code))
                        return (ReasonCode)i;
        return REASON_REFUSED;
}

/* ---- the list ---- */

/* Behind those of the same code, before those that are told later. */
static void insert(ReasonList *list, Reason reason) {
        PUSH(list->items, list->n, reason);
        for (size_t i = list->n - 1; i > 0 && list->items[i - 1].code > reason.code; i--) {
                list->items[i] = list->items[i - 1];
                list->items[i - 1] = reason;
        }
}

void reason_add(ReasonList *list, ReasonCode code, int64_t lifts_at_ms, const char *hint,
        const char *format, ...) {
        va_list args;
        va_start(args, format);
        scoped(free_str) char *message = str_vformat(format, args);
        va_end(args);
        /* Names of files may hold any bytes; JSON and a terminal get text. */
        insert(list, (Reason){code, str_printable(message, true),
                             hint && *hint ? str_printable(hint, true) : NULL, lifts_at_ms});
}

static bool says_no(ErrCode code) {
        return code == ERR_REFUSED || code == ERR_LOCKED || code == ERR_INTERRUPTED ||
               code == ERR_PERSON || code == ERR_BUSY;
}

/* The reason's own exit status must not differ from that of the error that it is made of. */
static ReasonCode code_of(const Err *err) {
        ReasonCode code = reason_find(err->reason);
        if (kinds[code].err == err->code)
                return code;
        if (err->code == ERR_REFUSED)
                return REASON_REFUSED;
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
                if (kinds[i].err == err->code)
                        return (ReasonCode)i;
        return REASON_REFUSED;
}

bool reasons_take_err(ReasonList *list, Err *err) {
        bool known = false;
        if (!says_no(err->code))
                return false;
        for (size_t i = 0; i < list->n; i++)
                known = known || str_equal(list->items[i].message, err->message);
        if (!known)
                reason_add(list, code_of(err), 0, err->hint, "%s", err->message);
        err_clear(err);
        return true;
}

static void reason_done(Reason *reason) {
        free(reason->message);
        free(reason->hint);
}

void reasons_waive(ReasonList *list, bool (*given)(const void *context, const char *option),
        const void *context, Strv *notes) {
        size_t kept = 0;
        for (size_t i = 0; i < list->n; i++) {
                Reason *reason = &list->items[i];
                const ReasonKind *kind = &kinds[reason->code];
                if (!kind->option || !given(context, kind->option)) {
                        list->items[kept++] = *reason;
                        continue;
                }
                if (kind->told)
                        strv_add(notes, reason->message);
                reason_done(reason);
        }
        list->n = kept;
}

void reasons_move(ReasonList *to, ReasonList *from) {
        for (size_t i = 0; i < from->n; i++)
                insert(to, from->items[i]);
        free(from->items);
        *from = (ReasonList){0};
}

static const Reason *foremost(const ReasonList *list) {
        for (size_t i = 0; i < list->n; i++)
                if (!kinds[list->items[i].code].waited)
                        return &list->items[i];
        return NULL;
}

bool reasons_ok(const ReasonList *list, const char *title, Err *err) {
        const Reason *first = foremost(list);
        if (!first)
                return true;
        scoped(str_done) Str more = {0};
        bool also = false;
        if (first->hint)
                str_addf(&more, "%s\n", first->hint);
        for (size_t i = 0; i < list->n; i++) {
                const Reason *reason = &list->items[i];
                if (reason == first)
                        continue;
                str_addf(&more, "%s%s [%s]%s%s\n", also ? "      " : "Also: ", reason->message,
                        reason_code(reason->code), reason->hint ? ". " : "",
                        reason->hint ? reason->hint : "");
                also = true;
        }
        err_fail(err, kinds[first->code].err, "%s: %s [%s]", title, first->message,
                reason_code(first->code));
        err_reason(err, reason_code(first->code));
        return more.len ? err_hint(err, "%s", more.text) : false;
}

int reasons_exit_status(const ReasonList *list) {
        const Reason *first = foremost(list);
        return first ? err_exit_status(kinds[first->code].err) : 0;
}

void reasons_done(ReasonList *list) {
        for (size_t i = 0; i < list->n; i++)
                reason_done(&list->items[i]);
        free(list->items);
        *list = (ReasonList){0};
}

/* ---- said ---- */

json_t *reasons_to_json(const ReasonList *list) {
        json_t *array = json_array();
        for (size_t i = 0; i < list->n; i++) {
                const Reason *reason = &list->items[i];
                const char *option = reason_option(reason->code);
                json_t *object = json_object();
                js_set_str(object, "code", reason_code(reason->code));
                js_set_bool(object, "hard", reason_is_hard(reason->code));
                js_set_str(object, "message", reason->message);
                js_set(object, "clear", reason->hint ? json_string(reason->hint) : json_null());
                js_set(object, "option", option ? json_string(option) : json_null());
                js_set(object, "lifts_at",
                        reason->lifts_at_ms ? json_integer(reason->lifts_at_ms) : json_null());
                json_array_append_new(array, object);
        }
        return array;
}

bool reasons_from_json(const json_t *array, ReasonList *ret) {
        size_t i;
        json_t *object;
        if (!json_is_array(array))
                return false;
        json_array_foreach(array, i, object) {
                const char *message = js_str(object, "message");
                if (message)
                        reason_add(ret, reason_find(js_str(object, "code")),
                                js_int(object, "lifts_at", 0), js_str(object, "clear"), "%s",
                                message);
        }
        return true;
}

char *reasons_text(const ReasonList *list, const char *indent) {
        scoped(str_done) Str text = {0};
        for (size_t i = 0; i < list->n; i++) {
                const Reason *reason = &list->items[i];
                str_addf(&text, "%s%s [%s]\n", indent, reason->message, reason_code(reason->code));
                if (reason->hint)
                        str_addf(&text, "%s    %s\n", indent, reason->hint);
                if (!reason->lifts_at_ms)
                        continue;
                scoped(free_str) char *when = time_text(reason->lifts_at_ms);
                str_addf(&text, "%s    Lifts by itself at %s.\n", indent, when);
        }
        return str_take(&text);
}
