/* Times that a person types. */
#ifndef BELAY_CLI_WHEN_H
#define BELAY_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* "2h"; "2026-12-24T18:00:00Z", "2026-12-24" (UTC); "02:00" (the next), "2026-12-24 18:00" by the clocks of this
 * machine. Unix ms, in the future; else ERR_USAGE that names the option. */
bool parse_when(const char *option, const char *text, int64_t *ret_ms, Err *err);

#endif
