#include "lib/power.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/fault.h"

enum { NOTHING = -1, SEEN_ROOM = 1 << 20 };

/* A file, directory or link; never forgotten. */
typedef struct Node {
        ino_t ino;
        mode_t mode;
        char *bytes; /* of a file: what it holds now; of a link: its target */
        size_t n;
} Node;

typedef struct Entry {
        int dir, node; /* node NOTHING: the name is gone */
        char *name;
} Entry;

typedef struct Entries {
        Entry *items;
        size_t n;
} Entries;

typedef enum OpKind { OP_POINT, OP_WRITE, OP_NAMES, OP_SYNC, OP_SYNC_ALL } OpKind;

typedef struct Op {
        OpKind kind;
        int node;        /* WRITE, SYNC */
        size_t at, size; /* WRITE: where the bytes belong; the file's size after it */
        char *bytes;
        size_t n;
        Entries changes; /* NAMES */
} Op;

struct Power {
        char *root, *inodes_in;
        Node *nodes;
        size_t n_nodes;
        Entries first, now;
        struct {
                char *bytes;
                size_t n;
        } * first_bytes; /* of the nodes that were there first */
        size_t n_first;
        Op *ops;
        size_t n_ops, n_points;
        uint64_t *seen;
};

static Power *recording;

#define NEED(condition)                                                                            \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        perror("power: " #condition);                                              \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

uint64_t power_random(uint64_t *seed) {
        uint64_t z = (*seed += 0x9e3779b97f4a7c15U);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
}

/* -- looking -------------------------------------------------------------------------------- */

static int node_of(const Power *p, ino_t ino) {
        for (size_t i = p->n_nodes; i-- > 0;)
                if (p->nodes[i].ino == ino)
                        return (int)i;
        return NOTHING;
}

static const Entry *entry_find(const Entries *entries, int dir, const char *name) {
        for (size_t i = 0; i < entries->n; i++)
                if (entries->items[i].dir == dir && strcmp(entries->items[i].name, name) == 0)
                        return &entries->items[i];
        return NULL;
}

static void entries_done(Entries *entries) {
        for (size_t i = 0; i < entries->n; i++)
                free(entries->items[i].name);
        free(entries->items);
        *entries = (Entries){0};
}

static char *bytes_of(const char *path, const struct stat *st, size_t *ret_n) {
        char *bytes = mem_new((size_t)st->st_size + 1, 1);
        *ret_n = 0;
        if (S_ISLNK(st->st_mode)) {
                NEED(readlink(path, bytes, (size_t)st->st_size) == st->st_size);
        } else if (S_ISREG(st->st_mode)) {
                scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
                NEED(fd >= 0 && read(fd, bytes, (size_t)st->st_size) == st->st_size);
                *ret_n = (size_t)st->st_size;
        }
        return bytes;
}

/* What the file holds now, as one write: the bytes between what is as it was before and after. */
static void note_bytes(Power *p, int index, char *bytes, size_t n) {
        Node *node = &p->nodes[index];
        size_t same = 0, tail = 0, least = n < node->n ? n : node->n;
        while (same < least && bytes[same] == node->bytes[same])
                same++;
        if (same == n && n == node->n) {
                free(bytes);
                return;
        }
        while (n == node->n && tail < least - same &&
                bytes[n - 1 - tail] == node->bytes[n - 1 - tail])
                tail++;
        Op op = {.kind = OP_WRITE, .node = index, .at = same, .size = n, .n = n - tail - same};
        op.bytes = mem_new(op.n + 1, 1);
        memcpy(op.bytes, bytes + same, op.n);
        PUSH(p->ops, p->n_ops, op);
        free(node->bytes);
        node->bytes = bytes;
        node->n = n;
}

