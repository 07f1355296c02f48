/*
 * What single values of a manifest may look like. Each xyz_problem returns NULL when the text is good,
 * else a static phrase that says why not and reads well after the name of the key: "'url' has no host".
 * Pure: nothing here touches a file.
 */
#ifndef BELAY_MANIFEST_VALUE_H
#define BELAY_MANIFEST_VALUE_H

#include <stdbool.h>

/* http or https, a host, a port of 1 to 65535 if any, no credentials, no spaces or control bytes. The
 * addresses that clouds serve their keys on (169.254/16, fe80::/10) are no service of anybody's. */
const char *url_problem(const char *url);
/* "host:port", "[::1]:5432". */
const char *address_problem(const char *address);
/* Splits what url_problem or address_problem found good; *ret_port 0 when the text has none. Host without
 * brackets, owned. */
void url_split(const char *url, char **ret_host, unsigned *ret_port);
bool host_is_loopback(const char *host);

/* Any path of a manifest: not empty, no newline, ".." only in front, not the root, not /proc, /sys, /dev. */
const char *path_problem(const char *path);
/* A path, absolute, that a backup may hold or replace: no directory of the system itself. */
const char *content_problem(const char *path);
/* A relative glob for migration files: no "..", not absolute. */
const char *glob_problem(const char *glob);
/* A path in a version's own files: relative, below them, not of git's or Belay's own. */
const char *inner_path_problem(const char *path);
/* Absolute and without "//", "/./" and ".."; owned. `base` is absolute. */
char *path_settle(const char *base, const char *path);

const char *service_problem(const char *name);
const char *env_name_problem(const char *name); /* [A-Za-z_][A-Za-z0-9_]* */
const char *user_problem(const char *name);
const char *reference_problem(const char *name); /* git remote or branch */
const char *tag_glob_problem(const char *glob);
const char *header_problem(const char *name);
const char *json_path_problem(const char *path);   /* ".version", ".data.version" */
const char *zone_problem(const char *name);        /* "Europe/Berlin", "UTC", "local" */
const char *program_problem(const char *argument); /* the first word of a command */

/* "80%"; "2 of 3"; both strict. */
bool percent_parse(const char *text, unsigned max, unsigned *ret);
bool threshold_parse(const char *text, unsigned *ret_threshold, unsigned *ret_window);

/* Would a value of this name, or this value, be a secret? By the usual words: TOKEN, SECRET, PASSWORD,
 * KEY, Authorization, Cookie; by user:password@ in a URL. */
bool name_is_secret(const char *name);
bool value_has_password(const char *value);

#endif
