"""In which order clips are read: drawn anew for every epoch, the same again from the same seed.

Over all ranks every row comes exactly once an epoch, and every rank gets as many batches.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from polyspace.errors import ConfigError
from polyspace.seeding import generator

Rows = Int64[ndarray, " row"]


@dataclass(frozen=True)
class Window:
    """Shuffling inside of a window of whole chunks, where a chunk is fetched as one file.

    Every batch but the last is full, so it may reach into the next window. Where two windows are
    kept, and a batch reaches into two at most, each chunk is fetched once an epoch.
    """

    clips_per_chunk: int
    chunks: int = 8
    """Of one window."""

    def plan(
        self, batches: Sequence[Int64[ndarray, " _clip"]]
    ) -> Iterator[tuple[Int64[ndarray, " kept"], Int64[ndarray, " fresh"]]]:
        """Say for each batch which chunks to keep, and which to fetch in place of the others.

        Returns:
            The first rows of these chunks and of those, which together are two windows at most.
        """
        touched = [np.unique(rows // self.clips_per_chunk).tolist() for rows in batches]
        last = {chunk: number for number, own in enumerate(touched) for chunk in own}
        kept, coming = list[int](), iter(last)
        for number in range(len(batches)):
            kept = [chunk for chunk in kept if last[chunk] >= number]
            needed = (chunk for chunk in coming if last[chunk] >= number)
            fresh = list(islice(needed, 2 * self.chunks - len(kept)))
            yield self._first_rows(kept), self._first_rows(fresh)
            kept += fresh

    def _first_rows(self, chunks: Iterable[int]) -> Rows:
        return np.fromiter(chunks, np.int64) * self.clips_per_chunk


@dataclass(frozen=True, eq=False)
class Order:
    """How some rows are cut into batches."""

    rows: Rows
    batch: int
    """Clips of one rank's batch; the last ones of an epoch may be smaller."""
    seed: int | None = None
    """None: as they come."""
    rank: int = 0
    ranks: int = 1
    window: Window | None = None
    """None: any row may come at any time."""

    def __post_init__(self) -> None:
        """Refuse what can't be shared out."""
        if self.batch < 1 or not 0 <= self.rank < self.ranks:
            raise ConfigError(
                f"batches of {self.batch} clips for rank {self.rank} of {self.ranks}: expected 1 "
                f"or more, and a rank from 0"
            )
        if 0 < len(self.rows) < self.ranks:
            raise ConfigError(
                f"{len(self.rows)} clips for {self.ranks} ranks: give each one a clip at least"
            )

    def __len__(self) -> int:
        """Give the batches of one epoch."""
        return len(self._bounds()) - 1

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Int64[ndarray, " clip"]]:
        """Give this rank's batches of an epoch, from one of them on."""
        order, bounds = self._drawn(epoch), self._bounds()
        for first, last in zip(bounds[start:-1], bounds[start + 1 :], strict=True):
            yield np.array_split(order[first:last], self.ranks)[self.rank]

    def _bounds(self) -> list[int]:
        """Cut an epoch into batches of all ranks together; a rest too small for all is joined."""
        clips, together = len(self.rows), self.batch * self.ranks
        bounds = [*range(0, clips, together), clips]
        if len(bounds) > 2 and clips - bounds[-2] < self.ranks:
            del bounds[-2]
        return bounds

    def _drawn(self, epoch: int) -> Rows:
        """Give all rows in the order of an epoch."""
        if self.seed is None:
            return self.rows
        drawn = self.rows[_permutation(len(self.rows), self.seed, "shuffle", epoch)]
        return _by_window(drawn, self.window, self.seed, epoch) if self.window else drawn


def _by_window(drawn: Rows, window: Window, seed: int, epoch: int) -> Rows:
    """Bring the rows of each window of chunks together, and leave them in the order drawn."""
    chunks, chunk = np.unique(drawn // window.clips_per_chunk, return_inverse=True)
    place = _permutation(len(chunks), seed, "chunks", epoch)
    return drawn[np.argsort(place[chunk] // window.chunks, kind="stable")]


def _permutation(count: int, seed: int, *purpose: str | int) -> Int64[ndarray, " row"]:
    return torch.randperm(count, generator=generator(seed, *purpose)).numpy()
