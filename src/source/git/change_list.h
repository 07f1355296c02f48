/*
 * The paths that differ between two commits, with what each holds before and after: what place, unplace
 * and observe work from. Kept as text in services/<name>/place-<mark>.txt; its SHA-256 is in the facts:
 *
 *     {"from": ..., "to": ..., ...}                                     the facts, one line
 *     100644 <sha256 old> <sha256 live> 100644 <sha256 new> <path>      mode 0 and "-": not there
 *
 * "live" is what lay there when it was laid out, which git may call equal to old (line ends, filters).
 * Paths are written as git quotes them.
 */
#ifndef BELAY_SOURCE_GIT_CHANGE_LIST_H
#define BELAY_SOURCE_GIT_CHANGE_LIST_H

#include "source/git/repo.h"

enum { MODE_LINK = 0120000, MODE_FILE = 0100644, MODE_PROGRAM = 0100755, MODE_MODULE = 0160000 };

typedef struct PlacePath {
        char *path, *quoted;
        unsigned old_mode, new_mode; /* as git's; 0: not there */
        char old_hash[65], live_hash[65], new_hash[65];
} PlacePath;

typedef struct ChangeList {
        PlacePath *items;
        size_t n;
        json_t *facts;
} ChangeList;

void change_list_done(ChangeList *list);
/* What differs, from git; modes only. `allowed` paths are left out. */
bool change_list_diff(
        const Repo *repo, const char *from, const char *to, ChangeList *ret, Err *err);
bool change_list_has(const ChangeList *list, const char *path);

char *change_list_path(const SourceContext *context); /* of the text; owned */
bool change_list_save(
        const SourceContext *context, const ChangeList *list, char ret_hash[65], Err *err);
/* *ret is empty and true when there is none. With `hash` (may be NULL) ERR_CORRUPT unless it is that one. */
bool change_list_load(const SourceContext *context, const char *hash, ChangeList *ret, Err *err);

typedef struct LiveFile {
        unsigned mode;   /* 0: not there; else one of MODE_*, or S_IFDIR and the like */
        unsigned rights; /* permission bits */
        char hash[65];
} LiveFile;
/* Looks at `path` below `root` without following any link; what lies behind one is not there. */
bool live_look(const char *root, const char *path, LiveFile *ret, Err *err);
/* A descriptor of the directory that holds `path`, below root and reached without links; -1 with errno. */
int live_parent(const char *root, const char *path);

#endif
