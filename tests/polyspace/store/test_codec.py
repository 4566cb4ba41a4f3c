import hashlib
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from polyspace.store import codec
from polyspace.store.layout import Chunk


@pytest.fixture
def chunk(tmp_path):
    return Chunk(tmp_path / "c.0.0", (4, 3), np.dtype("<f2"))


@pytest.fixture
def values():
    return np.arange(12, dtype="<f2").reshape(4, 3) / 8


def test_file_is_the_values_and_their_crc32c_in_little_endian(chunk, values):
    codec.write(chunk, values)
    checksum = google_crc32c.value(values.tobytes()).to_bytes(4, "little")
    assert chunk.path.read_bytes() == values.tobytes() + checksum


def test_checksum_is_castagnolis():
    # The check value of CRC-32/ISCSI.
    assert google_crc32c.value(b"123456789") == 0xE3069283


def test_missing_rows_at_the_end_are_filled_with_nan(chunk, values):
    codec.write(chunk, values[:3])
    stored = codec.read(chunk)
    assert stored.intact
    np.testing.assert_array_equal(stored.values[:3], values[:3])
    assert np.isnan(stored.values[3]).all()


def test_every_flipped_bit_fails_the_checksum(chunk, values):
    codec.write(chunk, values)
    good = chunk.path.read_bytes()
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        chunk.path.write_bytes(bad)
        assert not codec.read(chunk).intact


def test_map_gives_the_stored_bits_and_never_writes_to_the_file(chunk, values):
    codec.write(chunk, values)
    before = chunk.path.read_bytes()
    mapped = codec.map_values(chunk)
    assert mapped.numpy().tobytes() == values.tobytes()
    mapped.zero_()
    assert chunk.path.read_bytes() == before


def test_map_keeps_no_file_descriptor(chunk, values):
    codec.write(chunk, values)
    before = len(list(Path("/proc/self/fd").iterdir()))
    maps = [codec.map_values(chunk) for _ in range(16)]
    assert len(list(Path("/proc/self/fd").iterdir())) - before < len(maps)


def test_size_is_right_only_if_it_is_exact(chunk, values):
    assert codec.wrong_size(chunk) == f"{chunk.path} is missing"
    codec.write(chunk, values)
    assert codec.wrong_size(chunk) is None
    for size in (0, chunk.file_bytes - 1):
        chunk.path.write_bytes(bytes(size))
        assert codec.wrong_size(chunk) == f"{chunk.path} has {size} bytes, expected 28"


def test_digest_of_a_clip_runs_over_its_bytes_in_all_parts(values):
    seconds = np.arange(8, dtype="<f8").reshape(4, 2)
    digests = codec.row_digests([values, seconds])
    expected = hashlib.sha256(values[2].tobytes() + seconds[2].tobytes()).hexdigest()
    assert digests[2] == expected
    assert len(set(digests)) == 4
