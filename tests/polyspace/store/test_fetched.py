import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from polyspace.errors import CorruptStoreError
from polyspace.store import fetched, ledger
from polyspace.store.fetched import FetchedArray
from polyspace.store.layout import ArraySpec
from polyspace.store.local import LocalFolder
from polyspace.store.reader import FeatureStore


class Watched(LocalFolder):
    """A folder that remembers what was read, and refuses when it is told to."""

    is_down = False

    def __init__(self, path):
        super().__init__(path)
        self.asked = []

    def read(self, key, *, start=0):
        self.asked.append(key)
        if self.is_down:
            raise OSError("nobody answers")
        return super().read(key, start=start)


@pytest.fixture(scope="module")
def zipped(make_sample):
    return make_sample(clips_per_chunk=3, compression="zstd")


@pytest.fixture(scope="module")
def written_zipped(zipped, tmp_path_factory):
    return zipped.write(tmp_path_factory.mktemp("zipped") / "zipped.zarr")


@pytest.fixture
def packed(written_zipped, tmp_path):
    return Path(shutil.copytree(written_zipped, tmp_path / "zipped.zarr"))


@pytest.fixture
def place(packed):
    return Watched(packed)


@pytest.fixture
def array(place):
    return open_array(place, "teacher", "tokens")


def open_array(place, backbone, part):
    book = ledger.read(place.path)
    layout = type(book.layout)(place, book.layout.header, book.layout.rows, book.layout.specs)
    entries = {entry.item: entry for entry in book.of(backbone)}
    return FetchedArray(layout, layout.specs[backbone], part, entries)


def test_a_compressed_store_is_fetched_and_never_mapped(packed):
    store = FeatureStore.open(packed)
    assert (store.mapped, store.compression) == (False, "zstd")
    assert isinstance(store._array("student", "tokens"), FetchedArray)


def test_it_holds_the_same_as_one_that_is_mapped(packed, zipped, store):
    ours, theirs = FeatureStore.open(packed), FeatureStore.open(store)
    rows = np.array([9, 0, 5, 5, 3])
    assert ours.fingerprint == theirs.fingerprint
    for name in theirs.backbones:
        assert torch.equal(ours.tokens(name, rows), theirs.tokens(name, rows))
        assert torch.equal(ours.summary(name, rows), theirs.summary(name, rows))
        assert ours.seconds(name, rows).tolist() == theirs.seconds(name, rows).tolist()
    assert repr(ours.clip("v_Tähti_g04")) == repr(theirs.clip("v_Tähti_g04"))


def test_gathers_rows_of_any_chunk_in_any_order_in_the_stored_type(array, zipped):
    rows = np.array([9, 0, 3, 8, 0])
    expected = zipped.stacked(zipped.specs[1], "tokens", rows)[:, 1]
    gathered = array.gather(rows, view=1)
    assert gathered.dtype == torch.float32
    assert gathered.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", ["bfloat16", "scaled", "int8"])
def test_so_it_does_in_every_type(make_sample, path, dtype):
    made = make_sample(compression="zstd")
    spec = ArraySpec("student", 2, 3, 4, dtype=dtype)
    FeatureStore.open(type(made)(made.header, made.rows, (spec,)).write(path))
    store, rows = FeatureStore.open(path), np.array([7, 2])
    expected = torch.from_numpy(made.stacked(spec, "tokens", rows)[:, 0]).float()
    assert torch.allclose(store.tokens("student", rows), expected, rtol=2**-7, atol=0.05)


def test_a_buffer_is_filled_and_handed_out(array):
    rows = np.array([8, 1])
    fresh = array.gather(rows, view=0)
    out = torch.empty_like(fresh)
    assert array.gather(rows, view=0, out=out) is out
    assert torch.equal(out, fresh)


def test_a_gathered_batch_is_a_copy(array):
    rows = np.array([0])
    before = array.gather(rows, view=0).clone()
    array.gather(rows, view=0).zero_()
    assert torch.equal(array.gather(rows, view=0), before)


def test_no_rows_give_an_empty_batch(packed):
    store, nothing = FeatureStore.open(packed), np.array([], dtype=np.int64)
    assert store.tokens("student", nothing).shape == (0, 2, 3, 4)
    assert store.stored("student", nothing).dtype == torch.float16
    assert store.seconds("student", nothing).shape == (0, 2, 2)


def test_a_chunk_is_fetched_once_for_all_of_its_rows(array, place):
    for rows in ([0, 1, 2], [2, 0, 5], [3]):
        array.gather(np.array(rows), view=0)
    assert place.asked == [f"tokens/teacher/c.{item}.0.0.0.0" for item in (0, 1)]


def test_what_was_used_longest_ago_makes_room(place, monkeypatch):
    monkeypatch.setattr(fetched, "KEPT_BYTES", 1)
    array = open_array(place, "student", "summary")
    for row in (0, 3, 1, 6, 2, 4):
        array.gather(np.array([row]), view=0)
    chunks = [key.split(".")[1] for key in place.asked]
    # Two are kept; the chunk of rows 3 to 5 went when that of rows 6 to 8 came.
    assert chunks == ["0", "1", "2", "1"]


def test_what_will_be_needed_is_fetched_ahead_as_far_as_it_is_kept(place, monkeypatch):
    monkeypatch.setattr(fetched, "KEPT_BYTES", 1)
    array = open_array(place, "student", "summary")
    array.expect(np.array([9, 0, 4, 1]))
    array.gather(np.array([0, 4]), view=0)
    assert sorted(place.asked) == ["summary/student/c.0.0.0", "summary/student/c.1.0.0"]


@pytest.mark.parametrize("damage", ["missing", "short", "flipped"])
def test_a_damaged_file_is_an_error_that_names_it_its_clips_and_what_helps(place, array, damage):
    file = place.path / "tokens/teacher/c.1.0.0.0.0"
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(good[:-1] if damage == "short" else bytes([good[0] ^ 1]) + good[1:])
    assert len(array.gather(np.array([0, 9]), view=0)) == 2
    message = r"c\.1\.0\.0\.0\.0 is .*v_Tähti_g03, v_Tähti_g04, v_Tähti_g05\): polyspace store rep"
    with pytest.raises(CorruptStoreError, match=message):
        array.gather(np.array([0, 4]), view=0)


def test_what_could_not_be_fetched_is_tried_again_by_who_asks_next(place, array):
    place.is_down = True
    with pytest.raises(OSError, match="nobody answers"):
        array.gather(np.array([4]), view=0)
    place.is_down = False
    assert len(array.gather(np.array([4]), view=0)) == 1
