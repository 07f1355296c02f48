/*
 * services/<name>/tags.json: {"tags": {tag: commit}, "chosen": {commit: tag}}. A tag is a promise: once
 * its commit is known, another one under the same name is somebody's mistake or somebody's attack.
 */
#ifndef BELAY_SOURCE_GIT_KNOWN_H
#define BELAY_SOURCE_GIT_KNOWN_H

#include "source/source.h"

/* Without a state directory it is an empty object. New reference. */
json_t *known_load(const SourceContext *context, Err *err);
bool known_save(const SourceContext *context, const json_t *known, Err *err);
const char *known_commit(const json_t *known, const char *tag); /* borrowed, or NULL */
const char *known_chosen(const json_t *known, const char *commit);
/* True when that was news. */
bool known_add(json_t *known, const char *tag, const char *commit);
/* Heads of branches that were installed, the newest 50: whether a commit came from the remote or was made here. */
bool known_head(const json_t *known, const char *commit);
void known_add_head(json_t *known, const char *commit);
void known_choose(json_t *known, const char *tag, const char *commit);

#endif
