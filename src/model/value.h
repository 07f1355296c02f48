/*
 * The text of a Value: as it is, from a file, or from a variable. `env:` looks in the service's env file
 * first, then in Belay's own environment. The result may be secret: free it with value_freep, which wipes it.
 */
#ifndef BELAY_MODEL_VALUE_H
#define BELAY_MODEL_VALUE_H

#include <stdbool.h>

#include "base/err.h"
#include "model/service.h"

enum { VALUE_MAX = 64 * 1024 };

/* Owned. A file loses its last line end. ERR_UNKNOWN: no such variable, or no such file; the error names
 * the variable or the path, never the text. VALUE_NONE gives "". `env`: "NAME=value" each, NULL-terminated (envfile_values), may be NULL. */
bool value_resolve(const Value *value, char *const *env, char **ret, Err *err);
void value_freep(char **text);

#endif
