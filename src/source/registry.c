#include "base/own.h"
#include "source/git/driver.h"
#include "source/source.h"

static const Source *const sources[] = {&source_git, &source_git_releases};

/* A manifest without any other source has a checkout. */
const Source *source_of(const Service *service) {
        return service->git.layout == LAYOUT_RELEASES ? &source_git_releases : &source_git;
}
