"""Chunk files: little-endian values and four bytes of crc32c, which any zarr client reads.

No compressor by default: features shrink by a few percent only, and a raw payload can be mapped.
The files are made here rather than through zarr because zarr never calls fsync.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import google_crc32c
import numpy as np
from jaxtyping import Shaped, UInt8
from numcodecs import Zstd
from numpy import ndarray

from polyspace.store.encoding import fill_value
from polyspace.store.layout import CHECKSUM_BYTES, Chunk

ZSTD_LEVEL = 5

THREADS = 2
"""Hash beside each other; sha256 is the slowest part of writing."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What a chunk file holds."""

    values: Shaped[ndarray, "clip ..."]
    crc32c: str
    """Of the file's bytes before its checksum, eight hexadecimal digits."""
    intact: bool
    """Whether the file's own checksum agrees."""


def blank(chunk: Chunk) -> Shaped[ndarray, "clip ..."]:
    """Give the values of a chunk without clips."""
    return np.full(chunk.shape, fill_value(chunk.dtype), dtype=chunk.dtype)


def encode(
    chunk: Chunk, values: Shaped[ndarray, "clip ..."]
) -> tuple[list[bytes | memoryview], str]:
    """Give the parts of a chunk file, and the crc32c of the first."""
    payload = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    if chunk.compression == "zstd":
        payload = np.frombuffer(Zstd(ZSTD_LEVEL).encode(payload), dtype=np.uint8)
    check = google_crc32c.value(payload)
    return [payload.data, check.to_bytes(CHECKSUM_BYTES, "little")], f"{check:08x}"


def decode(chunk: Chunk, file: bytes) -> Stored:
    """Take a chunk file apart.

    Raises:
        ValueError: It is too short, or can't be decompressed.
    """
    content = np.frombuffer(file, dtype=np.uint8)
    payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    check = google_crc32c.value(payload)
    intact = check.to_bytes(CHECKSUM_BYTES, "little") == checksum.tobytes()
    if chunk.compression == "zstd":
        payload = _decompress(payload, chunk, intact=intact)
    if len(payload) != chunk.payload_bytes:
        raise ValueError(f"{len(payload)} bytes of values, expected {chunk.payload_bytes}")
    return Stored(payload.view(chunk.dtype).reshape(chunk.shape), f"{check:08x}", intact)


def row_digests(parts: Sequence[Shaped[ndarray, "clip ..."]]) -> list[str]:
    """Give the sha256 of every clip, over its stored bytes in all arrays of a backbone."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(_digest, zip(*parts, strict=True)))


def _digest(rows: Sequence[Shaped[ndarray, "..."]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def _decompress(payload: UInt8[ndarray, " byte"], chunk: Chunk, *, intact: bool) -> ndarray:
    """Decompress what is intact; altered bytes are not fed to a decompressor.

    Raises:
        ValueError: They are altered, or something else.
    """
    if not intact:
        raise ValueError("its crc32c differs")
    room = np.empty(chunk.payload_bytes, dtype=np.uint8)
    try:
        return np.frombuffer(Zstd().decode(payload, out=room), dtype=np.uint8)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
