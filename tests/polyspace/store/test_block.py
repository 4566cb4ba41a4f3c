from dataclasses import replace

import numpy as np
import pytest
import torch

from polyspace.errors import StorageRangeError, StoreError
from polyspace.store.block import Block, StoredBlock, stored
from polyspace.store.layout import ArraySpec

SPEC = ArraySpec("student", time=2, space=3, dim=4)
IDS = ("a", "b", "c")
ALL = np.ones(3, dtype=bool)


@pytest.fixture
def block():
    draw = torch.Generator().manual_seed(0)
    return Block(
        tokens=torch.randn(3, 1, 2, 3, 4, generator=draw),
        summary=torch.randn(3, 1, 4, generator=draw),
        seconds=np.arange(12.0).reshape(3, 1, 2, 2),
    )


def test_every_part_comes_in_the_type_of_its_array(block):
    for dtype in ("float16", "bfloat16", "float32", "scaled", "int8"):
        spec = replace(SPEC, dtype=dtype)
        found = stored(block, spec, IDS, ALL)
        assert tuple(found.parts) == spec.parts
        for part, values in found.parts.items():
            assert values.dtype == spec.stored_type(part)
            assert values.shape == (3, *spec.row_shape(part))
        assert found.lost.values == 72


def test_what_is_stored_is_what_was_seen_as_nearly_as_the_type_can(block):
    found = stored(block, SPEC, IDS, ALL)
    assert found.parts["tokens"].tolist() == block.tokens.half().tolist()
    assert found.parts["summary"].tolist() == block.summary.half().tolist()
    assert found.parts["time_seconds"].tolist() == block.seconds.tolist()


def test_clips_that_do_not_count_are_left_out_whatever_they_hold(block):
    block.tokens[1], block.summary[1], block.seconds[1] = torch.inf, torch.nan, np.nan
    keep = np.array([True, False, True])
    found = stored(block, SPEC, IDS, keep)
    assert found.parts["tokens"].tolist() == block.tokens[[0, 2]].half().tolist()
    assert found.parts["time_seconds"].tolist() == block.seconds[keep].tolist()
    assert found.lost.values == 48


def test_nothing_may_be_left(block):
    found = stored(block, SPEC, IDS, ~ALL)
    assert {len(values) for values in found.parts.values()} == {0}
    assert found.lost.values == 0


@pytest.mark.parametrize("part", ["tokens", "summary"])
@pytest.mark.parametrize("value", [65520.0, -1e9, torch.inf, torch.nan])
def test_values_that_the_type_cannot_hold_are_refused_and_their_clips_named(block, part, value):
    getattr(block, part)[0, 0, 0] = value
    getattr(block, part)[2, 0, 0] = value
    with pytest.raises(StorageRangeError, match=rf"{part} of student, clips a, c: .* as float32"):
        stored(block, SPEC, IDS, ALL)
    with pytest.raises(StorageRangeError, match="clips c: "):
        stored(block, SPEC, IDS, np.array([False, True, True]))


@pytest.mark.parametrize("dtype", ["float32", "scaled", "int8"])
def test_other_types_hold_what_float16_cannot(block, dtype):
    block.tokens[1, 0, 0], block.summary[1, 0, 0] = 1e9, 1e9
    found = stored(block, replace(SPEC, dtype=dtype), IDS, ALL)
    assert found.lost.largest == 1e9


def test_times_that_are_not_finite_are_refused_and_their_clips_named(block):
    block.seconds[1, 0, 1, 0] = np.inf
    with pytest.raises(StorageRangeError, match="time_seconds of student, clips b: times must be"):
        stored(block, SPEC, IDS, ALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": 3}, r"tokens of student: found \(3, 1, 2, 3, 4\), expected \(3, 1, 3, 3, 4\)"),
        ({"views": 2}, r"tokens of student: found \(3, 1, 2, 3, 4\), expected \(3, 2, 2, 3, 4\)"),
        ({"dim": 5}, r"tokens of student: .*, expected \(3, 1, 2, 3, 5\)"),
    ],
)
def test_blocks_of_another_shape_are_refused(block, change, message):
    with pytest.raises(StoreError, match=message):
        stored(block, replace(SPEC, **change), IDS, ALL)


def test_so_are_those_of_too_few_clips(block):
    with pytest.raises(StoreError, match=r"found \(3, .*, expected \(4, "):
        stored(block, SPEC, (*IDS, "d"), np.ones(4, dtype=bool))


def test_what_is_stored_already_is_taken_as_it_is(block):
    first = stored(block, replace(SPEC, dtype="int8"), IDS, ALL)
    keep = np.array([False, True, True])
    again = stored(first, replace(SPEC, dtype="int8"), IDS, keep)
    assert isinstance(again, StoredBlock)
    for part, values in first.parts.items():
        assert again.parts[part].tobytes() == values[1:].tobytes()
    assert again.lost == first.lost
