import numpy as np
import pytest
import torch

from polyspace.store import metadata
from polyspace.store.mapped import MappedArray


@pytest.fixture
def array(store):
    layout = metadata.read(store)
    return MappedArray(layout, layout.specs["teacher"], "summary", [0, 2])


def test_gathers_rows_of_any_chunk_in_any_order_in_the_stored_type(array, sample):
    rows = np.array([9, 0, 3, 8, 0])
    expected = sample.stacked(sample.specs[1], "summary", rows)[:, 1]
    gathered = array.gather(rows, view=1)
    assert gathered.dtype == torch.float32
    assert gathered.tolist() == expected.tolist()


def test_a_gathered_batch_is_a_copy(array):
    rows = np.array([0])
    before = array.gather(rows, view=0).clone()
    array.gather(rows, view=0).zero_()
    assert torch.equal(array.gather(rows, view=0), before)


def test_only_the_items_asked_for_are_mapped(array):
    with pytest.raises(KeyError):
        array.row(4)
