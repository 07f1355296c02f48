#include "backup/retention.h"

#include <string.h>

#include "base/own.h"

enum { MINUTE_MS = 60 * 1000, SKEW_MINUTES = 5 };
static const int64_t day_ms = (int64_t)24 * 60 * MINUTE_MS;

static bool is_proven(const BackupInfo *info) {
        return !info->salvage && !info->damaged && info->level >= 2;
}

static bool is_young(const BackupInfo *info, unsigned days, int64_t now_ms) {
        return info->taken_ms > now_ms - (int64_t)days * day_ms;
}

static bool is_pinned(const BackupInfo *info, const RetentionPolicy *policy) {
        return strv_contains(policy->pinned, info->id) || strv_contains(policy->pinned, info->name);
}

static bool keeps_itself(const BackupInfo *info, const RetentionPolicy *policy) {
        if (is_pinned(info, policy))
                return true;
        if (info->salvage)
                return is_young(info, SALVAGE_KEEP_DAYS, policy->now_ms);
        /* Of a damaged one not even the age is sure: a person looks first. */
        return info->damaged || is_young(info, policy->days, policy->now_ms);
}

/* The newest proven one of a version: what a restore to that version would take. */
static void keep_newest_of(const BackupList *list, const char *version, bool *keep) {
        for (size_t i = 0; version && i < list->n; i++)
                if (is_proven(&list->items[i]) && str_equal(list->items[i].version, version)) {
                        keep[i] = true;
                        return;
                }
}

static void keep_last(const BackupList *list, unsigned last, bool *keep) {
        for (size_t i = 0; i < list->n && last > 0; i++)
                if (!list->items[i].salvage && !list->items[i].damaged) {
                        keep[i] = true;
                        last--;
                }
}

static bool clock_is_right(const BackupList *list, int64_t now_ms, Err *err) {
        for (size_t i = 0; i < list->n; i++) {
                if (list->items[i].taken_ms <= now_ms + SKEW_MINUTES * MINUTE_MS)
                        continue;
                err_fail(err, ERR_REFUSED,
                        "backup '%s' was taken in the future: nothing is removed",
                        list->items[i].name);
                return err_hint(err, "Look at the clock of this machine.");
        }
        return true;
}

bool retention_decide(
        const BackupList *list, const RetentionPolicy *policy, bool *ret_delete, Err *err) {
        scoped(free_mem) bool *keep = NEW_ARRAY(bool, list->n + 1);
        size_t proven = 0, proven_kept = 0;
        memset(ret_delete, 0, list->n * sizeof(bool));
        if (policy->last == 0 && policy->days == 0)
                return err_fail(err, ERR_REFUSED, "a policy that keeps no backup is not followed");
        if (!clock_is_right(list, policy->now_ms, err))
                return false;
        for (size_t i = 0; i < list->n; i++)
                keep[i] = keeps_itself(&list->items[i], policy);
        keep_last(list, policy->last, keep);
        keep_newest_of(list, policy->running_version, keep);
        keep_newest_of(list, policy->rollback_version, keep);
        for (size_t i = 0; i < list->n; i++) {
                proven += is_proven(&list->items[i]);
                proven_kept += is_proven(&list->items[i]) && keep[i];
        }
        if (proven > 0 && proven_kept == 0)
                return err_fail(
                        err, ERR_REFUSED, "no proven backup would be left: nothing is removed");
        for (size_t i = 0; i < list->n; i++)
                ret_delete[i] = !keep[i];
        return true;
}

bool retention_run(const char *store, const char *service, const RetentionPolicy *policy,
        bool dry_run, Strv *ret_names, Err *err) {
        scoped(backup_list_done) BackupList list = {0};
        if (!backup_list(store, service, &list, err))
                return err_context(err, "removing old backups of '%s'", service);
        scoped(free_mem) bool *gone = NEW_ARRAY(bool, list.n + 1);
        if (!retention_decide(&list, policy, gone, err))
                return err_context(err, "removing old backups of '%s'", service);
        for (size_t i = 0; i < list.n; i++) {
                if (!gone[i])
                        continue;
                if (!dry_run && !backup_remove(store, service, list.items[i].name, err))
                        return err_context(err, "removing old backups of '%s'", service);
                strv_add(ret_names, list.items[i].name);
        }
        return true;
}
