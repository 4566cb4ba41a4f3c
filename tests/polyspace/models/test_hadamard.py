import pytest
import torch

from polyspace.errors import ConfigError
from polyspace.models.hadamard import base_of, hadamard


@pytest.mark.parametrize(
    "order", [1, 2, 4, 8, 12, 16, 20, 24, 28, 36, 44, 52 + 8, 192, 768, 1024, 1280, 1408]
)
def test_rows_of_ones_and_minus_ones_stand_at_right_angles(order):
    matrix = hadamard(order)
    assert matrix.shape == (order, order)
    assert (matrix.abs() == 1).all()
    assert torch.equal(matrix @ matrix.T, order * torch.eye(order, dtype=torch.float64))


@pytest.mark.parametrize(
    ("order", "base"), [(64, 32), (40, 20), (36, 36), (1408, 44), (1280, 1280)]
)
def test_an_order_is_doubled_from_the_largest_that_paley_gives(order, base):
    assert base_of(order) == base


@pytest.mark.parametrize("order", [3, 6, 92, 184])
def test_orders_that_cannot_be_built_are_refused_in_one_line(order):
    with pytest.raises(ConfigError, match=f"order {order} can be built .* use --normalizer") as no:
        hadamard(order)
    assert "\n" not in str(no.value)


def test_the_widths_of_video_encoders_can_all_be_built():
    assert all(base_of(width) for width in (192, 384, 512, 768, 1024, 1152, 1280, 1408, 1536, 2048))
