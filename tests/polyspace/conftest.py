import pytest

from tests.support.bundles import write_bundle
from tests.support.filmed import distil, film

STUDENT, TEACHERS = "transnetv2", ("motion_vectors",)


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    """Small videos that transnetv2 saw as a student; not to be changed."""
    return film(tmp_path_factory.mktemp("filmed"), student=STUDENT, teachers=TEACHERS)


@pytest.fixture(scope="session")
def model(filmed):
    """A model over its features."""
    return distil(filmed.clips(), TEACHERS)


@pytest.fixture(scope="session")
def bundle(filmed, model, tmp_path_factory):
    """That model, exported in float32; not to be changed."""
    folder = tmp_path_factory.mktemp("run") / "bundles" / "fp32"
    return write_bundle(folder, model, filmed.clips(), "fp32")
