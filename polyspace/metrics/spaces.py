"""Feature spaces to be compared: a vector a clip, checked, and multiplied block by block.

Nothing here or in what builds on it holds clips times clips: a block has `BLOCK` rows at most.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy import ndarray

from polyspace.errors import MetricError

BLOCK = 1024
"""Rows, or columns, that are multiplied at once."""
CONSTANT = 1e-12
"""Share of the mean square below which variance is what rounding leaves of a constant."""


def check(vectors: Float[ndarray, "clip dim"], *, least: int, name: str = "a space") -> None:
    """See whether anything can be said of a space.

    Args:
        vectors: One for each clip.
        least: Clips that are needed.
        name: What the space is called in the message.

    Raises:
        MetricError: Too few clips, values that aren't numbers, or the same vector for all clips.
    """
    check_numbers(vectors, least=least, name=name)
    if not varies(vectors):
        raise MetricError(
            f"{name}: all {len(vectors)} clips have the same vector, so that nothing can be "
            f"compared: what gave them has collapsed, or ignores the video"
        )


def check_numbers(vectors: Float[ndarray, "clip dim"], *, least: int, name: str) -> None:
    """See whether there are enough clips, and nothing but numbers.

    Raises:
        MetricError: Too few clips, or values that aren't numbers.
    """
    clips = len(vectors)
    if clips < least:
        raise MetricError(
            f"{name}: {clips} clips, but at least {least} are needed: compare more, or set a "
            f"smaller k"
        )
    bad = sum(int((~np.isfinite(vectors[rows])).any(axis=1).sum()) for rows in blocks(clips))
    if bad:
        raise MetricError(
            f"{name}: the vectors of {bad} of {clips} clips hold values that are not numbers: "
            f"extract these clips again, or leave them out of every space"
        )


def check_pair(first: Float[ndarray, "clip _"], second: Float[ndarray, "other_clip _"]) -> None:
    """See whether two spaces hold the same number of clips.

    Raises:
        MetricError: They don't.
    """
    if len(first) != len(second):
        raise MetricError(
            f"{len(first)} clips in one space and {len(second)} in the other: compare the same "
            f"clips, in the same order"
        )


def varies(vectors: Float[ndarray, "clip dim"]) -> bool:
    """Say whether clips differ by more than what rounding leaves of a constant."""
    return float(squares(vectors, mean(vectors)).sum()) > CONSTANT * float(
        squares(vectors, np.zeros(vectors.shape[1])).sum()
    )


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """Divide rows or columns; by `BLOCK` where no size is given."""
    step = size or BLOCK
    return (slice(at, min(at + step, count)) for at in range(0, count, step))


def mean(vectors: Float[ndarray, "clip dim"]) -> Float64[ndarray, " dim"]:
    """Give the mean of each dimension."""
    return vectors.mean(axis=0, dtype=np.float64)


def squares(
    vectors: Float[ndarray, "clip dim"], middle: Float64[ndarray, " dim"]
) -> Float64[ndarray, " clip"]:
    """Give each clip's squared distance from a middle."""
    parts = [np.square(vectors[rows] - middle).sum(axis=1) for rows in blocks(len(vectors))]
    return np.concatenate(parts)


def spread(clips: int, most: int) -> Int64[ndarray, " chosen"]:
    """Choose clips, evenly over all: where all would take too long, or too much memory."""
    return np.linspace(0, clips - 1, min(clips, most)).round().astype(np.int64)


def compact(vectors: Float[ndarray, "clip dim"]) -> Float[ndarray, "clip _"]:
    """Rotate a space of more dimensions than clips into as many dimensions as clips.

    Lengths and angles stay, and so does whatever is made of them; spaces that need no rotating are
    given back as they are.
    """
    clips, dims = vectors.shape
    if dims <= clips:
        return vectors
    return triangle(np.ascontiguousarray(vectors[:, part].T) for part in blocks(dims, clips)).T


def triangle(parts: Iterator[Float[ndarray, "_ dim"]]) -> Float64[ndarray, "_ dim"]:
    """Give R of the QR decomposition of rows that come in parts: the same products, dim rows.

    Unlike the products themselves it keeps small singular values to full precision.

    Source: Demmel et al. (2012), sequential TSQR.
    """
    upper = np.array(next(parts), np.float64)
    for part in parts:
        upper = np.concatenate([upper, part.astype(np.float64)])
        if len(upper) >= 2 * upper.shape[1]:
            upper = _reduced(upper)
    return _reduced(upper)


def cross(
    first: Float[ndarray, "clip dim"], second: Float[ndarray, "clip other_dim"]
) -> Iterator[tuple[slice, Float64[ndarray, "_ other_dim"]]]:
    """Give the products of two centred spaces, ``x.T @ y``, some dimensions of the first at a time.

    Sums run over all clips, in float64.
    """
    middles = mean(first), mean(second)
    for part in blocks(first.shape[1]):
        product = np.zeros((part.stop - part.start, second.shape[1]))
        for rows in blocks(len(first)):
            left = first[rows, part] - middles[0][part]
            product += left.T @ (second[rows] - middles[1])
        yield part, product


def _reduced(rows: Float64[ndarray, "_ dim"]) -> Float64[ndarray, "_ dim"]:
    if len(rows) <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"))
