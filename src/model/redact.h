/*
 * Takes secrets out of text that came from outside (the output of a migration, a check's answer) before
 * it is kept or shown.
 *
 * Removed are the given values (of 4 bytes and more: shorter ones cannot be told from ordinary text), the
 * password in "scheme://user:password@host", and what follows "password=", "passwd=", "token=", "secret=",
 * "api_key=", "authorization:" and their like. Each becomes "[secret]". The text must be whole: a secret that is
 * split over two texts is not seen.
 */
#ifndef BELAY_MODEL_REDACT_H
#define BELAY_MODEL_REDACT_H

/* Owned; `secrets` is NULL-terminated, may be NULL. */
char *redact(const char *text, char *const *secrets);

#endif
