"""One array of a store, mapped: any rows in any order, at the speed of memory.

All chunk files lie back to back in one range of addresses, so that a batch is one gather. That
takes payloads of whole pages, which chunks of 256 clips nearly always are; others begin on a page
each, and are gathered by chunk and place.
"""

import ctypes
import mmap
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import StoreError
from polyspace.store.encoding import as_tensor
from polyspace.store.journal import Entry
from polyspace.store.layout import ArraySpec, Chunk, Layout, Part

MAP_FIXED = 0x10
MAP_NORESERVE = 0x4000 if hasattr(mmap, "MAP_POPULATE") else 0x40
"""Linux, else the BSDs and macOS: what is never written to needs no swap."""

THREADS = 4
"""Checksums that are computed beside each other."""


class MappedArray:
    """The finished chunks of one array of one backbone.

    Holes are not mapped; whoever asks for rows makes sure first that they are done. Writing to
    what is handed out never reaches the files.
    """

    def __init__(
        self,
        layout: Layout,
        folder: Path,
        spec: ArraySpec,
        part: Part,
        entries: Mapping[int, Entry],
    ) -> None:
        """Map the chunk files of some work items, each of which must have the right size."""
        self._folder, self._entries = folder, entries
        self._chunks = {item: layout.chunk(spec, part, item) for item in entries}
        chunk = layout.chunk(spec, part, 0)
        self._payload, self._clips = chunk.payload_bytes, chunk.shape[0]
        self._stride = -(-self._payload // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = _map(
            {item: folder / chunk.key for item, chunk in self._chunks.items()},
            size=self._payload,
            stride=self._stride,
            count=len(layout.items),
        )
        self._values = _see(self._memory, chunk, self._stride, spec)
        self._rows = self._values.flatten(0, 1) if self._stride == self._payload else None

    def row(self, row: int) -> Shaped[Tensor, "view ..."]:
        """Give one row of a finished item as it lies in the map."""
        return self._values[divmod(row, self._clips)]

    def gather(
        self, rows: Int64[ndarray, " clip"], *, view: int, out: Tensor | None = None
    ) -> Shaped[Tensor, "clip ..."]:
        """Copy one view of some rows of finished items, in the stored type.

        Args:
            rows: Which.
            view: Which of their views.
            out: Where to; a buffer that is used again saves the system from clearing new pages,
                which costs as much as the copy.
        """
        if self._rows is not None:
            return torch.index_select(self._rows[:, view], 0, torch.from_numpy(rows), out=out)
        items, places = np.divmod(rows, self._clips)
        found = self._values[torch.from_numpy(items), torch.from_numpy(places), view]
        return found if out is None else out.copy_(found)

    def altered(self, items: list[int]) -> list[int]:
        """Give those of some items whose files are not what was written, by their checksums."""
        with ThreadPoolExecutor(THREADS) as threads:
            good = list(threads.map(self._is_good, items))
        return [item for item, is_good in zip(items, good, strict=True) if not is_good]

    def _is_good(self, item: int) -> bool:
        start = item * self._stride
        payload = np.frombuffer(self._memory, np.uint8, count=self._payload, offset=start)
        check = google_crc32c.value(payload)
        files = self._entries[item].files
        if files is not None:
            return f"{check:08x}" == files[self._chunks[item].part].crc32c
        with (self._folder / self._chunks[item].key).open("rb") as file:
            file.seek(self._payload)
            return file.read() == check.to_bytes(4, "little")


def _map(files: Mapping[int, Path], *, size: int, stride: int, count: int) -> mmap.mmap:
    """Reserve one range of addresses, and lay files into it; the range lives as the map does."""
    private = mmap.MAP_PRIVATE | MAP_NORESERVE
    memory = mmap.mmap(-1, stride * count, flags=private | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    for item, file in files.items():
        handle = os.open(file, os.O_RDONLY)
        try:
            access = mmap.PROT_READ | mmap.PROT_WRITE
            place = start + item * stride
            if library.mmap(place, size, access, private | MAP_FIXED, handle, 0) != place:
                why = os.strerror(ctypes.get_errno())
                raise StoreError(
                    f"{file} can't be mapped ({why}): with very many chunks the system's limit "
                    f"vm.max_map_count may be too low; raise it, or repack into larger chunks"
                )
        finally:
            os.close(handle)
    return memory


def _see(memory: mmap.mmap, chunk: Chunk, stride: int, spec: ArraySpec) -> Tensor:
    """See the range as [item, clip, ...] in the type that the values mean."""
    dtype = torch.from_numpy(np.empty(0, chunk.dtype)).dtype
    flat = torch.frombuffer(memory, dtype=dtype)
    if chunk.part == "tokens" or chunk.part == "summary":
        flat = as_tensor(flat, spec.dtype)
    steps = np.cumprod((1, *chunk.shape[:0:-1]))[::-1].tolist()
    count = len(memory) // stride
    return flat.as_strided((count, *chunk.shape), (stride // chunk.dtype.itemsize, *steps))