static void note_node(
        Power *p, const char *path, const struct stat *st, int *ret_index, bool is_new) {
        size_t n = 0;
        char *bytes = bytes_of(path, st, &n);
        if (is_new) {
                Node node = {.ino = st->st_ino, .mode = st->st_mode};
                *ret_index = (int)p->n_nodes;
                PUSH(p->nodes, p->n_nodes, node);
                p->nodes[*ret_index].bytes = S_ISLNK(st->st_mode) ? str_copy(bytes) : mem_new(1, 1);
        }
        p->nodes[*ret_index].mode = st->st_mode;
        if (S_ISREG(st->st_mode))
                note_bytes(p, *ret_index, bytes, n);
        else
                free(bytes);
}

static void look_into(Power *p, const char *path, int dir, Entries *found) {
        DIR *stream = opendir(path);
        NEED(stream);
        for (const struct dirent *d; (d = readdir(stream));) {
                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                scoped(free_str) char *below = path_join(path, d->d_name);
                struct stat st;
                NEED(lstat(below, &st) == 0);
                int index = node_of(p, st.st_ino);
                /* A number that is used again is another file. */
                bool again = index != NOTHING &&
                             (p->nodes[index].mode & S_IFMT) != (st.st_mode & S_IFMT);
                note_node(p, below, &st, &index, index == NOTHING || again);
                Entry entry = {dir, index, str_copy(d->d_name)};
                PUSH(found->items, found->n, entry);
                if (S_ISDIR(st.st_mode))
                        look_into(p, below, index, found);
        }
        closedir(stream);
}

static void note_change(Op *op, const Entry *entry, int node) {
        Entry change = {entry->dir, node, str_copy(entry->name)};
        PUSH(op->changes.items, op->changes.n, change);
}

/* Everything that changed since the last look; names that changed together are one change. */
static void look(Power *p) {
        Entries found = {0};
        Op op = {.kind = OP_NAMES};
        look_into(p, p->root, 0, &found);
        for (size_t i = 0; i < p->now.n; i++)
                if (!entry_find(&found, p->now.items[i].dir, p->now.items[i].name))
                        note_change(&op, &p->now.items[i], NOTHING);
        for (size_t i = 0; i < found.n; i++) {
                const Entry *had = entry_find(&p->now, found.items[i].dir, found.items[i].name);
                if (!had || had->node != found.items[i].node)
                        note_change(&op, &found.items[i], found.items[i].node);
        }
        if (op.changes.n > 0)
                PUSH(p->ops, p->n_ops, op);
        entries_done(&p->now);
        p->now = found;
}

static void point(void) {
        if (!recording)
                return;
        look(recording);
        PUSH(recording->ops, recording->n_ops, ((Op){.kind = OP_POINT}));
        recording->n_points++;
}

void power_synced(int fd) {
        struct stat st;
        if (!recording || fstat(fd, &st) != 0)
                return;
        look(recording);
        Op op = {.kind = OP_SYNC, .node = node_of(recording, st.st_ino)};
        if (op.node != NOTHING)
                PUSH(recording->ops, recording->n_ops, op);
}

void power_synced_all(void) {
        if (!recording)
                return;
        look(recording);
        PUSH(recording->ops, recording->n_ops, ((Op){.kind = OP_SYNC_ALL}));
}

static void entries_copy(Entries *to, const Entries *from) {
        for (size_t i = 0; i < from->n; i++) {
                Entry copy = {
                        from->items[i].dir, from->items[i].node, str_copy(from->items[i].name)};
                PUSH(to->items, to->n, copy);
        }
}

static void ops_done(Power *p) {
        for (size_t i = 0; i < p->n_ops; i++) {
                free(p->ops[i].bytes);
                entries_done(&p->ops[i].changes);
        }
        free(p->ops);
        p->ops = NULL;
        p->n_ops = 0;
}

