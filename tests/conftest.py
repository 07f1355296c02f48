import pytest

pytest.register_assert_rewrite("belaytest", "production", "projects", "releaselib")

import belaytest  # noqa: E402
import projects  # noqa: E402
import releaselib  # noqa: E402


@pytest.fixture
def make_site():
    """A function that makes Sites and closes them at the end of the test."""
    sites = []

    def make(releases, **more):
        site = belaytest.Site(releases, **more)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()


@pytest.fixture(scope="module")
def make_module_site():
    """The same for Sites that a module's tests share."""
    sites = []

    def make(releases, **more):
        site = belaytest.Site(releases, **more)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def make_project():
    """The same for Projects."""
    made = []

    def make(files, **more):
        made.append(projects.Project(files, **more))
        return made[-1]

    yield make
    for project in made:
        project.close()


@pytest.fixture
def server():
    """Of release data."""
    one = releaselib.Server()
    yield one
    one.close()
