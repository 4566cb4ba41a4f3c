import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import nn

from polyspace.errors import ExportError
from polyspace.export.cast import (
    SCALE,
    cast_state,
    dequantise,
    describe,
    plan,
    quantise,
    restore_state,
)
from polyspace.precision import STORAGE_TYPES, to_compute

HALVES = ("float16", "bfloat16")
WIDTHS = ("float32", *HALVES, "int8")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 4)
        self.counted = nn.BatchNorm1d(4)
        self.register_buffer("mean", torch.tensor([1e9, 0.1, 0.0]))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small()


@pytest.mark.parametrize("dtype", WIDTHS)
def test_trained_weights_are_planned_and_statistics_are_left(model, dtype):
    types = plan(model, dtype)
    assert list(types) == list(model.state_dict())
    left = {name for name, chosen in types.items() if chosen is None}
    assert left == {
        "mean",
        "counted.running_mean",
        "counted.running_var",
        "counted.num_batches_tracked",
    }
    assert types["first.weight"] == types["last.weight"] == dtype
    assert types["first.bias"] == ("float32" if dtype == "int8" else dtype)


def test_named_modules_and_norms_stay_float32(model):
    types = plan(model, "float16", keep=("last",), keep_norms=True)
    wide = {name for name, chosen in types.items() if chosen == "float32"}
    assert wide == {
        "last.weight",
        "last.bias",
        "norm.weight",
        "norm.bias",
        "counted.weight",
        "counted.bias",
    }
    assert plan(model, "float16", keep=("first.weight",))["first.weight"] == "float32"


@pytest.mark.parametrize("name", ["las", "mean", "first.weigh", ""])
def test_a_module_that_isnt_there_is_refused(model, name):
    with pytest.raises(ExportError, match=f"--keep-float32 {name}: the model has no trained"):
        plan(model, "float16", keep=(name,))


@pytest.mark.parametrize("dtype", HALVES)
def test_weights_survive_their_file_bit_by_bit(model, dtype):
    state = cast_state(model.state_dict(), plan(model, dtype))
    assert state["first.weight"].dtype == STORAGE_TYPES[dtype]
    assert torch.equal(state["mean"], model.mean)
    for name, values in restore_state(load(save(state))).items():
        assert values.dtype == state[name].dtype
        assert torch.equal(values, state[name])
        if values.is_floating_point():
            wide = to_compute(values, torch.device("cpu"))
            assert torch.equal(wide, model.state_dict()[name].to(state[name].dtype).float())


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6), st.floats(-30, 30))
def test_int8_is_half_a_step_off_at_most(seed, rows, columns, exponent):
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.standard_normal((rows, columns)) * 2.0**exponent).float()
    steps, scale = quantise(values)
    assert steps.dtype == torch.int8
    assert int(steps.abs().max()) <= 127
    off = (dequantise(steps, scale) - values).abs()
    assert bool((off <= 0.5001 * scale[:, None]).all())
    largest = values.abs().argmax(1)
    assert steps[torch.arange(rows), largest].abs().tolist() == [127] * rows


def test_int8_is_torchs_own_quantisation_with_the_same_scale():
    values = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    steps, scale = quantise(values)
    zero = torch.zeros(7, dtype=torch.int32)
    other = torch.fake_quantize_per_channel_affine(values, scale, zero, 0, -127, 127)
    torch.testing.assert_close(dequantise(steps, scale), other)


def test_rows_of_zeros_and_more_dimensions_come_back():
    values = torch.zeros(3, 2, 2)
    values[1] = torch.tensor([[1.0, -2.0], [0.0, 2.0]])
    back = dequantise(*quantise(values))
    assert back.shape == values.shape
    assert torch.equal(back[0], values[0])
    assert torch.allclose(back[1], values[1], atol=0.01)


def test_int8_files_hold_a_byte_a_weight_and_a_scale_a_row(model):
    state = cast_state(model.state_dict(), plan(model, "int8"))
    assert state["last.weight"].dtype == torch.int8
    assert state[f"last.weight{SCALE}"].shape == (4,)
    back = restore_state(state)
    assert set(back) == set(model.state_dict())
    assert torch.equal(
        back["last.weight"], dequantise(state["last.weight"], state[f"last.weight{SCALE}"])
    )


@pytest.mark.parametrize(
    ("dtype", "value"), [("float16", 65520.0), ("float16", 70000.0), ("bfloat16", 3.4e38)]
)
def test_a_weight_outside_of_the_types_range_is_named(model, dtype, value):
    with torch.no_grad():
        model.first.bias[0] = value
    with pytest.raises(ExportError, match=f"first.bias can't be exported as {dtype}") as caught:
        cast_state(model.state_dict(), plan(model, dtype))
    assert "\n" not in str(caught.value)
    kept = cast_state(model.state_dict(), plan(model, dtype, keep=("first",)))
    assert float(kept["first.bias"][0]) == pytest.approx(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["first.weight", "mean"])
@pytest.mark.parametrize("dtype", WIDTHS)
def test_values_that_are_not_finite_are_refused_wherever_they_are(model, dtype, name, value):
    with torch.no_grad():
        model.state_dict()[name].view(-1)[1] = value
    with pytest.raises(ExportError, match=f"{name} has 1 values that are not finite"):
        cast_state(model.state_dict(), plan(model, dtype))


@pytest.mark.parametrize("dtype", WIDTHS)
def test_every_tensor_is_described_once(model, dtype):
    found = describe(model, model.state_dict(), plan(model, dtype))
    assert [tensor.name for tensor in found] == list(model.state_dict())
    counts = {
        kind: sum(t.count for t in found if t.kind == kind) for kind in ("parameter", "buffer")
    }
    assert counts["parameter"] == sum(weights.numel() for weights in model.parameters())
    assert counts["buffer"] == sum(values.numel() for values in model.buffers())


def test_the_census_says_what_rounding_did(model):
    with torch.no_grad():
        model.first.weight.copy_(torch.tensor([[1e-6, 1.0, 0.1], [0.5, 1e-9, 2.0]]))
    state = model.state_dict()
    half = {t.name: t for t in describe(model, state, plan(model, "float16"))}["first.weight"]
    assert (half.overflow, half.subnormal, half.largest) == (0, 2, 2.0)
    rounded = np.float16(0.1).astype(np.float64)
    assert half.worst_relative_error == pytest.approx(abs(rounded / np.float32(0.1) - 1), rel=1e-3)
    narrow = {t.name: t for t in describe(model, state, plan(model, "int8"))}["first.weight"]
    weight = state["first.weight"].double()
    error = dequantise(*quantise(weight)).double() - weight
    assert narrow.rms_error == pytest.approx(float(error.norm() / weight.norm()), rel=1e-5)
    assert 0 < narrow.worst_relative_error <= 0.5 / 127 * 1.001
    wide = describe(model, state, plan(model, "float32"))
    assert all(tensor.rms_error == tensor.worst_relative_error == 0 for tensor in wide)
