import importlib.util
import os
import resource
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

# The tests are no package (see pyproject.toml), so what they share is loaded by its path.
SCRIPT = Path(__file__).with_name("sample.py")
spec = importlib.util.spec_from_file_location("store_sample", SCRIPT)
assert spec
assert spec.loader
module = importlib.util.module_from_spec(spec)
sys.modules["store_sample"] = module
spec.loader.exec_module(module)


@pytest.fixture
def sample():
    return module.sample()


@pytest.fixture(scope="session")
def make_sample():
    return module.sample


@pytest.fixture
def path(tmp_path):
    return tmp_path / "motion_train.zarr"


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    return module.sample().write(tmp_path_factory.mktemp("written") / "motion_train.zarr")


@pytest.fixture
def store(written, path):
    # Copied, because writing it anew takes dozens of fsyncs.
    return Path(shutil.copytree(written, path))


@pytest.fixture
def room_for():
    """Let the system take so many bytes of every file: a part of what is written, then none."""

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    # No test here cuts the power; the order of the calls is tested by a spy of its own.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
