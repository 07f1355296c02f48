#include "base/own.h"
#include "source/git/driver.h"
#include "source/source.h"

static const Source *const sources[] = {&source_git};

const Source *source_find(const char *name) {
        for (size_t i = 0; i < COUNT_OF(sources); i++)
                if (str_equal(sources[i]->name, name))
                        return sources[i];
        return NULL;
}

/* A manifest without any other source has a checkout. */
const Source *source_of(const Service *service) {
        (void)service;
        return sources[0];
}
