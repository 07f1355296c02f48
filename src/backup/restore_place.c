#include "backup/restore_place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/extract.h"
#include "base/limits.h"
#include "base/own.h"
#include "platform/fault.h"
#include "platform/file.h"

/* A file's place is told by the file itself: it is the last to leave and the last to come. While it is live, sidecars
 * beside it are its own; when it is gone, they are those of what comes. */
static const char *const members[] = {"-shm", "-journal", "-wal", ""};

void place_list_done(PlaceList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i].slug);
                free(list->items[i].live);
                free(list->items[i].beside);
                free(list->items[i].salvage);
        }
        free(list->items);
        *list = (PlaceList){0};
}

static char *beside_name(const char *path, const char *word, const char *mark) {
        scoped(free_str) char *dir = path_dirname(path);
        scoped(free_str) char *name = str_format(".%s.%s-%s", path_basename(path), word, mark);
        return path_join(dir, name);
}

char *reserve_path(const char *path, const char *mark) {
        return beside_name(path, "belay-reserve", mark);
}

Place *place_list_add(
        PlaceList *list, const char *slug, PlaceHow how, const char *live, const char *mark) {
        Place place = {
                .slug = str_copy(slug),
                .how = how,
                .present = true,
                .live = str_copy(live),
                .beside = beside_name(live, "belay", mark),
                .salvage = beside_name(live, "salvage", mark),
        };
        PUSH(list->items, list->n, place);
        return &list->items[list->n - 1];
}

/* -- notes -- */

static char *note_path(const char *note_dir, const char *slug) {
        scoped(free_str) char *name = str_format("restore-%s.json", slug);
        return path_join(note_dir, name);
}

bool place_note(const Place *p, const char *note_dir, Err *err) {
        scoped(js_freep) json_t *o = json_object();
        js_set_str(o, "slug", p->slug);
        js_set_str(o, "how", p->how == PLACE_DIRECTORY ? "directory" : "files");
        js_set_bool(o, "present", p->present);
        js_set_bool(o, "prepared", p->prepared);
        js_set_bool(o, "undone", p->undone);
        js_set_bool(o, "is_salvage", p->is_salvage);
        js_set_str(o, "live", p->live);
        js_set_str(o, "beside", p->beside);
        js_set_str(o, "salvage", p->salvage);
        js_set_int(o, "restored", (int64_t)p->restored);
        js_set_int(o, "old", (int64_t)p->old);
        scoped(free_str) char *text = js_pretty(o);
        scoped(free_str) char *path = note_path(note_dir, p->slug);
        return file_write_durable(path, text, strlen(text), 0600, err);
}

static bool load_one(const char *path, PlaceList *list, Err *err) {
        scoped(free_str) char *text = NULL;
        size_t bytes;
        if (!file_read(path, LIMIT_STATE_FILE, &text, &bytes, err))
                return false;
        scoped(js_freep) json_t *o = js_parse(text, bytes, path, err);
        if (!o)
                return false;
        const char *slug = js_str(o, "slug"), *how = js_str(o, "how"), *live = js_str(o, "live");
        const char *beside = js_str(o, "beside"), *salvage = js_str(o, "salvage");
        if (!slug || !how || !live || !beside || !salvage)
                return err_fail(err, ERR_CORRUPT, "'%s' is no note of a restore", path);
        Place place = {
                .slug = str_copy(slug),
                .how = strcmp(how, "files") == 0 ? PLACE_FILES : PLACE_DIRECTORY,
                .present = js_bool(o, "present", true),
                .prepared = js_bool(o, "prepared", false),
                .undone = js_bool(o, "undone", false),
                .is_salvage = js_bool(o, "is_salvage", false),
                .live = str_copy(live),
                .beside = str_copy(beside),
                .salvage = str_copy(salvage),
                .restored = (uint64_t)js_int(o, "restored", 0),
                .old = (uint64_t)js_int(o, "old", 0),
        };
        PUSH(list->items, list->n, place);
        return true;
}

static int note_names(const struct dirent *d) {
        return str_starts(d->d_name, "restore-") && str_ends(d->d_name, ".json");
}

bool place_load(const char *note_dir, PlaceList *ret, Err *err) {
        struct dirent **names = NULL;
        int n = scandir(note_dir, &names, note_names, alphasort);
        bool ok = n >= 0 || err_fail_errno(err, ERR_IO, errno, "listing '%s'", note_dir);
        for (int i = 0; i < n; i++) {
                scoped(free_str) char *path = path_join(note_dir, names[i]->d_name);
                ok = ok && load_one(path, ret, err);
                free(names[i]);
        }
        free(names);
        return ok;
}

