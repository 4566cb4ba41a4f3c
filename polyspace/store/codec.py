"""Chunk files: raw little-endian values and four bytes of crc32c, which any zarr client reads.

No compressor: features shrink by a few percent only, and a raw payload can be mapped. The files
are written here rather than through zarr because zarr never calls fsync.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import google_crc32c
import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.files import write_atomically
from polyspace.store.layout import CHECKSUM_BYTES, Chunk


def write(chunk: Chunk, rows: Shaped[ndarray, "clip ..."]) -> None:
    """Write one chunk file, durably and whole or not at all.

    Args:
        chunk: Which file, and its shape and type.
        rows: Its values, already in the chunk's type; missing rows at the end are filled with NaN.
    """
    payload = np.full(chunk.shape, np.nan, dtype=chunk.dtype)
    payload[: len(rows)] = rows
    write_atomically(chunk.path, lambda file: file.writelines((payload.data, _checksum(payload))))


@dataclass(frozen=True, eq=False)
class Stored:
    """What a chunk file holds."""

    values: Shaped[ndarray, "clip ..."]
    intact: bool
    """Whether the checksum agrees with the values."""


def read(chunk: Chunk) -> Stored:
    """Read a chunk file of the right size, and say whether it passes its checksum."""
    file = np.fromfile(chunk.path, dtype=np.uint8)
    payload, checksum = file[: chunk.payload_bytes], file[chunk.payload_bytes :]
    values = payload.view(chunk.dtype).reshape(chunk.shape)
    return Stored(values, intact=_checksum(payload) == checksum.tobytes())


def map_values(chunk: Chunk) -> Shaped[Tensor, "clip ..."]:
    """Map the values of a chunk file of the right size; its pages are read when they are used.

    torch maps rather than numpy, whose maps each keep a file descriptor: a store of a million
    clips would run into the limit of 1024. Writing to the tensor never reaches the file.
    """
    dtype = torch.from_numpy(np.empty(0, chunk.dtype)).dtype
    count = chunk.payload_bytes // chunk.dtype.itemsize
    return torch.from_file(str(chunk.path), shared=False, size=count, dtype=dtype).view(chunk.shape)


def wrong_size(chunk: Chunk) -> str | None:
    """Say that a file is missing, short or long; None if it has the size it must have.

    Whoever maps a file asks first: touching a page behind its end kills the process.
    """
    try:
        found = chunk.path.stat().st_size
    except FileNotFoundError:
        return f"{chunk.path} is missing"
    if found != chunk.file_bytes:
        return f"{chunk.path} has {found} bytes, expected {chunk.file_bytes}"
    return None


def row_digests(parts: Sequence[Shaped[ndarray, "clip ..."]]) -> list[str]:
    """Give the sha256 of every clip, over its stored bytes in all arrays of a backbone."""
    return [_digest(rows) for rows in zip(*parts, strict=True)]


def _digest(rows: Sequence[Shaped[ndarray, "..."]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def _checksum(payload: Shaped[ndarray, "..."]) -> bytes:
    return google_crc32c.value(payload).to_bytes(CHECKSUM_BYTES, "little")
