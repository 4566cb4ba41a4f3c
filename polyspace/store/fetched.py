"""One array of a store that can't be mapped: compressed, or in an object store.

Whole chunks are fetched, checked, and kept for a while; a thread fetches those ahead that somebody
says will be needed.
"""

from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import CorruptStoreError
from polyspace.store import chunks
from polyspace.store.encoding import as_tensor
from polyspace.store.journal import Entry
from polyspace.store.layout import ArraySpec, Layout, Part

KEPT_BYTES = 256 * 2**20
"""Of chunks that are kept; at least two are, whatever their size."""

THREADS = 4
"""Chunks that are fetched beside each other."""


def kept_chunks(layout: Layout, spec: ArraySpec, part: Part) -> int:
    """Give how many chunks of an array are kept."""
    return max(2, KEPT_BYTES // layout.chunk(spec, part, 0).payload_bytes)


class FetchedArray:
    """The finished chunks of one array of one backbone, one at a time."""

    def __init__(
        self, layout: Layout, spec: ArraySpec, part: Part, entries: Mapping[int, Entry]
    ) -> None:
        self._layout, self._spec, self._entries = layout, spec, entries
        self._part: Part = part
        self._clips = layout.header.clips_per_chunk
        self._most = kept_chunks(layout, spec, part)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._kept: OrderedDict[int, Future[Tensor]] = OrderedDict()

    def row(self, row: int) -> Shaped[Tensor, "view ..."]:
        """Give one row of a finished item."""
        item, place = divmod(row, self._clips)
        return self._chunk(item).result()[place]

    def gather(
        self, rows: Int64[ndarray, " clip"], *, view: int, out: Tensor | None = None
    ) -> Shaped[Tensor, "clip ..."]:
        """Copy one view of some rows of finished items, in the stored type, chunk by chunk."""
        self.expect(rows)
        items = rows // self._clips
        found = self._blank(len(rows)) if out is None else out
        for item in np.unique(items).tolist():
            where = np.flatnonzero(items == item)
            places = torch.from_numpy(rows[where] - item * self._clips)
            found[torch.from_numpy(where)] = self._chunk(item).result()[places, view]
        return found

    def expect(self, rows: Int64[ndarray, " clip"]) -> None:
        """Begin to fetch the chunks of some rows, as many as are kept."""
        for item in np.unique(rows // self._clips).tolist()[: self._most]:
            self._chunk(item)

    def _chunk(self, item: int) -> Future[Tensor]:
        """Give a chunk that is kept or on its way; the one that was used longest ago makes room."""
        if item not in self._kept or _has_failed(self._kept[item]):
            self._kept[item] = self._threads.submit(self._fetch, item)
        self._kept.move_to_end(item)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[item]

    def _fetch(self, item: int) -> Tensor:
        chunk = self._layout.chunk(self._spec, self._part, item)
        try:
            values = chunks.load(self._layout.storage, chunk, self._entries[item])
        except CorruptStoreError as error:
            clips = ", ".join(self._layout.rows.ids[slice(*self._layout.bounds(item))])
            raise CorruptStoreError(
                f"{error} (clips {clips}): polyspace store repair lets the damaged ones be done "
                f"again"
            ) from error
        # A copy: what was read from a file's bytes can't be written to, which torch warns of.
        return self._tensor(values.copy())

    def _blank(self, clips: int) -> Shaped[Tensor, "clip ..."]:
        shape = (clips, *self._spec.row_shape(self._part)[1:])
        return self._tensor(np.empty(shape, self._spec.stored_type(self._part)))

    def _tensor(self, values: Shaped[ndarray, "clip ..."]) -> Shaped[Tensor, "clip ..."]:
        """See what is stored as a tensor of the type that it means."""
        tensor = torch.from_numpy(values)
        is_feature = self._part == "tokens" or self._part == "summary"
        return as_tensor(tensor, self._spec.dtype) if is_feature else tensor


def _has_failed(chunk: Future[Tensor]) -> bool:
    """Tell whether a chunk could not be fetched; the next one who asks tries again."""
    return chunk.done() and chunk.exception() is not None
