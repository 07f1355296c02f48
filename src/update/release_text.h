/* What is said of releases, in words: for `check`, `notes` and `plan` alike. */
#ifndef BELAY_UPDATE_RELEASE_TEXT_H
#define BELAY_UPDATE_RELEASE_TEXT_H

#include "update/world.h"

/* "released 9 d ago, security, breaking, a required stop"; owned, "" when nothing of it is known. */
char *release_marks(const ReleaseInfo *info, const char *before);
/* "1.1.0 is at its end of life; 1.3.0 is current"; owned, or NULL when nobody said anything. `to` may be NULL. */
char *release_support_text(const ReleaseData *data, const char *from, const char *to);
/* How old the release data is and why it is not newer; owned, or NULL when it could be asked. */
char *release_trouble_text(const Releases *releases);
/* {"asked", "trouble", "warnings", "support"} go into `object`; nothing without release data. */
void release_data_facts(const World *world, json_t *object);

#endif
