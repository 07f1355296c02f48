#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/session.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"

enum { DATABASES_MAX = 200, HEADER_BYTES = 100, ROOM_SLACK = 1024 * 1024, FILE_OVERHEAD = 1024 };

typedef struct Finding {
        BackupPlan *plan;
        size_t item;    /* the path that is walked */
        Strv databases; /* inner names, declared and found */
        unsigned found;
        bool said_setuid, said_owner;
        const BackupWatch *watch;
} Finding;

static unsigned big(const unsigned char *p, unsigned n) {
        unsigned value = 0;
        for (unsigned i = 0; i < n; i++)
                value = value << 8 | p[i];
        return value;
}

/* What the first bytes say (sqlite.org/fileformat2.html, 1.3); opening it through SQLite would leave sidecars. */
static bool parse_header(const unsigned char *h, PlanItem *item) {
        unsigned page_size = big(h + 16, 2);
        page_size = page_size == 1 ? 65536 : page_size;
        if (memcmp(h, "SQLite format 3", 16) != 0 || page_size < 512 ||
                (page_size & (page_size - 1)) != 0)
                return false;
        item->page_size = page_size;
        item->page_count = (uint32_t)(item->bytes / page_size);
        str_replace_owned(&item->journal_mode, str_copy(h[18] == 2 ? "wal" : "delete"));
        return true;
}

static bool read_header(int fd, unsigned char *h) {
        return pread(fd, h, HEADER_BYTES, 0) == HEADER_BYTES;
}

