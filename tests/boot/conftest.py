"""One machine for all tests of boots: it is switched off between them, and its tree made once."""
import os
import pathlib
import tempfile

import pytest

for module in ("belaytest", "crashlib", "container"):
    pytest.register_assert_rewrite(module)

import container  # noqa: E402
from belaytest import BUILD  # noqa: E402


@pytest.fixture(scope="session")
def ground():
    """A directory with a tree and what `make install` puts there: (directory, tree, what is bound read-only)."""
    why = container.why_not()
    if why:
        pytest.skip(why)
    # On the disk: where a sync costs nothing, most steps are over before a test can switch off the power.
    with tempfile.TemporaryDirectory(prefix="belay-boot-") as name:
        directory = pathlib.Path(name)
        tree = directory / "tree"
        tree.mkdir()
        if os.environ.get("BELAY_BOOT_TREE") == "debootstrap":
            read_only = container.debootstrap_tree(tree)
        else:
            read_only = container.host_tree(tree)
        container.settle(tree)
        container.install(directory / "installed")
        read_only += [f"{directory}/installed/usr/local:/usr/local", str(BUILD)]
        yield directory, tree, read_only
