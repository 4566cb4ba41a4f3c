import pytest
import torch
from safetensors.torch import save
from torch import nn

from polyspace.errors import ExportError
from polyspace.export.bare import state
from polyspace.export.bare.weights import Weights
from polyspace.export.stored import quantization_info
from polyspace.precision import StorageType


@pytest.fixture
def mock():
    """The network whose numbers the seed reports: 162,060 parameters and 515 buffers."""
    layers = [nn.Conv2d(12, 64, 3, padding=1), nn.BatchNorm2d(64)]
    layers += [nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)]
    layers += [nn.Conv2d(128, 64, 3, padding=1), nn.BatchNorm2d(64)]
    return nn.Sequential(*layers, nn.Conv2d(64, 12, 3, padding=1))


def weights_of(net):
    buffers = frozenset(name for name, _ in net.named_buffers())
    return Weights("model_state_dict", net.state_dict(), buffers, ())


def plain(**tensors):
    return Weights("state_dict", tensors, frozenset(), ())


def info_of(weights, dtype: StorageType = "float16"):
    leaving = state.cast_weights(weights, dtype)
    return quantization_info(
        state.stored(weights, dtype, ("model.safetensors",)),
        size=len(save(leaving)),
        float32_size=state.float32_size(weights),
        sources={},
        keep_float32=(),
    )


def test_parameters_are_cast_and_statistics_are_not(mock):
    given = weights_of(mock)
    leaving = state.cast_weights(given, "float16")
    assert list(leaving) == list(given.state)
    for name, _ in mock.named_parameters():
        assert torch.equal(leaving[name], given.state[name].half())
    for name, values in mock.named_buffers():
        assert leaving[name].dtype == values.dtype
        assert torch.equal(leaving[name], values)


def test_parameters_and_buffers_are_counted_apart_and_the_ratio_is_measured(mock):
    info = info_of(weights_of(mock))
    assert info["fp16_parameters"] == info["total_parameters"] == 162_060
    assert (info["non_fp16_parameters"], info["dtype"]) == (0, "fp16")
    assert info["buffers"] == {"float32": 512, "int64": 3}
    assert info["compression_ratio"] == info["float32_bytes"] / info["bytes"]
    assert 1.95 < info["compression_ratio"] < 2


def test_what_is_half_already_is_counted_as_half_and_other_types_stay():
    given = plain(
        a=torch.ones(3).half(),
        b=torch.ones(2).double(),
        c=torch.ones(5),
        d=torch.tensor([True, False]),
    )
    leaving = state.cast_weights(given, "float16")
    kept = [torch.float16, torch.float64, torch.float16, torch.bool]
    assert [leaving[name].dtype for name in "abcd"] == kept
    info = info_of(given)
    assert (info["fp16_parameters"], info["non_fp16_parameters"]) == (8, 4)


def test_a_number_that_float64_alone_can_hold_is_finite():
    given = plain(a=torch.full((2,), 1e300, dtype=torch.float64))
    assert torch.equal(state.cast_weights(given, "float16")["a"], given.state["a"])


def test_float32_is_an_export_too_and_halves_nothing(mock):
    info = info_of(weights_of(mock), "float32")
    assert (info["dtype"], info["fp16_parameters"]) == ("fp32", 0)
    assert info["bytes"] == pytest.approx(info["float32_bytes"], rel=1e-3)


def test_the_census_tells_what_was_rounded(mock):
    with torch.no_grad():
        mock[0].bias[0] = 1e-6
    tensors = {one["name"]: one for one in info_of(weights_of(mock))["tensors"]}
    assert tensors["0.bias"]["subnormal"] >= 1
    assert 0 < tensors["0.weight"]["worst_relative_error"] <= 2**-11
    mean = tensors["1.running_mean"]
    assert (mean["kind"], mean["dtype"], mean["worst_relative_error"]) == ("buffer", "float32", 0)


@pytest.mark.parametrize("value", [65520.0, -70000.0, 1e30])
def test_a_value_that_float16_can_not_hold_is_refused_by_name(mock, value):
    with torch.no_grad():
        mock[0].weight[0, 0, 0, 0] = value
    with pytest.raises(ExportError, match=r"0\.weight can't be exported as float16") as refused:
        state.cast_weights(weights_of(mock), "float16")
    assert "\n" not in str(refused.value)
    state.cast_weights(weights_of(mock), "float32")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_what_is_no_number_is_refused_in_every_type(mock, dtype, value, name):
    with torch.no_grad():
        mock.state_dict()[name].view(-1)[0] = value
    with pytest.raises(ExportError, match=f"{name} has 1 values that are not finite"):
        state.cast_weights(weights_of(mock), dtype)


def test_tensors_that_share_memory_leave_each_with_its_own():
    shared = torch.ones(4)
    leaving = state.cast_weights(plain(a=shared, b=shared), "float32")
    assert leaving["a"].data_ptr() != leaving["b"].data_ptr()
    assert len(save(leaving)) > 32
