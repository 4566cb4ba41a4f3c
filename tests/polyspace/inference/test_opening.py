"""The seed's way to load (Loading FP16 Checkpoint, load_model_auto), and ours."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from polyspace.errors import CheckpointError, ConfigError, PrecisionError
from polyspace.export import loading
from polyspace.export.formats import kinds
from polyspace.export.formats.weights import TYPES
from polyspace.export.loading import open_bundle
from polyspace.inference import opening
from polyspace.inference.opening import load_model_auto
from tests.support.bundles import write_bundle

CPU = torch.device("cpu")
SEED_KEYS = {
    "dtype": "fp16",
    "fp16_parameters": 222,
    "non_fp16_parameters": 0,
    "total_parameters": 222,
    "compression_ratio": 1.9,
}


class Refiner(nn.Sequential):
    """A small network with statistics, as the seed's is."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 1)
        )


@pytest.fixture
def trained():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Refiner()
        model(torch.randn(8, 3, 4, 4))  # so that the statistics are some
    return model.eval()


@pytest.fixture
def exported(trained, tmp_path):
    """The file that export_best leaves: trained weights float16, statistics and counts kept."""
    narrow = {name for name, _ in trained.named_parameters()}
    state = {n: v.half() if n in narrow else v for n, v in trained.state_dict().items()}
    return write(tmp_path / "stage2_best.pt", model_state_dict=state, quantization_info=SEED_KEYS)


def write(path, **content):
    torch.save({"step": 500, "epoch": 3, **content}, path)
    return path


def load(path, model):
    """Give the network that comes back."""
    loaded, info = load_model_auto(path, model)
    assert loaded is model
    return model, info


def test_the_seeds_first_snippet_works(exported, trained):
    checkpoint = torch.load(exported, weights_only=True)
    assert checkpoint["quantization_info"]["dtype"] == "fp16"
    assert f"{checkpoint['quantization_info']['fp16_parameters']:,}" == "222"
    model = Refiner()
    model.load_state_dict(checkpoint["model_state_dict"])
    model = model.half().eval()
    pictures = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        output = model(pictures.half())
        torch.testing.assert_close(output.float(), trained(pictures), rtol=0.01, atol=0.01)


def test_the_seeds_load_model_auto_works_and_computes_in_float32_on_a_processor(exported, trained):
    model, info = load(exported, Refiner())
    assert info == SEED_KEYS
    assert not model.training
    pictures = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(model(pictures), trained(pictures), rtol=0.01, atol=2e-3)
    for name, values in model.state_dict().items():
        kept = trained.state_dict()[name]
        narrow = values.is_floating_point() and "running" not in name
        assert values.dtype == kept.dtype
        assert torch.equal(values, kept.half().float() if narrow else kept)


def test_a_model_that_is_half_already_is_widened_first(exported):
    model, _ = load(exported, Refiner().half())
    assert model[0].weight.dtype == model[1].running_var.dtype == torch.float32


def test_a_file_of_float32_says_nothing_of_its_types(trained, tmp_path):
    path = write(tmp_path / "best.pt", model_state_dict=trained.state_dict())
    model, info = load(str(path), Refiner())
    assert info is None
    assert all(torch.equal(v, trained.state_dict()[n]) for n, v in model.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_computes_in_float16_but_for_batch_normalisation(exported, trained):
    model, _ = load(exported, Refiner().cuda())
    assert model[0].weight.dtype == torch.float16
    assert model[1].running_var.dtype == model[1].weight.dtype == torch.float32
    pictures = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        output = model(pictures.half().cuda()).float().cpu()
    torch.testing.assert_close(output, trained(pictures), rtol=0.01, atol=0.01)


def test_without_an_architecture_a_file_of_weights_is_refused(exported):
    with pytest.raises(ConfigError, match=r"no architecture: .* load_model_auto\(path, model=…\)"):
        load_model_auto(exported)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("0.weight"), r"1 missing \(0.weight first\)"),
        (lambda state: state.update(extra=torch.ones(1)), r"1 unknown \(extra first\)"),
        (lambda state: state.update({"0.bias": torch.ones(7)}), r"1 of another shape \(0.bias"),
    ],
)
def test_other_weights_than_the_models_are_refused_and_none_is_filled_in(
    trained, tmp_path, change, words
):
    state = dict(trained.state_dict())
    change(state)
    model = Refiner()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=words):
        load_model_auto(write(tmp_path / "a.pt", model_state_dict=state), model)
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


