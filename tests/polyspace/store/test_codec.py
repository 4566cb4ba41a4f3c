import hashlib

import google_crc32c
import numpy as np
import pytest

from polyspace.store import codec
from polyspace.store.layout import Chunk


@pytest.fixture(params=["none", "zstd"])
def chunk(request):
    return Chunk("tokens", "tokens/x/c.0.0", (4, 3), np.dtype("<f2"), request.param)


@pytest.fixture
def values():
    return np.arange(12, dtype="<f2").reshape(4, 3) / 8


def file_of(chunk, values):
    return b"".join(codec.encode(chunk, values)[0])


def test_file_is_the_values_and_their_crc32c_in_little_endian(values):
    chunk = Chunk("tokens", "tokens/x/c.0.0", (4, 3), np.dtype("<f2"), "none")
    checksum = google_crc32c.value(values.tobytes())
    assert file_of(chunk, values) == values.tobytes() + checksum.to_bytes(4, "little")
    assert codec.encode(chunk, values)[1] == f"{checksum:08x}"


def test_checksum_is_castagnolis():
    # The check value of CRC-32/ISCSI.
    assert google_crc32c.value(b"123456789") == 0xE3069283


def test_what_is_taken_apart_is_what_was_put_together(chunk, values):
    parts, crc32c = codec.encode(chunk, values)
    stored = codec.decode(chunk, b"".join(parts))
    assert stored.intact
    assert stored.crc32c == crc32c
    np.testing.assert_array_equal(stored.values, values)


def test_every_flipped_bit_fails_the_checksum(chunk, values):
    good = file_of(chunk, values)
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert not is_intact(chunk, bytes(bad))


def is_intact(chunk, file):
    try:
        return codec.decode(chunk, file).intact
    except ValueError:
        # Altered bytes are not fed to a decompressor.
        return chunk.compression == "none"


@pytest.mark.parametrize("size", [0, 3, 4, 20])
def test_a_file_that_is_too_short_is_an_error(chunk, values, size):
    with pytest.raises(ValueError, match=r"expected 24|crc32c differs"):
        codec.decode(chunk, file_of(chunk, values)[:size])


def test_compressed_bytes_of_something_longer_are_an_error(values):
    chunk = Chunk("tokens", "tokens/x/c.0.0", (4, 3), np.dtype("<f2"), "zstd")
    longer = Chunk("tokens", "tokens/x/c.0.0", (8, 3), np.dtype("<f2"), "zstd")
    with pytest.raises(ValueError, match="too small"):
        codec.decode(chunk, file_of(longer, np.concatenate([values, values])))


@pytest.mark.parametrize(("dtype", "hole"), [("<f4", None), ("<u2", 0x7FC0), ("|i1", -128)])
def test_a_chunk_without_clips_holds_what_no_clip_holds(dtype, hole):
    empty = codec.blank(Chunk("tokens", "", (4, 3), np.dtype(dtype), "none"))
    assert np.isnan(empty).all() if hole is None else (empty == hole).all()


def test_digest_of_a_clip_runs_over_its_bytes_in_all_parts(values):
    seconds = np.arange(8, dtype="<f8").reshape(4, 2)
    digests = codec.row_digests([values, seconds])
    expected = hashlib.sha256(values[2].tobytes() + seconds[2].tobytes()).hexdigest()
    assert digests[2] == expected
    assert len(set(digests)) == 4
