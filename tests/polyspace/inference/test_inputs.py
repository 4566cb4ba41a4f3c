import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from polyspace.errors import InputError
from polyspace.inference.inputs import as_features, as_frames, as_tensor
from polyspace.models.grids import TokenShape

SHAPE = TokenShape(2, 4, 6)
TYPES = ("float32", "float16", "float64", "uint8", "int64", ">f4", "<f2")


def features(*sizes, dtype=torch.float32):
    return as_features(torch.zeros(sizes, dtype=dtype), SHAPE, "stu")


@given(arrays.arrays(st.sampled_from(TYPES), (2, 3, 4), elements=st.integers(0, 200)))
def test_arrays_of_any_layout_keep_their_values(values):
    for array in (values, values[::-1], values.transpose(2, 0, 1)):
        assert (as_tensor(array).numpy() == array).all()


def test_arrays_that_cannot_be_written_to_are_taken_without_a_warning():
    values = np.zeros((2, 2), np.float32)
    values.flags.writeable = False
    assert as_tensor(values).shape == (2, 2)


def test_tensors_are_not_copied_and_lose_their_history():
    values = torch.zeros(3, requires_grad=True)
    taken = as_tensor(values)
    assert not taken.requires_grad
    assert taken.data_ptr() == values.data_ptr()


@pytest.mark.parametrize("given", [[1.0], "clip.mp4", None, np.array(["a"]), np.array([None])])
def test_what_is_no_array_is_refused_in_one_line(given):
    with pytest.raises(InputError, match=r"expected features .* or frames") as refused:
        as_tensor(given)
    assert "\n" not in str(refused.value)


def test_a_path_is_answered_with_where_it_goes():
    with pytest.raises(InputError, match=r"files go to \.videos"):
        as_tensor("clip.mp4")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_features_get_the_axis_of_their_views(dtype):
    assert features(5, 2, 4, 6, dtype=dtype).shape == (5, 1, 2, 4, 6)
    assert features(5, 3, 2, 4, 6, dtype=dtype).shape == (5, 3, 2, 4, 6)
    assert features(0, 2, 4, 6, dtype=dtype).shape == (0, 1, 2, 4, 6)


@pytest.mark.parametrize(
    "sizes", [(2, 4, 6), (5, 4, 2, 6), (5, 2, 4, 7), (1, 1, 5, 2, 4, 6), (5, 0, 2, 4, 6), (6,)]
)
def test_features_of_another_shape_are_refused_with_both_shapes(sizes):
    with pytest.raises(InputError, match=r"\[clip time space dim\].* with 2x4x6 at the end") as no:
        features(*sizes)
    assert f"found float32 [{' '.join(map(str, sizes))}]" in str(no.value)
    assert "\n" not in str(no.value)


def test_features_of_another_type_are_refused():
    with pytest.raises(InputError, match=r"found float64 \[1 2 4 6\]"):
        features(1, 2, 4, 6, dtype=torch.float64)


def test_features_that_are_not_finite_are_refused_with_their_number():
    values = torch.zeros(1, 2, 4, 6)
    values[0, 0, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    with pytest.raises(InputError, match="found 3 values that are not finite"):
        as_features(values, SHAPE, "stu")


def test_one_clips_frames_get_the_axis_of_the_clips():
    assert as_frames(torch.zeros(7, 9, 8, 3, dtype=torch.uint8)).shape == (1, 7, 9, 8, 3)
    assert as_frames(torch.zeros(2, 7, 9, 8, 3, dtype=torch.uint8)).shape == (2, 7, 9, 8, 3)


@pytest.mark.parametrize("sizes", [(7, 3, 9, 8), (9, 8, 3), (0, 9, 8, 3), (2, 7, 0, 8, 3)])
def test_frames_of_another_shape_are_refused(sizes):
    with pytest.raises(InputError, match=r"expected uint8 \[clip frames height width 3\]") as no:
        as_frames(torch.zeros(sizes, dtype=torch.uint8))
    assert f"[{' '.join(map(str, sizes))}]" in str(no.value)


def test_frames_of_another_type_are_refused():
    with pytest.raises(InputError, match=r"found float32 \[7 9 8 3\]"):
        as_frames(torch.zeros(7, 9, 8, 3))
