#include "backup/restore.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/extract.h"
#include "backup/restore_place.h"
#include "base/own.h"
#include "platform/file.h"

/* -- what goes where -- */

static PlaceHow how_of(const SetItem *item) {
        return item->kind == CONTENT_SQLITE || item->is_file ? PLACE_FILES : PLACE_DIRECTORY;
}

/* A database inside of a path comes with the path, unless it alone is asked for. */
static bool is_wanted(const SetItem *item, const char *only) {
        return only ? str_equal(item->slug, only) : item->within == NULL;
}

static bool no_such_content(const RestoreRequest *request, Err *err) {
        scoped(free_str) char *shown = str_printable(request->only, false);
        err_fail(err, ERR_UNKNOWN, "backup '%s' has no content '%.80s'", request->backup, shown);
        return err_hint(err, "`belay backup show` lists its contents.");
}

/* `whole`: with the second pass. Of a proven first pass alone a copy can be made, but nothing put back. */
static bool load_set(const RestoreRequest *request, bool whole, Set *ret, Err *err) {
        if (!store_load(request->store, request->service, request->backup, ret, err))
                return false;
        if (ret->pass < (whole ? 2 : 1))
                return err_fail(
                        err, ERR_CORRUPT, "backup '%s' was never completed", request->backup);
        if (request->only && !set_item(ret, request->only))
                return no_such_content(request, err);
        return set_load_files(ret, err);
}

static PlaceHow how_of_name(const char *name) {
        return str_equal(name, "files") ? PLACE_FILES : PLACE_DIRECTORY;
}

/* A salvage is put back by moving, not copying: its place is already beside. */
static bool salvage_places(const RestoreRequest *request, PlaceList *ret, Err *err) {
        scoped(free_str) char *base = store_service_dir(request->store, request->service);
        scoped(free_str) char *dir = path_join(base, request->backup);
        scoped(js_freep) json_t *manifest = NULL;
        if (!salvage_load(dir, &manifest, err))
                return false;
        size_t i;
        json_t *one;
        json_array_foreach(js_get(manifest, "places"), i, one) {
                const char *slug = js_str(one, "slug"), *was = js_str(one, "was"),
                           *where = js_str(one, "where");
                if (!slug || !was || !where || (request->only && !str_equal(slug, request->only)))
                        continue;
                Place *p = place_list_add(
                        ret, slug, how_of_name(js_str(one, "how")), was, request->mark);
                p->is_salvage = true;
                str_replace_owned(&p->beside, str_copy(where));
        }
        return ret->n > 0 ||
               err_fail(err, ERR_UNKNOWN, "salvage '%s' has nothing to restore", request->backup);
}

bool restore_has(const RestoreRequest *request, bool salvage, Err *err) {
        if (!request->only)
                return true;
        scoped(place_list_done) PlaceList places = {0};
        if (salvage)
                return salvage_places(request, &places, NULL) || no_such_content(request, err);
        scoped(set_done) Set set = {0};
        if (!store_load(request->store, request->service, request->backup, &set, err))
                return false;
        return set_item(&set, request->only) || no_such_content(request, err);
}

static void set_places(const Set *set, const RestoreRequest *request, PlaceList *ret) {
        for (size_t i = 0; i < set->n_items; i++) {
                const SetItem *item = &set->items[i];
                if (!is_wanted(item, request->only))
                        continue;
                Place *p = place_list_add(ret, item->slug, how_of(item), item->path, request->mark);
                p->present = item->present;
        }
}

/* -- prepare -- */

static bool extract_place(const Extraction *x, const SetItem *item, const Place *p, Err *err) {
        if (item->kind == CONTENT_PATH)
                return extract_path(x, item, p->beside, err);
        scoped(free_str) char *file = place_file(p, p->beside);
        return make_private_dir(p->beside, err) && extract_database(x, item, file, err) &&
               dir_sync(p->beside, err);
}

static bool sync_parent(const char *path, Err *err) {
        scoped(free_str) char *parent = path_dirname(path);
        return dir_sync(parent, err);
}

static bool note_inodes(Place *p, Err *err) {
        scoped(free_str) char *file =
                p->how == PLACE_FILES ? place_file(p, p->beside) : str_copy(p->beside);
        if (!inode_of(p->live, &p->old, err))
                return false;
        if (!p->present)
                return true;
        if (!inode_of(file, &p->restored, err))
                return false;
        return p->restored != 0 || err_fail(err, ERR_UNKNOWN, "'%s' is not there any more", file);
}

