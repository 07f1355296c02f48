/*
 * A remote of a few versions, a checkout of it at v1.0.0, and a state directory, for trying a source.
 * Between v1.0.0 and v1.1.0 lies every kind of change; 1.2.0 tracks .env.
 *
 *     cmocka_unit_test_setup_teardown(test, source_world_setup, source_world_teardown)
 *
 * What these functions do must succeed, or the test fails there and then.
 */
#ifndef BELAY_TESTS_SOURCE_WORLD_H
#define BELAY_TESTS_SOURCE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/source.h"

typedef struct World {
        char *dir, *origin, *work;
        State state;
        Service service;
        SourceContext at;
        const Source *source;
} World;

/* What it prints on both outputs; owned. */
char *run_program(
        const char *directory, const char *const *argv, const char *input, int *ret_status);
/* What git prints, without the last newline; owned. Ends with a NULL. */
char *git(const char *directory, ...) __attribute__((sentinel));
#define GIT(...) free(git(__VA_ARGS__, NULL))
/* A path in the checkout; owned. */
char *in_work(const World *w, const char *name);
/* Files by directory and name. */
void put(const char *dir, const char *name, const char *text);
char *get(const char *dir, const char *name);
bool holds(const char *dir, const char *name, const char *text);
void commit_all(const char *dir, const char *message);
int source_world_setup(void **state);
int source_world_teardown(void **state);
void must(bool ok, const Err *err);
/* The calls of the source. */
Release resolve(World *w, const char *wanted);
void no_resolve(World *w, const char *wanted, ErrCode code, const char *says);
void installed_is(World *w, const char *tag, const char *version);
void fetch(World *w, const Release *to); /* and builds, where that is wanted */
void build(World *w, const Release *to);
/* The same checkout with the user's own dist/, of which and of sub/tool install makes another for each version. */
int artifacts_world_setup(void **state);
/* The same checkout, of which the first update makes a directory with releases; data/ is shared. */
int releases_world_setup(void **state);
json_t *facts_of(World *w, const Release *to);
void place(World *w, const json_t *facts);
void unplace(World *w, const json_t *facts);
SourceTruth truth(World *w, const json_t *facts);
void cleanup(World *w, const Release *keep);
char *refs_of_user(World *w);
/* Everything that a user could notice: HEAD, references but Belay's, files, what git says of them. */
char *snapshot(World *w);
void same_picture(const char *before, const char *after);
/* Nothing of a run may be left over. */
void nothing_left(World *w);
/* Whether preflight finds that. */
bool finds(World *w, const Release *to, const char *code, FindingLevel level);

#endif
