import pytest

from polyspace.models.backbones.flaws import FLAWS, Flaw

FLAW = Flaw("library", (5, 5, 4), (5, 17, 0), ("one",), "forgets", "install another")


@pytest.mark.parametrize("version", ["5.5.4", "5.10.1", "5.17.0", "5.17.0+cpu", "5.6"])
def test_releases_in_between_have_it(version):
    assert FLAW.is_in(version)


@pytest.mark.parametrize("version", ["4.57.6", "5.5.3", "5.17.1", "5.18.0", "6.0.0"])
def test_others_do_not(version):
    assert not FLAW.is_in(version)


def test_the_releases_that_lose_videomaes_biases_are_known():
    (flaw,) = [flaw for flaw in FLAWS if "videomae" in flaw.backbones]
    assert flaw.library == "transformers"
    assert flaw.is_in("5.12.1")
    assert not flaw.is_in("5.18.0")
