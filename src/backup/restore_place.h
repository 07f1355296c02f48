/*
 * One content on its way back: where it is live, where it is prepared, where what was there goes; as noted durably in
 * <note_dir>/restore-<slug>.json, so that a process that did not begin the restore can finish or undo it.
 */
#ifndef BELAY_BACKUP_RESTORE_PLACE_H
#define BELAY_BACKUP_RESTORE_PLACE_H

#include "backup/restore.h"

typedef enum PlaceHow {
        PLACE_DIRECTORY, /* exchanged as a whole */
        PLACE_FILES,     /* a file in a directory of its own (beside, salvage), with its sidecars */
} PlaceHow;

typedef struct Place {
        char *slug;
        PlaceHow how;
        bool present; /* false: when the backup was made there was nothing; a restore takes away */
        bool prepared, undone;
        bool is_salvage; /* what is put back is a salvage itself: `beside` is where that lies */
        char *live, *beside, *salvage;
        uint64_t restored; /* inode of what is put back; 0 unknown */
        uint64_t old;      /* inode of what was there; 0: nothing */
} Place;

typedef struct PlaceList {
        Place *items;
        size_t n;
} PlaceList;

void place_list_done(PlaceList *list);
Place *place_list_add(
        PlaceList *list, const char *slug, PlaceHow how, const char *live, const char *mark);
bool place_note(const Place *place, const char *note_dir, Err *err);
/* Those that are noted; none is no error. */
bool place_load(const char *note_dir, PlaceList *ret, Err *err);

/* Inode of the directory or of the file that counts, 0 when there is none. */
bool inode_of(const char *path, uint64_t *ret, Err *err);
char *place_file(const Place *place,
        const char *dir); /* the file in the directory beside or salvage; owned */
bool place_is_swapped(const Place *place, bool *ret, Err *err);
bool place_swap(Place *place, Err *err);
bool place_undo(Place *place, Err *err);
/* Removes what is prepared (or was put back and undone). Never what was there. */
bool place_discard(Place *place, Err *err);

char *reserve_path(const char *path, const char *mark);

/* -- the catalogue entry of what was replaced -- */
bool salvage_write(const RestoreRequest *request, const PlaceList *list, Err *err);
bool salvage_load(const char *dir, json_t **ret, Err *err);
/* Places of a salvage that still exist. */
size_t salvage_places_left(const json_t *manifest);

#endif
