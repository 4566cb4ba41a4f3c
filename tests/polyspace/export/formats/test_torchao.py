import pytest
import torch
from safetensors.torch import load_file, save_file

from polyspace.errors import CheckpointError, ExportError
from polyspace.export.formats import kinds
from tests.support.zoo import EVERY, answers, distilled, looks, subject

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def torchao():
    pytest.importorskip("torchao")
    return kinds.of("torchao_int8")


@pytest.fixture(scope="module")
def left(torchao, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("torchao"), distilled(*EVERY)
    return torchao.write("torchao_int8", subject(model), folder), folder, model


def test_it_is_an_option_that_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(kinds.MODULES, "torchao_int8", "weights")
    assert kinds.of("torchao_int8")
    monkeypatch.setattr(kinds, "import_module", missing)
    with pytest.raises(ExportError, match=r"needs torchao, .* pip install 'polyspace\[torchao\]'"):
        kinds.of("torchao_int8")


def missing(name):
    raise ModuleNotFoundError(name="torchao")


@pytest.mark.parametrize("clips", [1, 3, 7])
def test_any_number_of_clips_is_answered_nearly_as_the_model_does(torchao, left, clips):
    _, folder, model = left
    run = torchao.load("torchao_int8", folder, model.specs(), CPU).run
    tokens = looks(clips)
    expected = answers(model, tokens)
    spread = float(answers(model, looks(64)).std())
    torch.testing.assert_close(run(tokens), expected, rtol=0, atol=0.1 * spread)


def test_the_census_counts_every_tensor_of_the_model(left):
    stored, folder, model = left
    state = model.state_dict()
    assert {t.name: t.count for t in stored.tensors} == {n: v.numel() for n, v in state.items()}
    held = load_file(folder / stored.files[0])
    steps = [values.numel() for name, values in held.items() if name.endswith("_weight_qdata")]
    assert sum(steps) == sum(t.count for t in stored.tensors if t.dtype == "int8") > 0


def test_a_module_that_is_kept_stays_float32(torchao, tmp_path):
    model, kept = distilled("residual_mlp", "ridge"), "translator.converters.t0_residual_mlp.map"
    stored = torchao.write("torchao_int8", subject(model, keep=[kept]), tmp_path)
    types = {t.name: t.dtype for t in stored.tensors}
    assert types[f"{kept}.up.weight"] == "float32"
    assert types["translator.converters.t1_ridge.map.weight"] == "int8"


def test_weights_of_another_model_are_refused(torchao, left, tmp_path):
    _, folder, _ = left
    with pytest.raises(CheckpointError, match="doesn't hold the weights"):
        torchao.load("torchao_int8", folder, distilled("mean").specs(), CPU)


def test_another_file_is_refused(torchao, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not what torchao wrote"):
        torchao.load("torchao_int8", tmp_path, distilled("mean").specs(), CPU)
