import pytest
import torch

from polyspace.data import pace
from polyspace.data.datasets import registry
from polyspace.data.encode import Setup
from polyspace.errors import DatasetError
from polyspace.models.backbones import registry as backbones
from polyspace.precision import resolve
from tests.support.stages import follow
from tests.support.ucf101 import make_ucf101

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path):
    return make_ucf101(tmp_path / "ucf101", classes=1)


def measure(root):
    """Look at all clips; give the pace and the signs of life."""
    loaded = [
        backbones.load(name, weights={}, frames=4, device=CPU)
        for name in ("transnetv2", "motion_vectors")
    ]
    setup = Setup(CPU, resolve("fp32", CPU), spatial="2", batch=2, processes=0)
    clips = registry.read("ucf101", root, "train").clips
    said, found = follow(pace.measure(root, clips, loaded, setup))
    return found, [str(word) for word in said]


def test_every_backbone_is_timed_on_every_clip(root):
    found, said = measure(root)
    assert said[0] == "clip 1 of 6"
    assert len(said) == found.sampled == 6
    assert found.decode > 0
    assert set(found.prepare) == set(found.backbone) == {"transnetv2", "motion_vectors"}
    # A network of a million weights takes longer than one of none.
    assert found.backbone["transnetv2"] > found.backbone["motion_vectors"] > 0


def test_what_cannot_be_decoded_is_named_and_not_timed(root):
    (root / "ClassA" / "v_ClassA_g02_c01.avi").write_bytes(b"")
    found, _ = measure(root)
    assert found.sampled == 5
    assert found.refused == ("ClassA/v_ClassA_g02_c01.avi: is empty",)


def test_nothing_that_can_be_decoded_is_an_error(root):
    for file in root.glob("*/*.avi"):
        file.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"none of 6 sampled clips can be decoded, .* is empty"):
        measure(root)