/* -- looking -- */

bool inode_of(const char *path, uint64_t *ret, Err *err) {
        struct stat st;
        bool there;
        if (!file_stat(path, &st, &there, err))
                return false;
        *ret = there ? st.st_ino : 0;
        return true;
}

char *place_file(const Place *p, const char *dir) { return path_join(dir, path_basename(p->live)); }

/* What counts of the directory beside or salvage: itself, or the file in it. */
static char *what_counts(const Place *p, const char *dir) {
        return p->how == PLACE_DIRECTORY ? str_copy(dir) : place_file(p, dir);
}

static bool inode_in(const Place *p, const char *dir, uint64_t *ret, Err *err) {
        scoped(free_str) char *path = what_counts(p, dir);
        return inode_of(path, ret, err);
}

bool place_is_swapped(const Place *p, bool *ret, Err *err) {
        uint64_t live;
        if (!inode_of(p->live, &live, err))
                return false;
        *ret = p->present ? live != 0 && live == p->restored : live == 0;
        return true;
}

static bool drift(const Place *p, Err *err) {
        err_fail(err, ERR_DRIFT, "'%s' is neither what was there nor what is to be restored",
                p->live);
        return err_hint(err,
                "Somebody else changed it. What was there may be in '%s', the restored in '%s'.",
                p->salvage, p->beside);
}

/* -- files with sidecars -- */

static bool link_file(const char *from, const char *to, Err *err) {
        if (fault_before("link", to) || link(from, to) != 0)
                return err_fail_errno(err, ERR_IO, errno, "linking '%s' as '%s'", from, to);
        fault_after();
        return true;
}

/* On disk before anything is moved into it; one that died may have made it without the sync. */
static bool ensure_dir(const char *path, Err *err) {
        scoped(free_str) char *parent = path_dirname(path);
        return (file_exists(path) || make_private_dir(path, err)) && dir_sync(parent, err);
}

static bool link_aside(const Place *p, const char *dir, const char *member, Err *err) {
        scoped(free_str) char *from = str_format("%s%s", p->live, member);
        scoped(free_str) char *to = str_format("%s/%s%s", dir, path_basename(p->live), member);
        uint64_t inode, other;
        if (!inode_of(from, &inode, err) || !inode_of(to, &other, err))
                return false;
        if (inode == 0 || inode == other)
                return true;
        if (other != 0)
                return drift(p, err);
        Err failed = {0};
        bool linked = link_file(from, to, &failed);
        bool unable = failed.sys == EPERM || failed.sys == EOPNOTSUPP || failed.sys == EMLINK;
        if (!linked && !unable) {
                err_move(err, &failed);
                return false;
        }
        err_clear(&failed); /* without hard links: renamed below */
        return true;
}

/* First every file gets a second name in `dir`, then loses its first one: whenever it stops, the database and its
 * own WAL are together in one of the two places. */
static bool move_aside(const Place *p, const char *dir, Err *err) {
        if (!ensure_dir(dir, err))
                return false;
        for (size_t i = 0; i < COUNT_OF(members); i++)
                if (!link_aside(p, dir, members[i], err))
                        return false;
        if (!dir_sync(dir, err))
                return false;
        for (size_t i = 0; i < COUNT_OF(members); i++) {
                scoped(free_str) char *from = str_format("%s%s", p->live, members[i]);
                scoped(free_str) char *to =
                        str_format("%s/%s%s", dir, path_basename(p->live), members[i]);
                bool moved = file_exists(to) ? file_unlink(from, err)
                                             : !file_exists(from) || file_rename(from, to, err);
                if (!moved)
                        return false;
        }
        return true;
}

static bool put_in_place(const Place *p, const char *dir, Err *err) {
        for (size_t i = 0; i < COUNT_OF(members); i++) {
                scoped(free_str) char *from =
                        str_format("%s/%s%s", dir, path_basename(p->live), members[i]);
                scoped(free_str) char *to = str_format("%s%s", p->live, members[i]);
                if (file_exists(from) && !file_exists(to) && !file_rename(from, to, err))
                        return false;
        }
        return true;
}

/* Inodes of what counts in the three places; 0: nothing is there. */
typedef struct Seen {
        uint64_t live, beside, salvage;
} Seen;

static bool look(const Place *p, Seen *ret, Err *err) {
        return inode_of(p->live, &ret->live, err) && inode_in(p, p->beside, &ret->beside, err) &&
               inode_in(p, p->salvage, &ret->salvage, err);
}

static bool is_swapped(const Place *p, const Seen *seen) {
        return p->present ? seen->live != 0 && seen->live == p->restored : seen->live == 0;
}

