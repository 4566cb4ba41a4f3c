"""Which clips are fitted on, which select, and in what order they come."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Int64
from numpy import ndarray

from polyspace.data.splits import hold_out
from polyspace.errors import DatasetError
from polyspace.ranks import ALONE, Ranks
from polyspace.store.order import Order, Window
from polyspace.train.sources import StoredClips


@dataclass(frozen=True, eq=False)
class Division:
    """The rows of a training split: those that are fitted on, and those that select."""

    fit: Int64[ndarray, " fitted"]
    held: Int64[ndarray, " held"]


def divide(
    clips: StoredClips, rows: Int64[ndarray, " row"], *, share: float, seed: int
) -> Division:
    """Keep whole groups back from training, for selection.

    Raises:
        DatasetError: There are not enough groups to have some on either side.
    """
    kept = hold_out(clips.groups, clips.labels.tolist(), share=share, seed=seed)[rows]
    if kept.all() or not kept.any():
        raise DatasetError(
            f"{clips.dataset} {clips.split}: {len(rows)} clips of {len(set(clips.groups))} groups "
            f"leave nothing to select on; give some class two groups (source videos) or more"
        )
    return Division(fit=rows[~kept], held=rows[kept])


def in_order(rows: Int64[ndarray, " row"], batch: int) -> Iterator[Int64[ndarray, " clip"]]:
    """Cut rows into batches; the last may be smaller."""
    return Order(rows, batch).batches(0)


def shuffled(
    rows: Int64[ndarray, " row"],
    batch: int,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    window: Window | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Int64[ndarray, " clip"]]:
    """Cut rows into batches in an order that every epoch draws anew; give them from one on.

    The batches are the same for any number of ranks; each is given its share of every one.
    """
    return map(ranks.share, Order(rows, batch, seed, window=window).batches(epoch, start=start))
