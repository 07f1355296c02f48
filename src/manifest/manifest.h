/*
 * belay.yaml to Service, by tables. What has a room is parsed to its leaves with all defaults; what
 * the format knows and this build does not have is answered by name ("this build has no runtime
 * 'compose'"); what nobody knows is an error with the nearest known key. Nothing is passed over in
 * silence but keys that begin with "x-".
 *
 *     scoped(service_freep) Service *service = NULL;
 *     if (!manifest_load("belay.yaml", &service, err))
 *             return false;
 *
 * Errors. A bad manifest is ERR_MANIFEST, and its message is the whole text for the terminal, several
 * lines, without a final newline, up to ten findings, each beginning with file:line:column:
 *
 *     belay.yaml:14:9: unknown key "withn" under checks[0].http
 *          14 |         withn: 60s
 *             |         ^^^^^ expected one of: url, method, status, ...
 *       Did you mean "within"?
 *
 * Print it as it is: no context is put in front, no "belay:" needed. Lines and columns count from 1,
 * columns in code points. Values that look like secrets are starred in the quoted line.
 * A file that is not there is ERR_UNKNOWN, one that cannot be read ERR_IO.
 *
 * Filled in with all defaults, but three that only a look at the machine gives:
 *   - backup.local_stores is left empty when `backup.stores` is absent: the default,
 *     <state directory>/backups, is update/'s, which knows the state directory;
 *   - backup.contents is left empty when the key is absent (contents_given false): call
 *     manifest_detect_contents;
 *   - checks: n_checks 0 when none are given; "component running, no restart" is then update/'s.
 * process.port is the loopback port named in `installed` or `checks` where `port` is absent, or 0.
 * git.directory is the runtime's directory where absent and the other way round; both absent: the
 * manifest's own directory. Migration globs and relative commands are left relative: they belong to
 * service->directory. An SQLite path in `migrations.sql.database` is absolute, taken from there.
 * file: secrets are absolute, taken from the manifest's directory. The port of a tcp check of
 * "host:${port}" is filled in.
 *
 * Two keys are taken that the specification does not show: `timeout` of sql and scripts migrations
 * (10m by default), and `compatible` of scripts.
 */
#ifndef BELAY_MANIFEST_MANIFEST_H
#define BELAY_MANIFEST_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/js.h"
#include "model/service.h"

/*
 * Reads the file once (exactly the bytes that are parsed are kept in manifest_text) and looks at it
 * first: regular file, at most 256 KiB, not writable for everybody. `path` is used in messages as
 * given; service->manifest_path is the real path behind symbolic links, and relative paths in the
 * manifest start at the real file's directory. Also refuses backup contents that are symbolic links
 * to places that are never backed up ("/", /proc, ...), which only the disk can tell.
 */
bool manifest_load(const char *path, Service **ret, Err *err);

/*
 * The same from text in memory: recovery parses the copy that a run saved. `path` is where the
 * manifest lived when it was saved, absolute; relative paths start at its directory. Touches no file,
 * so that what was accepted once is accepted again.
 */
bool manifest_parse(const char *path, const char *text, size_t bytes, Service **ret, Err *err);

/*
 * For a manifest without `backup.contents`: walks the service's directory (not .git, node_modules,
 * .venv and the like, nor copies named .backup or .bak; at most 6 deep, 20,000 entries; no links, no
 * other file system) and adds what is data: SQLite databases by their first bytes, and directories
 * named data, db, storage, uploads, media or var. `tracked` are the paths that git tracks, relative to
 * the service's directory, NULL-terminated: a tracked database is code and is left out; so is a directory with
 * tracked files in it (more than .gitkeep, .gitignore, README), but databases in it are found, and any
 * other untracked file in it gives a line in service->warnings. NULL: nothing counts as tracked.
 *
 * Each addition has detected = true and an Origin "detected: ...". Does nothing (and succeeds) when
 * contents_given, and a second time. A directory that cannot be read is ERR_IO, never "no data"; too
 * many entries, over 200 finds, or a local store below a detected directory are ERR_REFUSED with the
 * hint to list contents. After an error the service's contents are not to be used.
 */
bool manifest_detect_contents(Service *service, const char *const *tracked, Err *err);
/* The same for a first look: what cannot be looked at is no error, but told in words (added to
 * *ret_unseen), and what lies elsewhere is found all the same. */
void manifest_find_contents(Service *service, const char *const *tracked, Strv *ret_unseen);

/*
 * The text of a manifest for a copy of its service (a drill): runtime, source, backup, migrations, checks stay as
 * they are; the watch is short, and what holds an update back or tells others of it (windows, hooks,
 * requires, notify, ...) is left out. `text` was accepted before. *ret is owned.
 */
bool manifest_of_copy(const char *path, const char *text, size_t bytes, char **ret, Err *err);

/* Whether a regular file begins like an SQLite database; false also when it may not be read. */
bool manifest_is_sqlite(const char *path);

/* The format as a JSON Schema (draft 7), made from the tables of keys: what this build has, and nothing else.
 * It knows names, kinds, words and limits; rules between keys only manifest_load knows. New reference. */
json_t *manifest_schema(void);

/* The belay.yaml in `directory` or the nearest above it, absolute and owned; ERR_UNKNOWN if none. */
bool manifest_find(const char *directory, char **ret_path, Err *err);

#endif
