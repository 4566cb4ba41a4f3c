import json
import subprocess
import sys
from copy import deepcopy

import numpy as np
import onnx as library
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from polyspace.errors import ExportError
from polyspace.export.folding import Folded
from polyspace.export.formats import onnx, onnx_graph, onnx_quantise
from tests.support.zoo import answers, distilled, looks, subject

CPU = torch.device("cpu")
FORMS = ("onnx", "onnx_int8", "onnx_int8_static")
ERRORS = {"onnx": 1e-5, "onnx_int8": 0.15, "onnx_int8_static": 0.15}
"""Largest difference of a logit, as a share of their spread."""


@pytest.fixture(scope="module")
def model():
    model = distilled("residual_mlp", "dsconv", "ridge")
    assert onnx_quantise.SMALLEST > 64
    return model


@pytest.fixture(scope="module")
def converted(model):
    return onnx_graph.convert("onnx", subject(model))


@pytest.fixture(scope="module", params=FORMS)
def left(request, model, converted, tmp_path_factory):
    """A format, what it says that it stored, and the folder that it was written into."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_quantise, "SMALLEST", 64)
        # Tracing takes longest, and is the same for all.
        patch.setattr(onnx_graph, "convert", lambda *_: deepcopy(converted))
        stored = onnx.write(request.param, subject(model), folder)
    return request.param, stored, folder


def graph_in(folder):
    return library.load(folder / onnx.FILE)


def weights_in(folder):
    return {w.name: numpy_helper.to_array(w) for w in graph_in(folder).graph.initializer}


@pytest.mark.parametrize("clips", [1, 3, 7])
def test_any_number_of_clips_is_answered_as_the_model_does(left, model, clips):
    name, _, folder = left
    run, tokens = onnx.load(name, folder, model.specs(), CPU).run, looks(clips, seed=1)
    expected, spread = answers(model, tokens), float(answers(model, looks(64)).std())
    said = run(tokens)
    assert said.dtype == torch.float32
    torch.testing.assert_close(said, expected, rtol=0, atol=ERRORS[name] * spread)


def test_no_clips_have_no_answers(left, model):
    name, _, folder = left
    run = onnx.load(name, folder, model.specs(), CPU).run
    assert run(looks(0)).shape == (0, 3)


def test_half_precision_features_are_widened(left, model):
    name, _, folder = left
    run = onnx.load(name, folder, model.specs(), CPU).run
    half = looks(3).half()
    assert torch.equal(run(half), run(half.float()))


def test_the_census_counts_every_weight_of_the_module(left, model):
    _, stored, _ = left
    counted = {t.name: t.count for t in stored.tensors if t.kind == "parameter"}
    # The exporter computes what the norms multiply and add of their weights and statistics.
    module = {name: p.numel() for name, p in Folded(model).named_parameters()}
    assert counted == {
        name: count
        for name, count in module.items()
        if ".norm." not in name or "blocks" not in name
    }


def test_the_census_counts_everything_that_the_file_holds(left):
    _, stored, folder = left
    values = {
        name: held.size
        for name, held in weights_in(folder).items()
        if not name.endswith(("_scale", "_zero_point")) and held.dtype != np.int64 and held.size > 1
    }
    assert sum(values.values()) == sum(t.count for t in stored.tensors if t.count > 1)
    for tensor in stored.tensors:
        name = f"{tensor.name}_quantized" if tensor.dtype.startswith("int") else tensor.name
        assert values.get(name, 1) == tensor.count
        assert str(weights_in(folder)[name].dtype) == tensor.dtype


def test_int8_matrices_carry_the_error_of_their_rounding(left):
    name, stored, _ = left
    rounded = [tensor for tensor in stored.tensors if tensor.dtype == "int8"]
    assert bool(rounded) == (name != "onnx")
    for tensor in rounded:
        assert 0 < tensor.rms_error < 0.02
        assert tensor.worst_relative_error <= 0.51 / 127


def test_the_classifier_stays_float32(left):
    _, stored, _ = left
    [head] = [tensor for tensor in stored.tensors if tensor.name == "head.linear.weight"]
    assert head.dtype == "float32"


def test_a_module_that_is_kept_stays_float32_and_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_quantise, "SMALLEST", 64)
    model, kept = distilled("residual_mlp", "ridge"), "translator.converters.t0_residual_mlp.map"
    stored = onnx.write("onnx_int8", subject(model, keep=[kept]), tmp_path)
    types = {tensor.name: tensor.dtype for tensor in stored.tensors}
    assert {types[f"{kept}.{layer}.weight"] for layer in ("linear", "up", "down")} == {"float32"}
    assert types["translator.converters.t1_ridge.map.weight"] == "int8"
    held = weights_in(tmp_path)[f"{kept}.up.weight"]
    exact = model.state_dict()[f"{kept}.up.weight"].numpy()
    assert np.array_equal(held, exact.T)


def test_a_module_that_is_not_there_can_not_be_kept(model, tmp_path):
    with pytest.raises(
        ExportError, match="--keep-float32 nothing: the model has no trained weights"
    ):
        onnx.write("onnx_int8", subject(model, keep=["nothing"]), tmp_path)


def test_the_file_says_what_it_is_and_nothing_of_this_machine(left):
    _, _, folder = left
    graph = graph_in(folder)
    said = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert said["classes"] == ["left", "right", "still"]
    assert said["entry"] == "tokens"
    assert said["student"] == {"name": "stu"}
    assert said["preprocessing"] == {"frames": 4}
    content = (folder / onnx.FILE).read_bytes()
    for trace in (b".py", b"/tmp", b"/work", b"aten.", b"pickle"):
        assert trace not in content
    assert [value.name for value in graph.graph.output] == ["logits", "probabilities"]
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "clip"


def test_its_probabilities_are_those_of_its_logits(left):
    _, _, folder = left
    session = onnxruntime.InferenceSession(folder / onnx.FILE, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(None, {"inputs": looks(4).numpy()})
    torch.testing.assert_close(
        torch.from_numpy(probabilities), torch.from_numpy(logits).softmax(dim=1)
    )


def test_what_is_larger_than_a_file_may_be_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "LARGEST", 1000)
    with pytest.raises(ExportError, match="an ONNX file holds 1,000 at most: export pt2"):
        onnx.write("onnx", subject(model), tmp_path)
    assert not any(tmp_path.iterdir())


def test_nothing_to_calibrate_with_is_refused(model, tmp_path):
    given = subject(model)
    object.__setattr__(given, "are_clips", False)
    with pytest.raises(ExportError, match="onnx_int8_static needs videos to calibrate with"):
        onnx.write("onnx_int8_static", given, tmp_path)


def test_a_gpu_that_the_runtime_can_not_use_is_refused(left, model, monkeypatch):
    name, _, folder = left
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ExportError, match="no CUDAExecutionProvider: pip install onnxruntime-gpu"):
        onnx.load(name, folder, model.specs(), torch.device("cuda"))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    broken = distilled("ridge")
    with torch.no_grad():
        broken.fusion.head.linear.weight[0, 0] = torch.nan
    with pytest.raises(
        ExportError, match=r"fusion\.head\.linear\.weight has 1 values that are not"
    ):
        onnx.write("onnx", subject(broken), tmp_path)


def test_calibration_clips_come_in_batches_and_all_of_them():
    clips = onnx_quantise.Clips(looks(40).numpy())
    batches = []
    while (batch := clips.get_next()) is not None:
        batches.append(batch["inputs"])
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert np.array_equal(np.concatenate(batches), looks(40).numpy())


QUIET = """
import torch
from pathlib import Path
from polyspace.export.formats import onnx
from tests.support.zoo import distilled, subject
onnx.write("onnx_int8_static", subject(distilled("mean")), Path({folder!r}))
"""


def test_exporters_say_nothing_to_the_user(tmp_path):
    script = QUIET.format(folder=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
