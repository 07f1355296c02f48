/*
 * Was anything written? A sum over name, size, inode and times of every file in a service's contents
 * (sidecars of SQLite files included, but for -shm, which readers write, too). Cheap, and only ever
 * used to say "nothing was written since": a difference is looked at closely by backup_loss().
 */
#ifndef BELAY_UPDATE_FINGERPRINT_H
#define BELAY_UPDATE_FINGERPRINT_H

#include "base/err.h"
#include "model/service.h"

bool contents_fingerprint(const Service *service, char ret_hex[65], Err *err);

#endif
