from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from polyspace.errors import StorageRangeError
from polyspace.precision import FeatureType, overflow_threshold, to_compute
from polyspace.store import encoding
from polyspace.store.encoding import (
    Lost,
    as_tensor,
    element_type,
    encode,
    fill_value,
    summary_type,
)

TYPES = get_args(FeatureType)
HOLD_EVERYTHING = ("float32", "scaled", "int8")
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = 2.0**-149

# As many small and large exponents as usual ones, which hypothesis alone rarely draws.
MAGNITUDES = st.builds(
    lambda mantissa, exponent: float(np.ldexp(np.float32(mantissa), exponent)),
    st.floats(-1, 1, width=32, exclude_min=True, exclude_max=True),
    st.integers(-148, 128),
)
FINITE = arrays.arrays(
    np.float32,
    st.tuples(*[st.integers(1, 2)] * 5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False) | MAGNITUDES,
)


def tokens(*values):
    """One clip of one view, one place and one dimension."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1, 1)


def decode(encoded, dtype):
    """Read back, view by view as the reader does, in float64 to measure what is left."""
    stored = as_tensor(torch.from_numpy(encoded.values), dtype)
    views = [
        to_compute(
            stored[:, view],
            torch.device("cpu"),
            None if encoded.scale is None else torch.from_numpy(encoded.scale[:, view]),
        )
        for view in range(stored.shape[1])
    ]
    return torch.stack(views, dim=1)


def encode_or_none(values, dtype):
    try:
        return encode(values, dtype)
    except StorageRangeError:
        assert dtype not in HOLD_EVERYTHING
        assert values.abs().max() >= overflow_threshold(dtype)
        return None


def scale_of(encoded):
    assert encoded.scale is not None
    return encoded.scale


def bits(encoded):
    scale = b"" if encoded.scale is None else encoded.scale.tobytes()
    return encoded.values.tobytes(), scale


@pytest.mark.parametrize("dtype", TYPES)
@given(values=FINITE)
@example(values=np.full((1, 1, 1, 1, 1), LARGEST, dtype=np.float32))
@example(values=np.full((1, 1, 1, 1, 1), -SMALLEST, dtype=np.float32))
def test_whatever_is_finite_is_refused_or_stored_and_read_finite(dtype, values):
    encoded = encode_or_none(torch.from_numpy(values), dtype)
    if encoded is None:
        return
    assert encoded.values.dtype == element_type(dtype)
    assert encoded.values.shape == values.shape
    assert torch.isfinite(decode(encoded, dtype)).all()
    assert torch.isfinite(as_tensor(torch.from_numpy(encoded.values), dtype)).all()
    assert fill_value(element_type(dtype)) not in encoded.values
    if encoded.scale is not None:
        assert (encoded.scale >= 2.0**-126).all()
        assert np.isfinite(encoded.scale).all()


@pytest.mark.parametrize(
    ("dtype", "relative", "tiny", "step"),
    [
        ("float16", 2.0**-11, 2.0**-14, 2.0**-24),
        ("bfloat16", 2.0**-8, 2.0**-126, 2.0**-125),
        ("float32", 0.0, 0.0, 0.0),
        ("scaled", 2.0**-11, 2.0**-14, 2.0**-24),
    ],
)
@given(values=FINITE)
@example(values=np.full((1, 1, 1, 1, 1), 65535, dtype=np.float32))
def test_rounding_costs_at_most_half_a_step(dtype, relative, tiny, step, values):
    encoded = encode_or_none(torch.from_numpy(values), dtype)
    if encoded is None:
        return
    # In float64, which holds all of it exactly. Below the normal range all steps are equal;
    # processors may take bfloat16's subnormal numbers for zero, which is what its `step` allows.
    exact, found = values.astype(np.float64), decode(encoded, dtype).double().numpy()
    scale = 1.0 if encoded.scale is None else encoded.scale.astype(np.float64)[:, :, None, None]
    normal = np.abs(exact) >= tiny * scale
    error = np.abs(found - exact)
    assert (error <= relative * np.abs(exact))[normal].all()
    assert (error <= np.broadcast_to(step * scale / 2, error.shape))[~normal].all()


@given(values=FINITE)
def test_int8_is_off_by_at_most_half_a_step(values):
    encoded = encode(torch.from_numpy(values), "int8")
    scale = scale_of(encoded)
    error = np.abs(decode(encoded, "int8").double().numpy() - values)
    assert (error <= scale[:, :, None, None] * (0.5 + 1e-4)).all()
    largest = np.abs(values).max((2, 3))
    assert np.allclose(scale, np.where(largest, largest / 127, 1), rtol=1e-6, atol=2.0**-126)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "scaled"])
@given(values=FINITE)
def test_what_was_read_is_stored_as_the_same_bytes(dtype, values):
    encoded = encode_or_none(torch.from_numpy(values), dtype)
    if encoded is not None:
        assert bits(encode(decode(encoded, dtype), dtype)) == bits(encoded)


@given(
    values=arrays.arrays(np.float32, (2, 1, 3, 1, 2), elements=st.floats(-65504, 65504, width=32)),
    largest=st.floats(2.0**-14, 65504, width=32),
)
def test_scaled_is_float16_where_nothing_needs_scaling(values, largest):
    values[:, :, 0] = largest
    scaled = encode(torch.from_numpy(values), "scaled")
    assert (scale_of(scaled) == 1).all()
    assert scaled.values.tobytes() == encode(torch.from_numpy(values), "float16").values.tobytes()


@pytest.mark.parametrize(
    ("largest", "scale"),
    [
        (0.0, 1.0),
        (1.0, 1.0),
        (65504.0, 1.0),
        (65535.0, 1.0),
        (65536.0, 2.0),
        (LARGEST, 2.0**112),
        (2.0**-14, 1.0),
        (2.0**-14 - 2.0**-38, 2.0**-30),
        (SMALLEST, 2.0**-126),
    ],
)
def test_scales_are_powers_of_two_that_bring_the_largest_value_into_range(largest, scale):
    encoded = encode(tokens(0, -largest), "scaled")
    assert scale_of(encoded).tolist() == [[[scale]]]


@pytest.mark.parametrize("dtype", ["scaled", "int8"])
def test_each_clip_view_and_dimension_has_a_scale_of_its_own(dtype):
    values = torch.ones(2, 3, 2, 2, 4)
    values[1, 2, 0, 1, 3] = 1e6
    scale = scale_of(encode(values, dtype))
    usual = scale[0, 0, 0]
    assert np.argwhere(scale != usual).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_by_every_type(dtype, value):
    with pytest.raises(StorageRangeError, match="1 values are not finite"):
        encode(tokens(0.0, value, 1.0), dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_no_clips_are_stored_as_no_clips(dtype):
    encoded = encode(torch.empty(0, 1, 2, 3, 4), dtype)
    assert encoded.values.shape == (0, 1, 2, 3, 4)
    assert encoded.values.dtype == element_type(dtype)
    assert encoded.lost.values == 0
    assert encoded.lost.largest == 0


@pytest.mark.parametrize("dtype", TYPES)
def test_features_that_carry_gradients_are_stored_and_left_as_they_were(dtype):
    values = torch.randn(2, 1, 2, 2, 3, requires_grad=True)
    before = values.detach().clone()
    assert bits(encode(values, dtype)) == bits(encode(before, dtype))
    assert torch.equal(values, before)


@pytest.mark.parametrize("dtype", TYPES)
def test_clips_are_encoded_alike_alone_and_among_many(dtype):
    values = torch.randn(2 * encoding.CLIPS_AT_A_TIME + 1, 1, 2, 2, 3)
    together = encode(values, dtype)
    alone = [encode(clip, dtype) for clip in values.split(1)]
    assert np.concatenate([one.values for one in alone]).tobytes() == together.values.tobytes()
    assert sum((one.lost for one in alone), Lost()) == together.lost


@pytest.mark.parametrize("dtype", TYPES)
def test_summaries_take_a_plain_type(dtype):
    summary = torch.tensor([[[0.5, -2.0]]])
    encoded = encode(summary, summary_type(dtype))
    stored = as_tensor(torch.from_numpy(encoded.values), summary_type(dtype))
    assert encoded.scale is None
    assert torch.equal(stored.float(), summary)


def test_bfloat16_lies_on_disk_as_its_bits():
    encoded = encode(tokens(1.0, -2.0), "bfloat16")
    assert encoded.values.ravel().tolist() == [0x3F80, 0xC000]
    assert as_tensor(torch.from_numpy(encoded.values), "bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", TYPES)
def test_the_fill_value_is_nan_or_a_level_that_no_feature_has(dtype):
    element = element_type(dtype)
    filled = as_tensor(torch.from_numpy(np.full(1, fill_value(element), dtype=element)), dtype)
    assert filled.item() == -128 if dtype == "int8" else filled.isnan().all()


def test_seconds_are_filled_with_nan():
    assert np.isnan(fill_value(np.dtype("<f8")))


def test_int8_levels_end_at_127_on_either_side():
    assert encode(tokens(-3.0, 3.0, 0.0), "int8").values.ravel().tolist() == [-127, 127, 0]


@pytest.mark.parametrize(
    ("dtype", "short"),
    [("float16", 2), ("bfloat16", 0), ("float32", 0), ("scaled", 2), ("int8", 3)],
)
def test_values_that_lose_bits_or_all_of_them_are_counted(dtype, short):
    lost = encode(tokens(-1.0, 1e-3, 1e-5, 1e-9, 0.0, -0.0), dtype).lost
    assert (lost.values, lost.largest, lost.subnormal) == (6, 1.0, short)


def test_the_error_is_that_of_the_worst_clip_over_all_of_its_views_and_dimensions():
    values = torch.tensor([[1.0, 0.3], [100.0, 1e30]]).repeat(2, 1, 1)[:, :, None, None, :]
    values = torch.cat([values, values * 0.301], dim=2)
    values[1] = 0
    found = decode(encode(values, "int8"), "int8").double()
    expected = ((found[0] - values[0].double()).norm() / values[0].double().norm()).item()
    assert expected > 1e-4
    assert encode(values, "int8").lost.worst_relative_error == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float16", 1e-4, 2**-11), ("bfloat16", 1e-3, 2**-8), ("scaled", 1e-4, 2**-11)],
)
def test_the_error_that_is_given_is_not_exceeded(dtype, low, high):
    values = torch.randn(4, 1, 8, 4, 16)
    error = (decode(encode(values, dtype), dtype) - values).flatten(1).norm(dim=1)
    worst = (error / values.flatten(1).norm(dim=1)).max().item()
    assert low < worst <= encode(values, dtype).lost.worst_relative_error * (1 + 1e-5) <= high * 1.1


def test_the_largest_values_cost_no_infinite_error():
    lost = encode(tokens(LARGEST, -LARGEST), "scaled").lost
    assert 0 < lost.worst_relative_error <= 2.0**-11
    assert Lost.model_validate_json(lost.model_dump_json()) == lost


LOST = st.builds(
    Lost,
    values=st.integers(0, 2**40),
    largest=st.floats(0, LARGEST),
    subnormal=st.integers(0, 2**40),
    worst_relative_error=st.floats(0, 1),
)


@given(LOST, LOST, LOST)
def test_what_was_lost_sums_up_in_any_order(one, two, three):
    assert (one + two) + three == three + (two + one)
    assert one + Lost() == one
    assert (one + two).values == one.values + two.values
    assert (one + two).largest == max(one.largest, two.largest)
