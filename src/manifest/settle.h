/* What takes more than one key to know: defaults that look at other keys, and rules between keys. */
#ifndef BELAY_MANIFEST_SETTLE_H
#define BELAY_MANIFEST_SETTLE_H

#include <stdbool.h>

#include "manifest/schema.h"

/* After all keys were read without findings. False: there are findings. */
bool service_settle(Reader *r, const Node *root);

#endif
