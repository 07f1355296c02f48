import pytest

pytest.register_assert_rewrite("belaytest")

import belaytest  # noqa: E402


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