static uint64_t wal_bytes(const char *database) {
        scoped(free_str) char *wal = str_format("%s-wal", database);
        struct stat st;
        return lstat(wal, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static PlanItem *add_item(BackupPlan *plan, ContentKind kind, char *slug, char *path) {
        PlanItem item = {.kind = kind, .slug = slug, .path = path};
        PUSH(plan->items, plan->n_items, item);
        return &plan->items[plan->n_items - 1];
}

/* -- walking a path -- */

static bool add_found_database(Finding *f, const WalkPlace *place, const struct stat *st,
        const PlanItem *header, Err *err) {
        PlanItem *owner = &f->plan->items[f->item];
        if (++f->found > DATABASES_MAX) {
                err_fail(err, ERR_REFUSED, "'%s' holds more than %d SQLite databases", owner->path,
                        DATABASES_MAX);
                return err_hint(err,
                        "Name the ones that matter under backup.contents, and caches not at all.");
        }
        char *slug = str_format("%s.%u", owner->slug, f->found);
        char *path = owner->is_file ? str_copy(owner->path) : path_join(owner->path, place->path);
        char *within = str_copy(owner->slug);
        PlanItem *item = add_item(f->plan, CONTENT_SQLITE, slug, path);
        item->within = within;
        item->present = true;
        item->files = 1;
        item->bytes = (uint64_t)st->st_size + wal_bytes(item->path);
        item->page_size = header->page_size;
        item->page_count = header->page_count;
        item->journal_mode = str_copy(header->journal_mode);
        item->swap = "with its directory";
        if (st->st_nlink > 1)
                strv_addf(&f->plan->refusals,
                        "database '%s' has %u names (hard links): no copy of it can be trusted",
                        path, (unsigned)st->st_nlink);
        strv_add(&f->databases, place->path);
        return true;
}

static bool look_for_database(
        Finding *f, const WalkPlace *place, const struct stat *st, bool *ret_is, Err *err) {
        scoped(close_fd) int fd = -1;
        unsigned char h[HEADER_BYTES];
        PlanItem header = {.bytes = (uint64_t)st->st_size};
        *ret_is = false;
        if (!walk_open_file(place, &fd, err))
                return err_hint(err, "Every file of a backup must be readable: leave it out, or "
                                     "let Belay read it.");
        if (fd < 0 || st->st_size < 512 || st->st_size % 512 != 0 || !read_header(fd, h) ||
                !parse_header(h, &header))
                return true;
        *ret_is = true;
        bool ok = add_found_database(f, place, st, &header, err);
        free(header.journal_mode);
        return ok;
}

static bool in_groups(gid_t gid) {
        gid_t groups[256];
        int n = getgroups((int)COUNT_OF(groups), groups);
        for (int i = 0; i < n; i++)
                if (groups[i] == gid)
                        return true;
        return gid == getegid();
}

static void look_at_owner(Finding *f, const WalkPlace *place, const struct stat *st) {
        const PlanItem *owner = &f->plan->items[f->item];
        if (S_ISREG(st->st_mode) && (st->st_mode & 06000) && !f->said_setuid) {
                f->said_setuid = true;
                strv_addf(&f->plan->warnings,
                        "'%s/%s' has a set-uid or set-gid bit, which a restore leaves out",
                        owner->path, place->path);
        }
        if (geteuid() == 0 || f->said_owner || (st->st_uid == geteuid() && in_groups(st->st_gid)))
                return;
        f->said_owner = true;
        strv_addf(&f->plan->refusals,
                "'%s/%s' belongs to another user or group: only root could restore it", owner->path,
                place->path);
}

static bool is_known_database(const Finding *f, const char *path) {
        for (size_t i = 0; f->databases && f->databases[i]; i++)
                if (path_is_of_database(path, f->databases[i]))
                        return true;
        return false;
}

static bool look(void *context, const WalkPlace *place, const struct stat *st, Err *err) {
        Finding *f = context;
        scoped(file_entry_done) FileEntry entry = {0};
        bool is_database = false;
        if (!file_entry_of(place->path, st, &entry, err))
                return false;
        look_at_owner(f, place, st);
        if (is_known_database(f, place->path))
                return true;
        if (entry.type == FILE_REGULAR && !look_for_database(f, place, st, &is_database, err))
                return false;
        if (is_database || entry.type == FILE_DIRECTORY)
                return true;
        f->plan->items[f->item].files++;
        f->plan->items[f->item].bytes += entry.size;
        return true;
}

static void finding_done(Finding *f) { strv_free(f->databases); }

static bool walk_item(BackupPlan *plan, size_t at, const BackupWatch *watch, Err *err) {
        scoped(finding_done) Finding f = {.plan = plan, .item = at, .watch = watch};
        size_t prefix = strlen(plan->items[at].path) + 1;
        for (size_t i = 0; i < plan->n_items; i++)
                if (str_equal(plan->items[i].within, plan->items[at].slug))
                        strv_add(&f.databases, plan->items[i].path + prefix);
        Walk w = {.root = plan->items[at].path,
                .is_file = plan->items[at].is_file,
                .visit = look,
                .context = &f,
                .cancel = watch->cancel};
        Err found = {0};
        if (walk(&w, &found))
                return true;
        bool refused = found.code == ERR_REFUSED;
        if (refused)
                strv_addf(&plan->refusals, "%s", found.message);
        else
                err_move(err, &found);
        err_clear(&found);
        return refused;
}

/* -- declared contents -- */

static bool is_inside(const char *path, const char *dir) {
        size_t n = strlen(dir);
        return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static const Content *enclosing(const Service *service, const Content *content, const char *real) {
        for (size_t i = 0; i < service->backup.n_contents; i++) {
                const Content *other = &service->backup.contents[i];
                scoped(free_str) char *dir = file_real(other->path);
                bool same_earlier = str_equal(dir, real) && other < content;
                if (other == content || other->kind != CONTENT_PATH || !dir)
                        continue;
                if (same_earlier || (!str_equal(dir, real) && is_inside(real, dir)))
                        return other;
        }
        return NULL;
}

static bool measure_database(BackupPlan *plan, PlanItem *item, const struct stat *st) {
        unsigned char h[HEADER_BYTES];
        item->bytes = (uint64_t)st->st_size + wal_bytes(item->path);
        item->files = 1;
        if (!S_ISREG(st->st_mode)) {
                strv_addf(&plan->refusals, "'%s' is %s", item->path,
                        S_ISLNK(st->st_mode) ? "a symbolic link that leads nowhere"
                                             : "no SQLite database, not even a file");
                return true;
        }
        if (st->st_nlink > 1)
                strv_addf(&plan->refusals,
                        "database '%s' has %u names (hard links): no copy of it can be trusted",
                        item->path, (unsigned)st->st_nlink);
        if (st->st_size == 0) {
                item->journal_mode = str_copy("delete");
                strv_addf(&plan->warnings, "database '%s' is empty", item->path);
                return true;
        }
        scoped(close_fd) int fd = open(item->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return false;
        if (!read_header(fd, h) || !parse_header(h, item))
                strv_addf(&plan->refusals, "'%s' is no SQLite database", item->path);
        return true;
}

static bool is_mount_point(const char *path) {
        struct statx st;
        return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0 &&
               (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* A restore is made beside and exchanged: that must be possible. */
static void look_at_swap(BackupPlan *plan, PlanItem *item) {
        scoped(free_str) char *parent = path_dirname(item->path);
        if (item->within)
                return;
        item->swap = item->kind == CONTENT_SQLITE ? "database rename"
                     : item->is_file              ? "file rename"
                                                  : "directory rename";
        if (item->present && is_mount_point(item->path))
                strv_addf(&plan->refusals,
                        "'%s' is a mount point: a restore could not put another in its place. "
                        "Name a directory inside of it",
                        item->path);
        if (access(parent, W_OK | X_OK) != 0)
                strv_addf(&plan->refusals,
                        "'%s' cannot be written: a restore of '%s' could not be put in its place",
                        parent, path_basename(item->path));
}

/* A path that is a single file may be a database, too. */
static bool is_database(const char *path) {
        scoped(close_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        unsigned char h[HEADER_BYTES];
        PlanItem item = {.bytes = HEADER_BYTES};
        bool is = fd >= 0 && read_header(fd, h) && parse_header(h, &item);
        free(item.journal_mode);
        return is;
}

static bool measure_declared(BackupPlan *plan, PlanItem *item, const struct stat *st, Err *err) {
        if (item->kind == CONTENT_PATH && !(item->is_file && is_database(item->path))) {
                if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
                        strv_addf(&plan->refusals, "'%s' is neither a directory nor a file",
                                item->path);
                return true;
        }
        item->kind = CONTENT_SQLITE;
        item->is_file = false;
        item->swap = item->within ? item->swap : "database rename";
        return measure_database(plan, item, st) ||
               err_fail_errno(err, ERR_IO, errno, "reading '%s'", item->path);
}

/* Rows may be in there that no database shows any more; SQLite would throw them away at the next start. */
static bool refuse_lone_wal(const char *path, Err *err) {
        scoped(free_str) char *wal = str_format("%s-wal", path);
        struct stat st;
        bool there = false;
        if (!file_stat(wal, &st, &there, err))
                return false;
        if (!there || st.st_size == 0)
                return true;
        err_fail(err, ERR_REFUSED, "'%s' is there, but not its database '%s'", wal, path);
        return err_hint(err, "Was the database moved or deleted? Put both back, or move the -wal "
                             "away.");
}

static bool declare(
        BackupPlan *plan, const BackupRequest *request, const Content *content, Err *err) {
        scoped(free_str) char *real = file_real(content->path);
        struct stat st;
        bool there = false;
        if (real && !file_stat(real, &st, &there, err))
                return false;
        const char *path = real ? real : content->path;
        const Content *outer = enclosing(request->service, content, path);
        if (outer && content->kind == CONTENT_PATH) {
                strv_addf(&plan->warnings, "'%s' is backed up as a part of '%s'", content->path,
                        outer->path);
                return true;
        }
        for (size_t i = 0; i < plan->n_items; i++)
                if (str_equal(plan->items[i].path, path)) {
                        strv_addf(&plan->warnings, "'%s' is '%s', which is backed up already",
                                content->path, path);
                        return true;
                }
        PlanItem *item = add_item(plan, content->kind, str_copy(content->slug), str_copy(path));
        item->present = there;
        item->within = outer ? str_copy(outer->slug) : NULL;
        item->swap = "with its directory";
        item->is_file = there && S_ISREG(st.st_mode);
        look_at_swap(plan, item);
        if (there)
                return measure_declared(plan, item, &st, err);
        if (content->kind == CONTENT_SQLITE && !refuse_lone_wal(path, err))
                return false;
        strv_addf(&plan->warnings, "'%s' is to be backed up, but there is nothing", content->path);
        return true;
}

/* -- room -- */

typedef struct Disk {
        dev_t dev;
        char *path;
        uint64_t needs;
} Disk;

static bool device_of(const char *path, dev_t *ret, Err *err) {
        scoped(free_str) char *at = str_copy(path);
        struct stat st;
        while (stat(at, &st) != 0) {
                if (errno != ENOENT || strcmp(at, "/") == 0)
                        return err_fail_errno(err, ERR_IO, errno, "looking at '%s'", at);
                str_replace_owned(&at, path_dirname(at));
        }
        *ret = st.st_dev;
        return true;
}

static bool add_need(Disk *disks, size_t *n, const char *path, uint64_t bytes, Err *err) {
        dev_t dev;
        if (!device_of(path, &dev, err))
                return false;
        for (size_t i = 0; i < *n; i++)
                if (disks[i].dev == dev) {
                        disks[i].needs += bytes;
                        return true;
                }
        disks[(*n)++] = (Disk){dev, str_copy(path), bytes};
        return true;
}

static bool look_at_room(BackupPlan *plan, Err *err) {
        scoped(free_mem) Disk *disks = NEW_ARRAY(Disk, plan->n_items + 1);
        size_t n = 0;
        dev_t store, data;
        bool ok = device_of(plan->store, &store, err) &&
                  add_need(disks, &n, plan->store, plan->store_needs, err);
        bool shared = false;
        for (size_t i = 0; ok && i < plan->n_items; i++) {
                scoped(free_str) char *parent = path_dirname(plan->items[i].path);
                ok = device_of(parent, &data, err) &&
                     add_need(disks, &n, parent, plan->items[i].bytes + plan->items[i].files * 4096,
                             err);
                shared |= ok && data == store;
        }
        for (size_t i = 0; i < n; i++) {
                uint64_t bytes;
                if (ok && !disk_free(disks[i].path, &bytes, err))
                        ok = false;
                if (ok && bytes < disks[i].needs) {
                        scoped(free_str) char *needs = bytes_text(disks[i].needs);
                        scoped(free_str) char *has = bytes_text(bytes);
                        strv_addf(&plan->refusals,
                                "the disk of '%s' has %s free; backup and a restore need up to %s",
                                disks[i].path, has, needs);
                }
                free(disks[i].path);
        }
        if (ok && shared)
                strv_addf(&plan->warnings,
                        "the store '%s' is on the disk of the data: if that disk dies, both are "
                        "gone",
                        plan->store);
        return ok && disk_free(plan->store, &plan->store_free, err);
}

static bool look_at_store(BackupPlan *plan, const BackupRequest *request, Err *err) {
        Err found = {0};
        scoped(free_str) char *real = NULL;
        if (!store_prepare(request->store, request->service->name, &found)) {
                if (found.code != ERR_REFUSED && found.sys != EACCES && found.sys != EROFS) {
                        err_move(err, &found);
                        return false;
                }
                strv_addf(&plan->refusals, "%s", found.message);
                err_clear(&found);
                return true;
        }
        real = file_real(request->store);
        for (size_t i = 0; real && i < plan->n_items; i++)
                if (plan->items[i].kind == CONTENT_PATH && is_inside(real, plan->items[i].path))
                        strv_addf(&plan->refusals,
                                "the store '%s' lies inside of '%s', which it is to hold", real,
                                plan->items[i].path);
        return true;
}

bool backup_plan(const BackupRequest *request, BackupPlan *ret, Err *err) {
        scoped(backup_plan_done) BackupPlan plan = {.store = str_copy(request->store)};
        const BackupSpec *spec = &request->service->backup;
        for (size_t i = 0; i < spec->n_contents; i++)
                if (!declare(&plan, request, &spec->contents[i], err))
                        return err_context(err, "looking at what to back up");
        if (!look_at_store(&plan, request, err))
                return false;
        size_t declared = plan.n_items;
        for (size_t i = 0; i < declared; i++) {
                if (plan.items[i].kind != CONTENT_PATH || !plan.items[i].present)
                        continue;
                size_t before = plan.n_items;
                if (!walk_item(&plan, i, &request->watch, err))
                        return err_context(err, "looking at what to back up");
                if (plan.items[i].files == 0 && plan.n_items == before)
                        strv_addf(&plan.warnings, "'%s' is empty", plan.items[i].path);
        }
        for (size_t i = 0; i < plan.n_items; i++) {
                plan.bytes += plan.items[i].bytes;
                plan.files += plan.items[i].files;
        }
        plan.store_needs = plan.bytes + plan.bytes / 10 + plan.files * FILE_OVERHEAD + ROOM_SLACK;
        if (!look_at_room(&plan, err))
                return false;
        *ret = plan;
        plan = (BackupPlan){0};
        return true;
}

void backup_plan_done(BackupPlan *plan) {
        for (size_t i = 0; i < plan->n_items; i++) {
                free(plan->items[i].slug);
                free(plan->items[i].path);
                free(plan->items[i].within);
                free(plan->items[i].journal_mode);
        }
        free(plan->items);
        free(plan->store);
        strv_free(plan->warnings);
        strv_free(plan->refusals);
        *plan = (BackupPlan){0};
}
