import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from polyspace.errors import PrecisionError, StorageRangeError
from polyspace.precision import (
    STORAGE_TYPES,
    Precision,
    census,
    choose,
    overflow_threshold,
    resolve,
    to_compute,
    to_storage,
)

CPU = torch.device("cpu")
TYPES = ("float16", "bfloat16", "float32")
FINITE = arrays.arrays(
    np.float32,
    arrays.array_shapes(max_dims=3, max_side=5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(FINITE)
def test_float16_holds_a_value_nearly_or_it_is_refused_and_never_infinite(values):
    tensor = torch.from_numpy(values)
    lost = census(tensor, "float16")
    if lost.overflow:
        with pytest.raises(StorageRangeError, match=f"{lost.overflow} exceed float16"):
            to_storage(tensor, "float16")
        return
    stored = to_storage(tensor, "float16")
    assert stored.dtype == torch.float16
    assert torch.isfinite(stored).all()
    normal = np.abs(values) >= 2.0**-14
    exact = values[normal].astype(np.float64)
    error = np.abs(stored.double().numpy()[normal] - exact)
    assert (error <= 2.0**-11 * np.abs(exact)).all()
    # Below the normal range the steps are equal: half of one is the largest error.
    assert (np.abs(stored.double().numpy() - values)[~normal] <= 2.0**-25).all()


@given(FINITE)
def test_bfloat16_holds_a_value_nearly_or_it_is_refused_and_never_infinite(values):
    tensor = torch.from_numpy(values)
    if census(tensor, "bfloat16").overflow:
        with pytest.raises(StorageRangeError):
            to_storage(tensor, "bfloat16")
        return
    stored = to_storage(tensor, "bfloat16")
    assert stored.dtype == torch.bfloat16
    assert torch.isfinite(stored).all()
    error = np.abs(stored.double().numpy() - values.astype(np.float64))
    assert (error <= np.maximum(2.0**-8 * np.abs(values, dtype=np.float64), 2.0**-126)).all()


@given(FINITE)
def test_what_was_stored_comes_back_exactly(values):
    stored = to_storage(torch.from_numpy(values), "float32")
    assert torch.equal(to_compute(stored, CPU), torch.from_numpy(values))


@given(st.integers(0, 2**16 - 1))
def test_every_finite_float16_is_stored_as_itself(bits):
    value = torch.from_numpy(np.array([bits], dtype=np.uint16).view(np.float16))
    if not torch.isfinite(value).all():
        return
    stored = to_storage(to_compute(value, CPU), "float16")
    assert stored.numpy().tobytes() == value.numpy().tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_overflow_begins_at_the_smallest_value_that_rounds_to_infinity(dtype):
    threshold = overflow_threshold(dtype)
    below = np.nextafter(threshold, 0)
    storage = {"float16": np.float16, "float32": np.float32}[dtype]
    with np.errstate(over="ignore"):
        assert np.isinf(storage(threshold))
        assert np.isfinite(storage(below))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_rounds_to_infinity_from_the_same_float32_on(dtype):
    threshold = np.float32(overflow_threshold(dtype))
    assert float(threshold) == overflow_threshold(dtype)
    around = torch.tensor([threshold, np.nextafter(threshold, np.float32(0))])
    # More than a vector register holds, because torch converts the rest by other instructions.
    stored = around[:, None].expand(2, 65).to(STORAGE_TYPES[dtype])
    assert torch.isinf(stored[0]).all()
    assert torch.isfinite(to_storage(around[1:], dtype)).all()
    assert torch.isfinite(stored[1]).all()
    with pytest.raises(StorageRangeError, match=f"1 exceed {dtype}"):
        to_storage(around, dtype)


def test_overflow_of_bfloat16_begins_half_a_step_above_its_largest_value():
    assert overflow_threshold("bfloat16") == 2.0**128 * (1 - 2.0**-9)


def test_overflow_of_float16_begins_at_65520():
    assert overflow_threshold("float16") == 65520.0


def test_a_float64_that_torch_would_round_twice_to_infinity_is_refused():
    value = torch.tensor([np.nextafter(65520.0, 0)], dtype=torch.float64)
    assert torch.isinf(value.to(torch.float16)).all()
    assert census(value, "float16").overflow == 1
    with pytest.raises(StorageRangeError):
        to_storage(value, "float16")


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e9, float("inf"), float("nan")])
@pytest.mark.parametrize("others", [[], [0.0, 1.0]])
def test_what_float16_cannot_hold_is_refused_wherever_it_stands(value, others):
    with pytest.raises(StorageRangeError, match="store them as float32"):
        to_storage(torch.tensor([*others, value]), "float16")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_nothing_that_is_not_finite_is_stored_in_any_type(value):
    with pytest.raises(StorageRangeError, match="1 values are not finite"):
        to_storage(torch.tensor([0.0, value]), "float32")


def test_65519_is_stored_as_the_largest_float16():
    assert to_storage(torch.tensor([65519.0]), "float16").item() == 65504.0


