from dataclasses import asdict, replace

import pytest
import torch

from polyspace.data import reload
from polyspace.data.encode import Setup, array_spec
from polyspace.errors import MissingWeightsError, StoreError
from polyspace.models.backbones import registry
from polyspace.models.backbones.transnetv2 import TransNetV2
from polyspace.models.backbones.weights import Hub, find
from polyspace.precision import resolve
from polyspace.store.layout import ArraySpec

CPU = torch.device("cpu")
SETUP = Setup(CPU, resolve("fp32", CPU), spatial="full", batch=1, processes=0)


def spec(name, *, frames=16, **changes):
    """Give what the store says of a backbone that saw clips, with some of it changed."""
    backbone = registry.load(name, weights={}, frames=frames, device=CPU)
    made = array_spec(backbone, role="teacher", setup=replace(SETUP, spatial="2"))
    return replace(made, provenance={**made.provenance, **changes})


def source(made, given):
    return reload.source(made.backbone, made.provenance, given)


@pytest.mark.parametrize("name", ["transnetv2", "efficientnet_lite0", "motion_vectors"])
@pytest.mark.parametrize("frames", [4, 16])
def test_a_backbone_is_loaded_as_it_was(name, frames):
    made = spec(name, frames=frames)
    loaded = reload.load(source(made, {}), SETUP)
    assert asdict(loaded.backbone.inputs) == made.provenance["inputs"]
    assert asdict(loaded.backbone.grid) == made.provenance["grid"]
    assert loaded.setup.spatial == "2"


def test_random_weights_are_drawn_again():
    record = spec("transnetv2").provenance
    drawn = {**record, "weights": {**record["weights"], "source": "random-tiny"}}
    made = ArraySpec("videomae", 1, 1, 1, provenance=drawn)
    assert source(made, {}).weights == {"videomae": "random-tiny"}


def test_a_folder_that_the_store_names_is_looked_in_unless_another_is_given():
    record = spec("transnetv2").provenance
    there = {**record, "weights": {**record["weights"], "source": "folder /models/a"}}
    made = ArraySpec("transnetv2", 1, 1, 1, provenance=there)
    assert source(made, {}).weights == {"transnetv2": "/models/a"}
    given = {"transnetv2": "/models/b", "videomae": "/models/c"}
    assert source(made, given).weights == {"transnetv2": "/models/b"}
    assert source(spec("transnetv2"), {}).weights == {}


def test_weights_that_are_not_here_are_not_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def load(name, **_):
        return find(name, {}, Hub("MCG-NJU/videomae-base"))

    monkeypatch.setattr(registry, "load", load)
    with pytest.raises(MissingWeightsError, match="the hub itself wasn't asked"):
        reload.load(source(spec_of_record(), {}), SETUP)


def spec_of_record():
    record = {"weights": {"source": "MCG-NJU/videomae-base @ abc", "fingerprint": "0" * 64}}
    record |= {"inputs": {"frames": 16}, "compute": "fp32", "spatial": "2"}
    return ArraySpec("videomae", 1, 1, 1, provenance=record)


def test_other_weights_are_refused():
    made = spec("transnetv2")
    other = {**made.provenance["weights"], "fingerprint": "0" * 64, "source": "somewhere"}
    made = replace(made, provenance={**made.provenance, "weights": other})
    with pytest.raises(StoreError, match=r"is not what the features were made with \(somewhere\)"):
        reload.load(source(made, {}), SETUP)


def test_other_preprocessing_is_refused():
    made = spec("transnetv2")
    made = spec("transnetv2", inputs={**made.provenance["inputs"], "height": 54})
    with pytest.raises(StoreError, match=r"fed otherwise .* \(height\)"):
        reload.load(source(made, {}), SETUP)


def test_a_store_that_says_too_little_is_refused():
    made = ArraySpec("transnetv2", 1, 1, 1, provenance={"weights": {"source": "none"}})
    with pytest.raises(StoreError, match="the features of transnetv2 don't say their inputs"):
        source(made, {})


def test_weights_are_counted():
    loaded = registry.load("transnetv2", weights={}, frames=4, device=CPU)
    assert isinstance(loaded, TransNetV2)
    state = sum(own.numel() for own in loaded.blocks.state_dict().values())
    assert reload.parameters(loaded) == state - sum(b.numel() for b in loaded.blocks.buffers())
    none = registry.load("motion_vectors", weights={}, frames=4, device=CPU)
    assert reload.parameters(none) == 0
