"""Loading the four transformers encoders: strictly, from folders that transformers itself wrote."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from polyspace.errors import UnknownNameError, WeightsError
from polyspace.models.backbones import huggingface, registry
from polyspace.models.backbones.protocol import InputSpec, TokenGrid

CPU = torch.device("cpu")
HEADS = {
    "vjepa2": transformers.VJEPA2ForVideoClassification,
    "videomae": transformers.VideoMAEForVideoClassification,
    "timesformer": transformers.TimesformerForVideoClassification,
    "vivit": transformers.VivitForVideoClassification,
}


def load(name, folder, frames=None):
    return registry.load(name, weights={name: str(folder)}, frames=frames, device=CPU)


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> dict[str, Path]:
    """The four random-tiny models, as folders."""
    folders = {name: tmp_path_factory.mktemp(name) for name in huggingface.FAMILIES}
    for name, folder in folders.items():
        huggingface.save_random_tiny(name, folder)
    return folders


@pytest.fixture(params=huggingface.FAMILIES)
def name(request) -> str:
    return request.param


@pytest.fixture
def copy(saved, name, tmp_path) -> Path:
    """A folder of one of them to break."""
    return Path(shutil.copytree(saved[name], tmp_path / "copy"))


def rewrite(folder, change):
    """Change the tensors of a folder."""
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_saved_folder_gives_the_same_bits_and_still_says_that_it_is_random(saved, name, loaded):
    direct, again = loaded(name), load(name, saved[name])
    spec = direct.inputs
    clips = torch.rand(1, spec.frames, 3, spec.height, spec.width)
    assert torch.equal(direct.forward(clips).tokens, again.forward(clips).tokens)
    assert again.weights.fingerprint == direct.weights.fingerprint
    assert (direct.weights.source, again.weights.source) == (
        "random-tiny",
        f"folder {saved[name]}",
    )
    assert again.weights.random


def test_drawing_random_weights_leaves_the_global_generator_alone(tmp_path):
    before = torch.get_rng_state()
    huggingface.save_random_tiny("vivit", tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_the_four_have_random_models(tmp_path):
    with pytest.raises(UnknownNameError, match="transnetv2"):
        huggingface.save_random_tiny("transnetv2", tmp_path)


def test_loading_says_nothing_and_leaves_the_librarys_voice_as_it_was(saved, name, capfd):
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(name, saved[name])
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (verbosity, bars)


def test_trained_weights_are_not_called_random(copy, name):
    config = json.loads((copy / "config.json").read_text())
    del config[huggingface.RANDOM_MARK]
    (copy / "config.json").write_text(json.dumps(config))
    assert not load(name, copy).weights.random


def test_a_dropped_an_extra_and_a_misshapen_weight_are_counted_and_named(copy, name):
    state = load_file(copy / "model.safetensors")
    dropped, bent = [key for key in sorted(state) if "norm" in key][:2]

    def spoil(state):
        del state[dropped]
        state[bent] = torch.zeros(7)
        state["stray.weight"] = torch.zeros(3)

    rewrite(copy, spoil)
    with pytest.raises(WeightsError) as caught:
        load(name, copy)
    # The library may name a layer otherwise than its file does.
    dropped, bent = (r"\S*" + re.escape(".".join(key.split(".")[-2:])) for key in (dropped, bent))
    assert re.search(
        rf"1 missing \({dropped}\); 1 unexpected \(stray.weight\); 1 of another shape \({bent}\)",
        str(caught.value),
    )
    assert "\n" not in str(caught.value)


def test_another_architecture_is_refused(saved, name):
    other = "vivit" if name != "vivit" else "videomae"
    with pytest.raises(WeightsError, match=f"holds a '{other}' model, not '{name}'"):
        load(name, saved[other])


def test_a_folder_without_a_config_or_without_weights_is_refused(copy, name):
    (copy / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="neither model"):
        load(name, copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="can't be read"):
        load(name, copy)
    (copy / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match="holds a None model"):
        load(name, copy)
    (copy / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        load(name, copy)


def test_a_damaged_file_is_told_in_one_line(copy, name):
    (copy / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="can't be read as weights") as caught:
        load(name, copy)
    assert "\n" not in str(caught.value)


def test_a_pytorch_file_of_tensors_is_as_good(copy, name, loaded):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert load(name, copy).weights.fingerprint == loaded(name).weights.fingerprint


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_code_in_a_pytorch_file_never_runs(copy, name, tmp_path):
    torch.save({"weight": Bomb(str(tmp_path / "exploded"))}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="can't be read as weights"):
        load(name, copy)
    assert not (tmp_path / "exploded").exists()


def test_a_fine_tuned_checkpoint_loads_without_its_head(saved, name, loaded, tmp_path):
    """The published checkpoints have heads, and names that begin with the architecture's."""
    encoder = loaded(name)
    tuned = HEADS[name](encoder.network.config)
    getattr(tuned, name).load_state_dict(encoder.network.state_dict())
    tuned.save_pretrained(tmp_path)
    spec = encoder.inputs
    clips = torch.rand(1, spec.frames, 3, spec.height, spec.width)
    tokens = load(name, tmp_path).forward(clips).tokens
    assert torch.equal(tokens, encoder.forward(clips).tokens)


def test_vjepa2_loads_without_its_predictor_to_the_same_fingerprint(saved, loaded, tmp_path):
    folder = Path(shutil.copytree(saved["vjepa2"], tmp_path / "copy"))

    def behead(state):
        for key in [key for key in state if key.startswith("predictor.")]:
            del state[key]

    rewrite(folder, behead)
    assert load("vjepa2", folder).weights.fingerprint == loaded("vjepa2").weights.fingerprint


def test_the_preprocessing_beside_the_weights_wins(copy, name):
    (copy / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 99}}))
    assert load(name, copy).inputs.short_side == 99


@pytest.mark.parametrize("version", ["5.5.4", "5.12.1", "5.17.0"])
def test_libraries_that_lose_videomaes_biases_are_refused(saved, monkeypatch, version):
    monkeypatch.setattr(huggingface.metadata, "version", lambda _: version)
    with pytest.raises(WeightsError, match=rf"transformers {version} loses"):
        load("videomae", saved["videomae"])
    assert load("vivit", saved["vivit"]).name == "vivit"


@pytest.mark.parametrize("version", ["5.5.0", "5.18.0", "5.23.0"])
def test_libraries_that_keep_them_are_not(saved, monkeypatch, version):
    monkeypatch.setattr(huggingface.metadata, "version", lambda _: version)
    assert load("videomae", saved["videomae"]).name == "videomae"


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = {
    "vjepa2": (InputSpec("frames", 64, 256, 256, 292, MEAN, STD), TokenGrid(32, 16, 16)),
    "videomae": (InputSpec("frames", 16, 224, 224, 224, MEAN, STD), TokenGrid(8, 14, 14)),
    "timesformer": (
        InputSpec("frames", 8, 224, 224, 224, mean=(0.45,) * 3, std=(0.225,) * 3),
        TokenGrid(8, 14, 14),
    ),
    "vivit": (
        InputSpec("frames", 32, 224, 224, 256, mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5),
        TokenGrid(16, 14, 14),
    ),
}


def test_the_published_sizes_give_the_published_input_and_grid(name):
    """The library's default configurations are those of the published base models."""
    family = huggingface._family(name)
    geometry = family.geometry(family.config(), None)
    assert (huggingface._table(family, geometry), geometry.grid) == PUBLISHED[name]
