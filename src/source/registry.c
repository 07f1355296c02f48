#include "source/git/driver.h"
#include "source/source.h"

/* A manifest without any other source has a checkout. */
const Source *source_of(const Service *service) {
        return service->git.layout == LAYOUT_RELEASES ? &source_git_releases : &source_git;
}