@pytest.mark.parametrize("dtype", TYPES)
def test_no_values_are_stored_as_no_values(dtype):
    stored = to_storage(torch.empty(0, 3), dtype)
    assert (stored.shape, stored.dtype) == ((0, 3), STORAGE_TYPES[dtype])


def test_census_counts_each_kind_of_loss():
    values = torch.tensor([1.0, 1e5, float("nan"), float("inf"), 1e-6, 1e-9, 0.0, -70000.0])
    lost = census(values, "float16")
    assert (lost.count, lost.non_finite, lost.overflow, lost.subnormal) == (8, 2, 2, 2)
    assert lost.largest == 100000.0


def test_census_measures_the_round_trip():
    # 1 + 2**-11 lies half-way between two float16 values, and rounds to 1.
    lost = census(torch.tensor([1.0, 1 + 2.0**-11]), "float16")
    assert lost.worst_relative_error == pytest.approx(2**-11 / (1 + 2**-11))
    assert census(torch.tensor([1.0, 0.5]), "float16").worst_relative_error == 0


def test_census_of_nothing_is_zero():
    lost = census(torch.empty(0), "float16")
    assert (lost.count, lost.largest, lost.worst_relative_error) == (0, 0, 0)


@pytest.mark.parametrize(
    ("use_amp", "use_bf16", "name"),
    [(False, False, "fp32"), (True, False, "fp16"), (False, True, "bf16")],
)
def test_two_flags_make_one_name(use_amp, use_bf16, name):
    assert choose(use_amp=use_amp, use_bf16=use_bf16) == name


def test_both_flags_are_refused():
    with pytest.raises(PrecisionError, match=r"both --use-amp .* and --use-bf16 .*: keep one"):
        choose(use_amp=True, use_bf16=True)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_matrix_products_run_in_the_resolved_type_and_weights_stay_float32(name, dtype):
    precision = resolve(name, CPU)
    layer = torch.nn.Linear(4, 4)
    with precision.autocast(CPU):
        outputs = layer(torch.ones(1, 4))
    assert outputs.dtype == dtype
    assert layer.weight.dtype == torch.float32
    assert precision.reason


def test_autocast_ends_with_its_context():
    with resolve("bf16", CPU).autocast(CPU):
        pass
    assert torch.nn.Linear(4, 4)(torch.ones(1, 4)).dtype == torch.float32


@pytest.mark.parametrize(("name", "scales"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_only_float16_gradients_are_scaled(name, scales):
    assert resolve(name, CPU).scaler(CPU).is_enabled() == scales


def test_a_device_without_bfloat16_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    with pytest.raises(PrecisionError, match="Old GPU has no bfloat16: use --use-amp"):
        resolve("bf16", torch.device("cuda"))


def test_tf32_is_refused_by_gpus_that_are_too_old(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(PrecisionError, match="--use-tf32 on cuda: only GPUs since"):
        resolve("fp32", torch.device("cuda"), tf32=True)


def test_tf32_is_a_choice_that_is_recorded_with_its_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    found = resolve("fp32", torch.device("cuda"), tf32=True)
    assert found.tf32
    assert found.reason.endswith("float32 products rounded to TF32, asked for")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("tf32", [False, True])
def test_products_of_float32_are_rounded_only_if_that_was_chosen(tf32):
    device = torch.device("cuda")
    resolve("fp32", device, tf32=tf32).settle(device)
    left, right = (torch.randn(512, 512, device=device) for _ in range(2))
    exact = (left.double() @ right.double()).float()
    error = float((left @ right - exact).abs().max() / exact.abs().max())
    assert (error > 1e-5) == tf32


def test_a_precision_names_all_four_types():
    precision = Precision(compute="fp32", reason="asked for")
    assert (precision.storage, precision.export, precision.master) == (
        "float16",
        "float16",
        "float32",
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_compute_values_are_float32_whatever_was_stored(dtype):
    values = torch.tensor([[0.5, -2.0]], dtype=dtype)
    assert torch.equal(to_compute(values, CPU), torch.tensor([[0.5, -2.0]]))


def test_int8_levels_are_computed_with_like_any_other_values():
    values = torch.tensor([[[[-127, 0], [3, 1]]]], dtype=torch.int8)
    assert torch.equal(to_compute(values, CPU), torch.tensor([[[[-127.0, 0.0], [3.0, 1.0]]]]))


@pytest.mark.parametrize("dtype", [torch.int8, torch.float16, torch.float32])
def test_each_clip_and_dimension_is_multiplied_by_its_scale(dtype):
    values = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2).to(dtype)
    before = values.clone()
    scale = torch.tensor([[1.0, 0.5], [4.0, 2.0]])
    found = to_compute(values, CPU, scale)
    for clip in range(2):
        for dim in range(2):
            expected = before[clip, ..., dim].float() * scale[clip, dim]
            assert torch.equal(found[clip, ..., dim], expected)
    assert torch.equal(values, before)
