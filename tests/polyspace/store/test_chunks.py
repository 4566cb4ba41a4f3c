import numpy as np
import pytest

from polyspace.errors import CorruptStoreError, LeaseError
from polyspace.store import chunks, journal
from polyspace.store.journal import Entry
from polyspace.store.layout import Chunk
from polyspace.store.local import LocalFolder

VALUES = np.arange(12, dtype="<f2").reshape(4, 3) / 8


@pytest.fixture
def place(path):
    return LocalFolder(path)


@pytest.fixture(params=["none", "zstd"])
def chunk(request):
    return Chunk("tokens", "tokens/x/c.0.0", (4, 3), np.dtype("<f2"), request.param)


@pytest.fixture
def entry(place, chunk):
    """The line on what was written."""
    return line({"tokens": chunks.publish(place, chunk, VALUES, lambda: None)})


def line(files):
    return Entry(
        item=0,
        start=0,
        stop=4,
        backbone="x",
        array="a7",
        sha256=("2b",) * 4,
        quarantined={},
        bytes=28,
        written_at=journal.now(),
        files=files,
    )


def alter(place, chunk, change):
    place.publish(chunk.key, [change(place.read(chunk.key))])


def test_what_is_loaded_is_what_was_published(place, chunk, entry):
    np.testing.assert_array_equal(chunks.load(place, chunk, entry), VALUES)
    assert chunks.load(place, chunk, entry).dtype == chunk.dtype


def test_what_is_said_of_a_file_is_true(place, chunk, entry):
    file = place.read(chunk.key)
    assert entry.files["tokens"].bytes == len(file)
    assert int(entry.files["tokens"].crc32c, 16) == int.from_bytes(file[-4:], "little")


def test_a_file_that_is_not_admitted_does_not_appear(place, chunk):
    def refuse():
        raise LeaseError("taken over")

    with pytest.raises(LeaseError):
        chunks.publish(place, chunk, VALUES, refuse)
    assert place.list() == {}


def test_a_missing_file_is_an_error_that_names_it(place, chunk, entry):
    place.delete(chunk.key)
    with pytest.raises(CorruptStoreError, match=r"tokens/x/c\.0\.0 is missing"):
        chunks.load(place, chunk, entry)
    assert chunks.salvage(place, chunk) is None


@pytest.mark.parametrize("kept", [0, 3, 20, -1])
def test_so_is_a_short_one(place, chunk, entry, kept):
    alter(place, chunk, lambda file: file[:kept])
    with pytest.raises(CorruptStoreError, match=r"tokens/x/c\.0\.0 is altered: "):
        chunks.load(place, chunk, entry)
    assert chunks.salvage(place, chunk) is None


def test_an_altered_one_is_an_error_and_its_other_rows_can_be_salvaged(place, chunk, entry):
    alter(place, chunk, lambda file: file[:9] + bytes([file[9] ^ 1]) + file[10:])
    with pytest.raises(CorruptStoreError, match="is altered: its crc32c differs"):
        chunks.load(place, chunk, entry)
    salvaged = chunks.salvage(place, chunk)
    if chunk.compression == "zstd":
        assert salvaged is None
    else:
        assert (salvaged == VALUES).all(axis=1).tolist() == [True, False, True, True]


def test_a_sound_file_with_other_values_is_an_error(place, chunk, entry):
    chunks.publish(place, chunk, VALUES + 1, lambda: None)
    with pytest.raises(CorruptStoreError, match="is replaced: the ledger has another crc32c"):
        chunks.load(place, chunk, entry)


def test_lines_of_schema_1_know_no_files_so_the_files_own_checksum_must_do(place, chunk, entry):
    old = line(None)
    np.testing.assert_array_equal(chunks.load(place, chunk, old), VALUES)
    alter(place, chunk, lambda file: file[:9] + bytes([file[9] ^ 1]) + file[10:])
    with pytest.raises(CorruptStoreError, match="is altered"):
        chunks.load(place, chunk, old)
