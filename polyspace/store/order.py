"""In which order clips are read: drawn anew for every epoch, the same again from the same seed.

Over all ranks every row comes exactly once an epoch, and every rank gets as many batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from polyspace.errors import ConfigError
from polyspace.seeding import generator

Rows = Int64[ndarray, " row"]


@dataclass(frozen=True)
class Window:
    """Shuffling inside of a window of whole chunks, where a chunk is fetched as one file."""

    clips_per_chunk: int
    chunks: int = 8
    """Of one window. A batch may reach into the next one, so two have to be kept."""


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
        return bounds if clips else [0]

    def _drawn(self, epoch: int) -> Rows:
        """Give all rows in the order of an epoch."""
        if self.seed is None:
            return self.rows
        if self.window is None:
            return self.rows[_permutation(len(self.rows), self.seed, "shuffle", epoch)]
        windows = _windows(self.rows, self.window, self.seed, epoch)
        return np.concatenate([self.rows[:0], *windows])


def _windows(rows: Rows, window: Window, seed: int, epoch: int) -> Iterator[Rows]:
    """Draw an order of the chunks, and in each window of them one of the rows."""
    chunk = rows // window.clips_per_chunk
    chunks = np.unique(chunk)
    drawn = chunks[_permutation(len(chunks), seed, "chunks", epoch)]
    for number, start in enumerate(range(0, len(drawn), window.chunks)):
        inside = rows[np.isin(chunk, drawn[start : start + window.chunks])]
        yield inside[_permutation(len(inside), seed, "window", epoch, number)]


def _permutation(count: int, seed: int, *purpose: str | int) -> Int64[ndarray, " row"]:
    return torch.randperm(count, generator=generator(seed, *purpose)).numpy()