Power *power_record(const char *root) {
        Power *p = NEW(Power);
        struct stat st;
        NEED(!recording && stat(root, &st) == 0);
        p->root = str_copy(root);
        p->seen = NEW_ARRAY(uint64_t, SEEN_ROOM);
        Node top = {.ino = st.st_ino, .mode = st.st_mode, .bytes = mem_new(1, 1)};
        PUSH(p->nodes, p->n_nodes, top);
        look(p);
        ops_done(p);
        entries_copy(&p->first, &p->now);
        p->n_first = p->n_nodes;
        p->first_bytes = mem_new(p->n_first, sizeof(*p->first_bytes));
        for (size_t i = 0; i < p->n_first; i++) {
                p->first_bytes[i].bytes = mem_new(p->nodes[i].n + 1, 1);
                memcpy(p->first_bytes[i].bytes, p->nodes[i].bytes, p->nodes[i].n);
                p->first_bytes[i].n = p->nodes[i].n;
        }
        recording = p;
#ifdef BELAY_FAULT_POINTS
        fault_watch(point);
#endif
        return p;
}

void power_stop(Power *p) {
        point();
        recording = NULL;
#ifdef BELAY_FAULT_POINTS
        fault_watch(NULL);
#endif
        (void)p;
}

void power_inodes_in(Power *p, const char *name) { p->inodes_in = str_copy(name); }

size_t power_points(const Power *p) { return p->n_points; }

void power_free(Power *p) {
        ops_done(p);
        for (size_t i = 0; i < p->n_nodes; i++)
                free(p->nodes[i].bytes);
        for (size_t i = 0; i < p->n_first; i++)
                free(p->first_bytes[i].bytes);
        entries_done(&p->first);
        entries_done(&p->now);
        free(p->first_bytes);
        free(p->nodes);
        free(p->seen);
        free(p->inodes_in);
        free(p->root);
        free(p);
}

/* -- an image ------------------------------------------------------------------------------- */

typedef struct Image {
        Entries entries;
        struct {
                char *bytes;
                size_t n;
        } * files;
        uint64_t hash;
} Image;

static bool is_synced(const Power *p, size_t from, size_t to, int node) {
        for (size_t i = from + 1; i < to; i++)
                if (p->ops[i].kind == OP_SYNC_ALL ||
                        (p->ops[i].kind == OP_SYNC && p->ops[i].node == node))
                        return true;
        return false;
}

static void write_apply(Image *image, const Op *op, size_t part, bool zeros) {
        size_t had = image->files[op->node].n;
        size_t size = part == op->n ? op->size : op->at + part > had ? op->at + part : had;
        char *bytes = mem_new(size + 1, 1);
        memcpy(bytes, image->files[op->node].bytes, had < size ? had : size);
        if (zeros && op->at < size)
                memset(bytes + op->at, 0, op->n < size - op->at ? op->n : size - op->at);
        else if (!zeros)
                memcpy(bytes + op->at, op->bytes, part);
        free(image->files[op->node].bytes);
        image->files[op->node].bytes = bytes;
        image->files[op->node].n = size;
}

/* The whole, nothing, half of it, or room without content. */
static void write_unsure(Image *image, const Op *op, uint64_t dice) {
        switch (dice % 8) {
        case 0:
        case 1:
        case 2:
                break;
        case 3:
                write_apply(image, op, op->n / 2, false);
                break;
        case 4:
                write_apply(image, op, op->n, true);
                break;
        default:
                write_apply(image, op, op->n, false);
        }
}

static void names_apply(Image *image, const Op *op, bool only_new) {
        for (size_t i = 0; i < op->changes.n; i++) {
                const Entry *change = &op->changes.items[i];
                if (only_new && change->node == NOTHING)
                        continue;
                size_t at = 0;
                while (at < image->entries.n &&
                        (image->entries.items[at].dir != change->dir ||
                                strcmp(image->entries.items[at].name, change->name) != 0))
                        at++;
                if (at == image->entries.n) {
                        Entry entry = {change->dir, change->node, str_copy(change->name)};
                        PUSH(image->entries.items, image->entries.n, entry);
                } else
                        image->entries.items[at].node = change->node;
        }
}

