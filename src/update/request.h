/*
 * What a process of Belay's own is to do: one JSON object on its standard input. The runner gets one, and so do the
 * insides of a rehearsal and of a drill, which are told of which service and from where to where:
 *
 *     {"manifest": PATH, "text": its text?, "contents": [...], "from": {...}, "to": {...}, ...}
 */
#ifndef BELAY_UPDATE_REQUEST_H
#define BELAY_UPDATE_REQUEST_H

#include "update/world.h"

/* Reads all of standard input, at most `limit` bytes; new reference. ERR_CORRUPT: it is no request. */
json_t *request_read(size_t limit, Err *err);
/* The service, what was found to be its data, and both versions. New reference. */
json_t *request_of_world(const World *world);
/* And back, on the other side; without "text" the manifest is read from where it lies. */
bool request_world(const State *state, const json_t *request, World *ret, Err *err);

#endif
