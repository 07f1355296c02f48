#include "manifest/contents.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "manifest/value.h"

enum { SLUG_MAX = 60 };

static bool slug_taken(const Service *service, const char *slug) {
        for (size_t i = 0; i < service->backup.n_contents; i++)
                if (strcmp(service->backup.contents[i].slug, slug) == 0)
                        return true;
        return false;
}

/* The last name of the path in letters that every file system and shell copes with. */
static char *slug_make(const Service *service, const char *path) {
        const char *name = path_basename(path);
        name += strspn(name, ".-");
        scoped(free_str) char *plain = str_copy_n(name, strnlen(name, SLUG_MAX));
        for (char *c = plain; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
                        *c = '_';
        scoped(free_str) char *slug = str_copy(plain[0] ? plain : "content");
        for (unsigned n = 2; slug_taken(service, slug); n++)
                str_replace_owned(&slug, str_format("%s-%u", plain[0] ? plain : "content", n));
        return TAKE(slug);
}

void content_add(Service *service, ContentKind kind, const char *path, bool detected) {
        Content content = {
                .kind = kind,
                .path = str_copy(path),
                .slug = slug_make(service, path),
                .detected = detected,
        };
        PUSH(service->backup.contents, service->backup.n_contents, content);
}

void content_drop_last(Service *service) {
        Content *last = &service->backup.contents[--service->backup.n_contents];
        free(last->path);
        free(last->slug);
        *last = (Content){0};
}

/* A database inside a path is found there and taken as one; written twice, a restore would swap it twice. */
static char *overlap(const Content *one, const Content *other) {
        if (strcmp(one->path, other->path) == 0)
                return str_copy("is in the list already");
        if (other->kind == CONTENT_PATH && path_holds(other->path, one->path))
                return str_format("lies in '%s', which is in the list already%s", other->path,
                        one->kind == CONTENT_SQLITE ? "; databases in it are found by themselves"
                                                    : "");
        if (one->kind == CONTENT_PATH && path_holds(one->path, other->path))
                return str_format("holds '%s', which is in the list already", other->path);
        return NULL;
}

char *content_conflict(const Service *service, size_t index) {
        const Content *one = &service->backup.contents[index];
        const char *problem = content_problem(one->path);
        if (problem)
                return str_copy(problem);
        if (one->kind == CONTENT_PATH && service->git.directory &&
                path_holds(one->path, service->git.directory))
                return str_copy("holds the checkout itself, which a restore would replace: list "
                                "what is data in it");
        char *const *stores = service->backup.local_stores;
        for (size_t i = 0; stores && stores[i]; i++) {
                if (one->kind == CONTENT_PATH && path_holds(one->path, stores[i]))
                        return str_format(
                                "holds the store '%s': each backup would hold the ones before it",
                                stores[i]);
                if (path_holds(stores[i], one->path))
                        return str_format("lies in the store '%s'", stores[i]);
        }
        for (size_t i = 0; i < index; i++) {
                char *problem_with = overlap(one, &service->backup.contents[i]);
                if (problem_with)
                        return problem_with;
        }
        return NULL;
}
