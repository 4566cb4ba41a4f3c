from pathlib import Path

import pytest

from polyspace.data.datasets import motion


@pytest.fixture(scope="session")
def tiny_motion(tmp_path_factory) -> Path:
    """The motion data set, as small as it makes sense; not to be written to."""
    root = tmp_path_factory.mktemp("motion")
    for _ in motion.render(root, motion.TINY):
        pass
    return root
