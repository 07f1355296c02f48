/* The contents of a backup: adding one under a slug of its own, and the rules between them. */
#ifndef BELAY_MANIFEST_CONTENTS_H
#define BELAY_MANIFEST_CONTENTS_H

#include <stdbool.h>

#include "model/service.h"

void content_add(Service *service, ContentKind kind, const char *path, bool detected);
/* Takes the last one away again, with all that was noted of it. */
void content_drop_last(Service *service);
/*
 * Why contents[index] cannot be backed up and restored beside the ones before it, the stores and the
 * checkout: a phrase that reads well after its path; owned. NULL when it can.
 */
char *content_conflict(const Service *service, size_t index);

#endif