/* 0: not sure; 1: the new names are, those that went may be there still; 2: all of it. */
static int names_sure(const Power *p, size_t i, size_t end) {
        const Entries *changes = &p->ops[i].changes;
        int new_sure = 2;
        bool old_sure = false, has_old = false;
        for (size_t k = 0; k < changes->n; k++) {
                bool synced = is_synced(p, i, end, changes->items[k].dir);
                if (changes->items[k].node == NOTHING) {
                        has_old = true;
                        old_sure = old_sure || synced;
                } else if (!synced)
                        new_sure = 0;
        }
        if (old_sure)
                return 2;
        if (changes->n == 1 && has_old)
                return 0;
        return new_sure && has_old ? 1 : new_sure;
}

static bool spans_directories(const Op *op) {
        for (size_t i = 1; i < op->changes.n; i++)
                if (op->changes.items[i].dir != op->changes.items[0].dir)
                        return true;
        return false;
}

typedef struct Draw {
        size_t end; /* of the operations before the power went */
        bool syncs_count;
        unsigned number;
        uint64_t *seed;
} Draw;

static void op_apply(const Power *p, Image *image, size_t i, const Draw *draw) {
        const Op *op = &p->ops[i];
        uint64_t dice = draw->number == 0 ? 0 : draw->number == 1 ? 7 : power_random(draw->seed);
        if (op->kind == OP_WRITE) {
                if (draw->syncs_count && is_synced(p, i, draw->end, op->node))
                        write_apply(image, op, op->n, false);
                else
                        write_unsure(image, op, dice);
        } else if (op->kind == OP_NAMES) {
                int sure = draw->syncs_count ? names_sure(p, i, draw->end) : 0;
                bool may_leave_old = spans_directories(op) && dice % 3 == 1;
                if (sure == 2)
                        names_apply(image, op, false);
                else if (sure == 1)
                        names_apply(image, op, dice % 2 == 0);
                else if (dice % 2)
                        names_apply(image, op, may_leave_old);
        }
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t n) {
        for (size_t i = 0; i < n; i++)
                hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3U;
        return hash;
}

/* What hangs on the root, whatever the order of its names. */
static uint64_t hash_of(const Power *p, const Image *image, int dir, uint64_t above) {
        uint64_t sum = 0;
        for (size_t i = 0; i < image->entries.n; i++) {
                const Entry *e = &image->entries.items[i];
                if (e->dir != dir || e->node == NOTHING)
                        continue;
                uint64_t hash = mix(above ^ 0xcbf29ce484222325U, e->name, strlen(e->name) + 1);
                hash = mix(hash, &p->nodes[e->node].mode, sizeof(mode_t));
                if (S_ISREG(p->nodes[e->node].mode))
                        hash = mix(hash, image->files[e->node].bytes, image->files[e->node].n);
                else if (S_ISLNK(p->nodes[e->node].mode))
                        hash = mix(hash, p->nodes[e->node].bytes, strlen(p->nodes[e->node].bytes));
                else if (S_ISDIR(p->nodes[e->node].mode))
                        hash ^= hash_of(p, image, e->node, hash);
                uint64_t spread = hash;
                sum += power_random(&spread);
        }
        return sum;
}

static bool is_new_image(Power *p, uint64_t hash) {
        uint64_t key = hash ? hash : 1;
        for (size_t i = key % SEEN_ROOM, tries = 0; tries < SEEN_ROOM;
                i = (i + 1) % SEEN_ROOM, tries++) {
                if (p->seen[i] == key)
                        return false;
                if (p->seen[i] == 0) {
                        p->seen[i] = key;
                        return true;
                }
        }
        return true;
}

