import pytest

pytest.register_assert_rewrite("crashlib")

import crashlib  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def a_fast_disk():
    with crashlib.scratch_for_all():
        yield
