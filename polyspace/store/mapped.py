"""One array of a store, mapped: any rows in any order, at the speed of memory."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.store import codec
from polyspace.store.layout import ArraySpec, Layout, Part


class MappedArray:
    """The finished chunks of one array of one backbone."""

    def __init__(self, layout: Layout, spec: ArraySpec, part: Part, items: Iterable[int]) -> None:
        """Map the chunk files of some work items, each of which must have the right size."""
        self._clips_per_chunk = layout.header.clips_per_chunk
        self._chunks = {item: codec.map_values(layout.chunk(spec, part, item)) for item in items}

    def row(self, row: int) -> Float[Tensor, "view ..."]:
        """Give one row of a finished item as it lies in the map."""
        item, place = divmod(row, self._clips_per_chunk)
        return self._chunks[item][place]

    def gather(self, rows: Int64[ndarray, " clip"], *, view: int) -> Float[Tensor, "clip ..."]:
        """Copy one view of some rows of finished items, in the stored type.

        Rows are stacked one by one: grouping them by chunk first costs a second copy and is slower.
        """
        return torch.stack([self.row(row)[view] for row in rows.tolist()])