static void file_put(const char *path, const char *bytes, size_t n) {
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        NEED(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
}

static void build(const Power *p, const Image *image, int dir, const char *at, char **made) {
        for (size_t i = 0; i < image->entries.n; i++) {
                const Entry *e = &image->entries.items[i];
                if (e->dir != dir || e->node == NOTHING)
                        continue;
                const Node *node = &p->nodes[e->node];
                scoped(free_str) char *path = path_join(at, e->name);
                if (made[e->node] && !S_ISDIR(node->mode)) {
                        NEED(link(made[e->node], path) == 0);
                        continue;
                }
                if (S_ISDIR(node->mode) && made[e->node])
                        continue; /* a directory has one place */
                str_replace_owned(&made[e->node], str_copy(path));
                if (S_ISLNK(node->mode)) {
                        NEED(symlink(node->bytes, path) == 0);
                        continue;
                }
                if (S_ISDIR(node->mode)) {
                        NEED(mkdir(path, 0700) == 0);
                        build(p, image, e->node, path, made);
                } else if (S_ISREG(node->mode))
                        file_put(path, image->files[e->node].bytes, image->files[e->node].n);
                else
                        continue;
                NEED(chmod(path, node->mode & 07777) == 0);
        }
}

static int remove_below(const char *path, const struct stat *st, int kind, struct FTW *walk) {
        (void)st;
        (void)kind;
        return walk->level == 0 ? 0 : remove(path);
}

static ino_t inode_now(const Power *p, char **made, uint64_t number) {
        struct stat st;
        int node = node_of(p, (ino_t)number);
        return node != NOTHING && made[node] && lstat(made[node], &st) == 0 ? st.st_ino
                                                                            : (ino_t)number;
}

static void renumber(const Power *p, char **made, const char *path) {
        struct stat st;
        size_t n = 0;
        NEED(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
        scoped(free_str) char *text = bytes_of(path, &st, &n);
        scoped(str_done) Str out = {0};
        for (size_t i = 0; i < n;) {
                size_t digits = 0;
                while (i + digits < n && text[i + digits] >= '0' && text[i + digits] <= '9')
                        digits++;
                bool number = i > 0 && (text[i - 1] == ' ' || text[i - 1] == ':');
                if (number && digits > 0 && digits < 19)
                        str_addf(&out, "%llu",
                                (unsigned long long)inode_now(
                                        p, made, strtoull(text + i, NULL, 10)));
                else
                        str_add_n(&out, text + i, digits ? digits : 1);
                i += digits ? digits : 1;
        }
        NEED(unlink(path) == 0);
        file_put(path, out.text ? out.text : "", out.len);
}

static void renumber_all(const Power *p, char **made) {
        scoped(free_str) char *dir = path_join(p->root, p->inodes_in);
        DIR *stream = opendir(dir);
        for (const struct dirent *d; stream && (d = readdir(stream));) {
                scoped(free_str) char *path = path_join(dir, d->d_name);
                if (d->d_type == DT_REG)
                        renumber(p, made, path);
        }
        if (stream)
                closedir(stream);
}

static void replace_tree(const Power *p, const Image *image) {
        char **made = NEW_ARRAY(char *, p->n_nodes);
        NEED(nftw(p->root, remove_below, 16, FTW_DEPTH | FTW_PHYS) == 0);
        build(p, image, 0, p->root, made);
        if (p->inodes_in)
                renumber_all(p, made);
        for (size_t i = 0; i < p->n_nodes; i++)
                free(made[i]);
        free(made);
}

bool power_image(Power *p, size_t point_number, uint64_t *seed, unsigned number, bool syncs_count) {
        Image image = {0};
        size_t end = 0;
        for (size_t seen = 0; end < p->n_ops; end++)
                if (p->ops[end].kind == OP_POINT && seen++ == point_number)
                        break;
        entries_copy(&image.entries, &p->first);
        image.files = mem_new(p->n_nodes, sizeof(*image.files));
        for (size_t i = 0; i < p->n_nodes; i++) {
                size_t n = i < p->n_first ? p->first_bytes[i].n : 0;
                image.files[i].bytes = mem_new(n + 1, 1);
                image.files[i].n = n;
                if (n > 0)
                        memcpy(image.files[i].bytes, p->first_bytes[i].bytes, n);
        }
        const Draw draw = {end, syncs_count, number, seed};
        for (size_t i = 0; i < end; i++)
                op_apply(p, &image, i, &draw);
        bool is_new = is_new_image(p, hash_of(p, &image, 0, 0));
        if (is_new)
                replace_tree(p, &image);
        for (size_t i = 0; i < p->n_nodes; i++)
                free(image.files[i].bytes);
        free(image.files);
        entries_done(&image.entries);
        return is_new;
}