class Evil:
    """What a hostile file holds: reading it plainly would make a folder."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.mkdir, (self.mark,)


def test_a_file_with_code_in_it_is_refused_and_nothing_of_it_is_run(tmp_path):
    mark = tmp_path / "executed"
    path = write(tmp_path / "evil.pt", model_state_dict={}, payload=Evil(mark))
    with pytest.raises(CheckpointError, match="nothing of it was run") as refused:
        load_model_auto(path, Refiner())
    assert "\n" not in str(refused.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [{"epoch": 1}, {"model_state_dict": [1, 2]}, {"model_state_dict": {"a": 1}}, [1], "text"],
)
def test_a_file_of_something_else_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="has no model_state_dict"):
        load_model_auto(tmp_path / "a.pt", Refiner())


def test_a_damaged_file_is_refused_in_one_line(exported):
    exported.write_bytes(exported.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="is no file of plain weights") as refused:
        load_model_auto(exported, Refiner())
    assert "\n" not in str(refused.value)


def test_an_info_that_is_none_is_refused(tmp_path):
    path = write(tmp_path / "a.pt", model_state_dict={}, quantization_info="fp16")
    with pytest.raises(CheckpointError, match="quantization_info is no table"):
        load_model_auto(path, nn.Identity())


def test_a_bundle_gives_its_network_and_its_info(bundle, model):
    loaded, info = load_model_auto(bundle)
    assert isinstance(loaded, nn.Module)
    assert info is not None
    assert info["total_parameters"] == sum(weights.numel() for weights in model.parameters())
    state = model.state_dict()
    assert all(torch.equal(v.cpu(), state[n]) for n, v in loaded.state_dict().items())
    again, _ = load_model_auto(bundle.parent.parent)
    assert isinstance(again, nn.Module)
    assert again.state_dict().keys() == state.keys()


@pytest.mark.parametrize("kind", ["bf16", "fp16", "int8"])
def test_a_bundles_network_can_be_called_whatever_it_is_stored_in(model, filmed, tmp_path, kind):
    found, _ = load_model_auto(write_bundle(tmp_path / kind, model, filmed.clips(), kind))
    assert isinstance(found, nn.Module)
    assert {weights.dtype for weights in found.parameters()} == {torch.float32}
    shape = model.fusion.spec.student
    tokens = torch.randn(2, shape.time, shape.space, shape.dim)
    device = next(found.parameters()).device
    with torch.no_grad():
        logits = found(tokens.to(device)).logits.cpu()
        torch.testing.assert_close(logits, model(tokens).logits, rtol=0.1, atol=0.1)


def test_a_bundle_takes_no_architecture(bundle):
    with pytest.raises(ConfigError, match="leave out model="):
        load_model_auto(bundle, Refiner())


def test_of_a_format_without_a_network_comes_what_runs_it(bundle, monkeypatch):
    def run(inputs):
        return inputs

    opened = open_bundle(bundle, CPU)
    graph = kinds.Loaded(run, opened.loaded.precision)
    monkeypatch.setattr(
        opening, "open_verified", lambda *_: loading.Opened(bundle, opened.config, graph)
    )
    assert load_model_auto(bundle)[0] is run


def test_a_graph_computes_in_its_own_type():
    for kind in set(kinds.MODULES) - set(TYPES):
        words = f"what a bundle of format {kind} computes in is part of it"
        with pytest.raises(PrecisionError, match=re.escape(words)):
            loading._asked(kind, "fp32", CPU)