static bool prepare_place(const Extraction *x, Place *p, const RestoreRequest *request, Err *err) {
        const SetItem *item = x ? set_item(x->set, p->slug) : NULL;
        if (item && p->present) {
                scoped(free_str) char *parent = path_dirname(p->live);
                if (!dir_make(parent, err) || !tree_remove(p->beside, err) ||
                        !extract_place(x, item, p, err) || !sync_parent(p->beside, err))
                        return false;
        }
        p->prepared = true;
        return note_inodes(p, err) && place_note(p, request->note_dir, err);
}

static bool is_noted(const PlaceList *noted, const char *slug) {
        for (size_t i = 0; i < noted->n; i++)
                if (str_equal(noted->items[i].slug, slug) && noted->items[i].prepared &&
                        !noted->items[i].undone)
                        return true;
        return false;
}

static bool release_room(const PlaceList *list, const char *mark, Err *err) {
        for (size_t i = 0; i < list->n; i++) {
                scoped(free_str) char *path = reserve_path(list->items[i].live, mark);
                if (!file_unlink(path, err))
                        return false;
        }
        return true;
}

/* Written when everything lies beside: half of a restore is none. */
static char *complete_path(const RestoreRequest *request) {
        return path_join(request->note_dir, "restore.complete");
}

/* The notes of one restore must not be taken for those of another. */
static bool notes_are_ours(const RestoreRequest *request, Err *err) {
        scoped(free_str) char *path = complete_path(request);
        scoped(free_str) char *backup = NULL;
        size_t n;
        if (!file_read_if(path, 256, &backup, &n, err))
                return false;
        return !backup || strcmp(backup, request->backup) == 0 ||
               err_fail(err, ERR_BUG, "'%s' has the notes of another restore", request->note_dir);
}

bool restore_prepare(const RestoreRequest *request, Err *err) {
        scoped(set_done) Set set = {0};
        scoped(place_list_done) PlaceList places = {0}, noted = {0};
        bool salvage = str_starts(request->backup, "salvage-");
        Extraction x = {.set = &set, .keep_setuid = request->keep_setuid, .watch = &request->watch};
        if (!notes_are_ours(request, err) || !place_load(request->note_dir, &noted, err))
                return false;
        if (salvage ? !salvage_places(request, &places, err) : !load_set(request, true, &set, err))
                return err_context(err, "preparing the restore of '%s'", request->backup);
        if (!salvage)
                set_places(&set, request, &places);
        if (!release_room(&places, request->mark, err))
                return false;
        for (size_t i = 0; i < places.n; i++)
                if (!is_noted(&noted, places.items[i].slug) &&
                        !prepare_place(salvage ? NULL : &x, &places.items[i], request, err))
                        return err_context(err, "preparing the restore of '%s'", request->backup);
        scoped(free_str) char *complete = complete_path(request);
        return file_write_durable(complete, request->backup, strlen(request->backup), 0600, err);
}

/* What is live may have been replaced since it was looked at: it is kept all the same. */
static bool look_again(Place *p, const char *note_dir, Err *err) {
        uint64_t live;
        if (!inode_of(p->live, &live, err))
                return false;
        if (live == 0 || live == p->old || live == p->restored || file_exists(p->salvage))
                return true;
        p->old = live;
        return place_note(p, note_dir, err);
}

/* -- swap, undo, discard -- */

bool restore_swap(const RestoreRequest *request, Err *err) {
        scoped(place_list_done) PlaceList list = {0};
        Err full = {0};
        if (!place_load(request->note_dir, &list, err))
                return false;
        scoped(free_str) char *complete = complete_path(request);
        if (list.n == 0 || !file_exists(complete))
                return err_fail(err, ERR_BUG, "swapping a restore that was not prepared");
        /* Listed before it is moved. A full store must not stop a rollback: then it is tried again after. */
        bool listed = salvage_write(request, &list, &full);
        if (!listed && full.code != ERR_NO_SPACE) {
                err_move(err, &full);
                return err_context(err, "listing what a restore replaces");
        }
        err_clear(&full);
        for (size_t i = 0; i < list.n; i++)
                if (!list.items[i].undone && (!look_again(&list.items[i], request->note_dir, err) ||
                                                     !place_swap(&list.items[i], err)))
                        return err_context(err, "putting back '%s'", list.items[i].slug);
        if (!listed)
                (void)salvage_write(request, &list, NULL);
        return true;
}

bool restore_undo(const RestoreRequest *request, Err *err) {
        scoped(place_list_done) PlaceList list = {0};
        if (!place_load(request->note_dir, &list, err))
                return false;
        for (size_t i = list.n; i-- > 0;) {
                Place *p = &list.items[i];
                if (p->undone || !p->prepared)
                        continue;
                if (!place_undo(p, err))
                        return err_context(
                                err, "putting back what the restore of '%s' replaced", p->slug);
                p->undone = true;
                if (!place_note(p, request->note_dir, err))
                        return false;
        }
        return true;
}

