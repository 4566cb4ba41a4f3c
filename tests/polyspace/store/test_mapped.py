from pathlib import Path

import numpy as np
import pytest
import torch

from polyspace.store import ledger
from polyspace.store.layout import ArraySpec
from polyspace.store.mapped import MappedArray


def mapped(store, backbone, part, items):
    book = ledger.read(store)
    entries = {item: book.entries[backbone, item] for item in items}
    return MappedArray(book.layout, store, book.layout.specs[backbone], part, entries)


@pytest.fixture
def array(store):
    return mapped(store, "teacher", "summary", [0, 2])


@pytest.fixture
def paged(make_sample, tmp_path):
    """A store whose payloads are whole pages: 512 values of two bytes, four clips a chunk."""
    sample = make_sample().named()
    spec = ArraySpec("student", 2, 1, 256)
    path = type(sample)(sample.header, sample.rows, (spec,)).write(tmp_path / "paged.zarr")
    return mapped(path, "student", "tokens", [0, 1, 2]), sample, spec


def test_gathers_rows_of_any_chunk_in_any_order_in_the_stored_type(array, sample):
    rows = np.array([9, 0, 3, 8, 0])
    expected = sample.stacked(sample.specs[1], "summary", rows)[:, 1]
    gathered = array.gather(rows, view=1)
    assert gathered.dtype == torch.float32
    assert gathered.tolist() == expected.tolist()


def test_so_it_does_where_chunks_lie_back_to_back(paged):
    array, sample, spec = paged
    rows = np.array([9, 0, 3, 8, 0])
    gathered = array.gather(rows, view=0)
    assert gathered.dtype == torch.float16
    assert gathered.tolist() == sample.stacked(spec, "tokens", rows)[:, 0].tolist()


def test_a_buffer_is_filled_and_handed_out(array, paged):
    for gathers in (array, paged[0]):
        rows = np.array([8, 1])
        fresh = gathers.gather(rows, view=0)
        out = torch.empty_like(fresh)
        assert gathers.gather(rows, view=0, out=out) is out
        assert torch.equal(out, fresh)


def test_a_gathered_batch_is_a_copy(array, paged):
    for gathers in (array, paged[0]):
        rows = np.array([0])
        before = gathers.gather(rows, view=0).clone()
        gathers.gather(rows, view=0).zero_()
        assert torch.equal(gathers.gather(rows, view=0), before)


def test_writing_to_a_mapped_row_never_reaches_the_file(array, store):
    files = sorted((store / "summary" / "teacher").glob("c.*"))
    before = [file.read_bytes() for file in files]
    array.row(0).zero_()
    assert [file.read_bytes() for file in files] == before


def test_no_file_stays_open(store):
    def handles():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = handles()
    arrays = [mapped(store, "teacher", "tokens", [0, 1, 2]) for _ in range(8)]
    assert handles() - before < len(arrays)


def test_rows_outlive_the_array_that_mapped_them(store, sample):
    row = mapped(store, "teacher", "tokens", [0, 1, 2]).row(5)
    assert row.tolist() == sample.values(sample.specs[1], "tokens", 5).tolist()


def test_altered_files_are_told_from_good_ones(store):
    file = store / "summary" / "teacher" / "c.2.0.0"
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    assert mapped(store, "teacher", "summary", [0, 1, 2]).altered([0, 1, 2]) == [2]
