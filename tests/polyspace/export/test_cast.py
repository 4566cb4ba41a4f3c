from typing import get_args

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from polyspace.errors import ExportError
from polyspace.export.cast import SHORT_NAMES, cast, describe
from polyspace.precision import STORAGE_TYPES, StorageType, to_compute

TYPES = get_args(StorageType)


@pytest.fixture
def model():
    model = nn.Linear(3, 2)
    model.register_buffer("mean", torch.tensor([1e9, 0.1, 0.0]))
    return model


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_are_cast_and_measured_means_are_not(model, dtype):
    state = cast(model, dtype)
    assert state["weight"].dtype == state["bias"].dtype == STORAGE_TYPES[dtype]
    assert torch.equal(state["mean"], model.mean)


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_survive_their_file_bit_by_bit(model, dtype):
    state = cast(model, dtype)
    for name, values in load(save(state)).items():
        assert values.dtype == state[name].dtype
        assert torch.equal(to_compute(values, torch.device("cpu")), state[name].float())


@pytest.mark.parametrize(
    ("dtype", "name", "halved", "ratio"),
    [
        ("float16", "fp16", 8, 44 / 28),
        ("bfloat16", "bf16", 8, 44 / 28),
        ("float32", "fp32", 0, 1.0),
    ],
)
def test_what_was_halved_is_counted(model, dtype, name, halved, ratio):
    info = describe(cast(model, dtype), dtype)
    assert (info.dtype, info.fp16_parameters, info.non_fp16_parameters) == (
        name,
        halved,
        11 - halved,
    )
    assert info.total_parameters == 11
    assert info.compression_ratio == pytest.approx(ratio)


def test_every_type_has_a_short_name():
    assert set(SHORT_NAMES) == set(TYPES)


@pytest.mark.parametrize(("dtype", "value"), [("float16", 65520.0), ("bfloat16", 3.4e38)])
def test_a_weight_outside_of_the_types_range_is_named(model, dtype, value):
    with torch.no_grad():
        model.bias[0] = value
    with pytest.raises(ExportError, match=f"bias can't be exported as {dtype}"):
        cast(model, dtype)