/* Before the swap: the prepared lies ready, and what is live (or on its way to the salvage) is the old. */
static bool may_swap(const Place *p, const Seen *seen) {
        bool ready = !p->present || seen->beside == p->restored;
        bool known = seen->live == p->old || (seen->live == 0 && seen->salvage == p->old);
        return ready && known;
}

static bool swap_files(Place *p, Err *err) {
        Seen seen;
        if (!look(p, &seen, err))
                return false;
        if (p->present && is_swapped(p, &seen))
                return tree_remove(p->beside, err);
        if (!may_swap(p, &seen))
                return drift(p, err);
        if (seen.live != 0 && !move_aside(p, p->salvage, err))
                return false;
        return !p->present || (put_in_place(p, p->beside, err) && tree_remove(p->beside, err));
}

/* In whatever state the swap is: what was there comes back with all that was moved of it. */
static bool undo_files(Place *p, Err *err) {
        Seen seen;
        if (!look(p, &seen, err))
                return false;
        if (seen.live != 0 && seen.live != p->old && seen.live != p->restored)
                return drift(p, err);
        if (p->old != 0 && seen.live != p->old && seen.salvage != p->old)
                return drift(p, err);
        if (seen.live != 0 && seen.live == p->restored && !move_aside(p, p->beside, err))
                return false;
        return p->old == 0 || (put_in_place(p, p->salvage, err) && tree_remove(p->salvage, err));
}

/* -- directories -- */

/* Some file systems cannot exchange: then two renames, with a moment in between in which there is nothing. */
static bool exchange(const char *incoming, const char *live, const char *aside, Err *err) {
        Err failed = {0};
        if (file_exchange(incoming, live, &failed))
                return true;
        if (failed.sys != EINVAL && failed.sys != ENOSYS && failed.sys != EOPNOTSUPP) {
                err_move(err, &failed);
                return false;
        }
        err_clear(&failed);
        return file_rename(live, aside, err) && file_rename(incoming, live, err);
}

static bool exchange_in(const Place *p, const Seen *seen, Err *err) {
        if (!may_swap(p, seen))
                return drift(p, err);
        if (!p->present)
                return file_rename(p->live, p->salvage, err);
        if (seen->live == 0)
                return file_rename(p->beside, p->live, err);
        return exchange(p->beside, p->live, p->salvage, err);
}

static bool swap_directory(Place *p, Err *err) {
        Seen seen;
        if (!look(p, &seen, err) || (!is_swapped(p, &seen) && !exchange_in(p, &seen, err)) ||
                !look(p, &seen, err))
                return false;
        return p->old == 0 || seen.beside != p->old || file_rename(p->beside, p->salvage, err);
}

/* Where the old is; NULL: there was none, or it is gone. */
static const char *old_place(const Place *p, const Seen *seen) {
        if (p->old == 0)
                return NULL;
        if (seen->salvage == p->old)
                return p->salvage;
        return seen->beside == p->old ? p->beside : NULL;
}

static bool exchange_out(const Place *p, const Seen *seen, Err *err) {
        const char *old = old_place(p, seen);
        bool swapped = is_swapped(p, seen);
        if (swapped && !old && p->old == 0)
                return !p->present || file_rename(p->live, p->beside, err);
        if (!old && seen->live == p->old)
                return true; /* was never swapped, or is undone already */
        if (old && seen->live == 0)
                return file_rename(old, p->live, err);
        if (swapped && old)
                return exchange(old, p->live, p->beside, err);
        return drift(p, err);
}

static bool undo_directory(Place *p, Err *err) {
        Seen seen;
        if (!look(p, &seen, err) || !exchange_out(p, &seen, err) || !look(p, &seen, err))
                return false;
        bool moved = seen.salvage != 0 && seen.salvage == p->restored;
        return !moved || file_rename(p->salvage, p->beside, err);
}

bool place_swap(Place *p, Err *err) {
        return p->how == PLACE_FILES ? swap_files(p, err) : swap_directory(p, err);
}

bool place_undo(Place *p, Err *err) {
        return p->how == PLACE_FILES ? undo_files(p, err) : undo_directory(p, err);
}

bool place_discard(Place *p, Err *err) {
        Seen seen;
        if (p->is_salvage)
                return true;
        if (!look(p, &seen, err))
                return false;
        /* Exchanged, but what was there not yet renamed: that is no longer ours to remove. */
        if (p->prepared && seen.beside != 0 && seen.beside == p->old)
                return place_swap(p, err);
        return tree_remove(p->beside, err);
}