static bool is_to_keep(const Place *p) {
        return p->undone && !p->is_salvage && file_exists(p->beside) && !file_exists(p->salvage);
}

/* The list that the swap wrote is of what is live again. Listed before it is moved. */
static bool list_undone(const RestoreRequest *request, const PlaceList *list, Err *err) {
        scoped(free_str) char *base = store_service_dir(request->store, request->service);
        scoped(free_str) char *path =
                str_format("%s/salvage-%s/MANIFEST.json", base, request->mark);
        return file_unlink(path, err) && salvage_write(request, list, err);
}

bool restore_keep_undone(const RestoreRequest *request, Err *err) {
        scoped(place_list_done) PlaceList list = {0};
        if (!place_load(request->note_dir, &list, err))
                return false;
        bool any = false;
        for (size_t i = 0; i < list.n; i++)
                any = any || is_to_keep(&list.items[i]);
        if (any && !list_undone(request, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++)
                if (is_to_keep(&list.items[i]) &&
                        !file_rename(list.items[i].beside, list.items[i].salvage, err))
                        return err_context(
                                err, "keeping what was written to '%s'", list.items[i].slug);
        return true;
}

static bool forget_salvage(const RestoreRequest *request, Err *err) {
        scoped(free_str) char *base = store_service_dir(request->store, request->service);
        scoped(free_str) char *dir = str_format("%s/salvage-%s", base, request->mark);
        scoped(js_freep) json_t *manifest = NULL;
        if (!file_exists(dir) || !salvage_load(dir, &manifest, NULL))
                return true;
        return salvage_places_left(manifest) > 0 || tree_remove(dir, err);
}

bool restore_discard(const RestoreRequest *request, Err *err) {
        scoped(place_list_done) PlaceList list = {0}, all = {0};
        scoped(set_done) Set set = {0};
        if (!place_load(request->note_dir, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++)
                if (!place_discard(&list.items[i], err))
                        return false;
        /* Trees that were begun and not noted yet. */
        if (!str_starts(request->backup, "salvage-") &&
                store_load(request->store, request->service, request->backup, &set, NULL))
                set_places(&set, request, &all);
        for (size_t i = 0; i < all.n; i++)
                if (!is_noted(&list, all.items[i].slug) && !tree_remove(all.items[i].beside, err))
                        return false;
        return forget_salvage(request, err);
}

bool restore_stage(const RestoreRequest *request, RestoreStage *ret, Err *err) {
        scoped(place_list_done) PlaceList list = {0};
        size_t swapped = 0, undone = 0;
        if (!place_load(request->note_dir, &list, err))
                return false;
        for (size_t i = 0; i < list.n; i++) {
                bool is = false;
                if (!place_is_swapped(&list.items[i], &is, err))
                        return false;
                undone += list.items[i].undone;
                swapped += is && !list.items[i].undone;
        }
        scoped(free_str) char *complete = complete_path(request);
        *ret = list.n == 0 || !file_exists(complete) ? RESTORE_NONE
               : undone == list.n                    ? RESTORE_UNDONE
               : swapped == list.n                   ? RESTORE_SWAPPED
               : swapped > 0                         ? RESTORE_PARTLY
                                                     : RESTORE_PREPARED;
        return true;
}

/* -- elsewhere -- */

static int real_names(const struct dirent *d) {
        return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static bool must_be_empty(const char *dir, Err *err) {
        struct dirent **names = NULL;
        int n = scandir(dir, &names, real_names, alphasort);
        if (n < 0 && errno == ENOENT)
                return true;
        if (n < 0)
                return err_fail_errno(err, ERR_IO, errno, "listing '%s'", dir);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        if (n == 0)
                return true;
        err_fail(err, ERR_REFUSED, "'%s' is not empty", dir);
        return err_hint(err, "Name an empty directory, or one that does not exist.");
}

bool restore_to(const RestoreRequest *request, const char *dir, Err *err) {
        scoped(set_done) Set set = {0};
        Extraction x = {.set = &set, .keep_setuid = request->keep_setuid, .watch = &request->watch};
        if (!must_be_empty(dir, err) || !load_set(request, false, &set, err) || !dir_make(dir, err))
                return false;
        for (size_t i = 0; i < set.n_items; i++) {
                const SetItem *item = &set.items[i];
                scoped(free_str) char *to = path_join(dir, item->slug);
                if (!is_wanted(item, request->only) || !item->present)
                        continue;
                bool ok = item->kind == CONTENT_PATH ? extract_path(&x, item, to, err)
                                                     : extract_database(&x, item, to, err);
                if (!ok)
                        return false;
        }
        return dir_sync(dir, err);
}
