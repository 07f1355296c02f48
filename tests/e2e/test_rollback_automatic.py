"""`rollback: { automatic: false }`: a version that fails is left for a person to decide about."""
import pytest

from belaytest import Release


@pytest.fixture
def site(make_site):
    site = make_site([Release("1.0.0"), Release("1.1.0", behaviour="bad-health")],
                     manifest={"rollback": {"automatic": False}})
    site.start()
    return site


def test_it_waits_and_cancel_goes_back(site):
    result = site.belay("update", "notes", "v1.1.0")
    assert result.code == 8, result
    assert site.journal()[-1][0] == "WAIT"
    assert "rollback.automatic is false" in site.belay("report", "1").out + str(site.journal()[-1])
    assert site.belay("update", "notes", "v1.1.0").code == 7
    assert site.belay("cancel", "1").code == 3
    site.assert_whole(version="1.0.0")

