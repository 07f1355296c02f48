/* The likely cause of a failure, from what was seen: a table of known signs. */
#ifndef BELAY_UPDATE_DIAGNOSE_H
#define BELAY_UPDATE_DIAGNOSE_H

/* `reason`: why the step failed; `log`: the last lines of the service's log (may be ""). A sentence in
 * static storage, or NULL when no sign is known. */
const char *likely_cause(const char *reason, const char *log);

#endif
