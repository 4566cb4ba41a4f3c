"""The alignment atlas: which feature spaces agree, before and after conversion, and by how much.

A space is a vector a clip: a teacher's true features, the student's, its translations. Layers are
compared where a store has them as backbones of their own: each is a space then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from polyspace.errors import MetricError
from polyspace.metrics import canonical, kernels, neighbours, permutation, spaces, spectrum
from polyspace.metrics.kernels import Kernel
from polyspace.metrics.neighbours import Neighbours
from polyspace.metrics.permutation import Null
from polyspace.metrics.spectrum import Ranks, Spectrum

SHUFFLED = 1000
"""Clips, evenly over all, whose kernels are made and shuffled for the chance of the CKA."""

Vectors = Float[ndarray, "clip _"]
"""One for each clip."""


@dataclass(frozen=True)
class Space:
    """One space, and how many of its dimensions are in use."""

    name: str
    dims: int
    ranks: Ranks


@dataclass(frozen=True)
class Measured:
    """A figure, and what it comes to where the clips of one space are shuffled."""

    value: float
    chance: Null


@dataclass(frozen=True)
class Canonical:
    """Mean canonical correlation of the components that hold 99 % of each space's variance."""

    value: float
    chance: float
    """What shuffled clips stay below on average; it is high where clips are few."""
    clips: int
    """2,048 where a space has more clips and more dimensions."""


@dataclass(frozen=True)
class Pair:
    """How two spaces agree: as a whole (CKA, SVCCA) and close by (mutual k-NN, CKNNA)."""

    first: str
    second: str
    cka: float
    """As published: far above 0 by chance where dimensions are many for the clips."""
    unbiased_cka: Measured
    svcca: Canonical
    mutual_knn: Measured
    cknna: Measured | None
    """None where a space's neighbours don't agree with themselves; `Atlas.gaps` says so."""


@dataclass(frozen=True)
class Atlas:
    """Every space, every pair of them, and what could not be measured."""

    clips: int
    k: int
    permutations: int
    seed: int
    spaces: tuple[Space, ...]
    pairs: tuple[Pair, ...]
    gaps: dict[str, str]
    """Why a space, or "first and second", could not be measured: a collapsed space is no error."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What is made once of each space, for all pairs that it is in."""

    space: Space
    kernel: Kernel
    spectrum: Spectrum
    neighbours: Neighbours
    gram: Float64[ndarray, "chosen chosen"]


def measure(
    vectors: Mapping[str, Vectors],
    *,
    k: int = neighbours.K,
    permutations: int = 200,
    seed: int,
) -> Atlas:
    """Compare all spaces with each other; 1,024 clips times all clips are the most in memory.

    Clips are shuffled freely, so that two spaces agree beyond chance if both recognise the source
    that clips were cut from: that is agreement, too.

    Args:
        vectors: By name of the space, such as "transnetv2" or "translated:motion_vectors"; of the
            same clips in the same order.
        k: Neighbours that are looked at.
        permutations: Times that clips are shuffled for each pair.
        seed: Decides how.

    Raises:
        MetricError: Fewer than k + 1 clips, spaces of different clips, or values that aren't
            numbers. A space whose clips are all alike is left out, and stands in the gaps.
    """
    clips = _clips(vectors, least=max(k + 1, kernels.LEAST))
    gaps = {
        name: f"all {clips} clips have the same vector: it has collapsed"
        for name, each in vectors.items()
        if not spaces.varies(each)
    }
    varied = {name: each for name, each in vectors.items() if name not in gaps}
    prepared = list(_prepare(varied, k))
    random = np.random.default_rng(seed)
    pairs = [
        _compare(first, second, permutations, random, gaps)
        for first, second in combinations(prepared, 2)
    ]
    measured = tuple(each.space for each in prepared)
    return Atlas(clips, k, permutations, seed, measured, tuple(pairs), gaps)


def _clips(vectors: Mapping[str, Vectors], *, least: int) -> int:
    """Check all spaces before anything is made of one."""
    counts = {name: len(each) for name, each in vectors.items()}
    if len(set(counts.values())) != 1:
        known = ", ".join(f"{name} {count}" for name, count in counts.items()) or "there are none"
        raise MetricError(f"spaces of the same clips are needed, but clips are: {known}")
    for name, each in vectors.items():
        spaces.check_numbers(each, least=least, name=name)
    return next(iter(counts.values()))


def _prepare(vectors: Mapping[str, Vectors], k: int) -> Iterator[_Prepared]:
    shapes = [each.shape for each in vectors.values()]
    solvable = spectrum.solvable(shapes) if shapes else slice(0)
    for name, each in vectors.items():
        compact = spaces.compact(each)
        solved = Spectrum.of(compact[solvable], name=name)
        shuffled = compact[spaces.spread(len(compact), SHUFFLED)].astype(np.float64)
        yield _Prepared(
            Space(name, each.shape[1], solved.ranks),
            Kernel.of(compact, name=name),
            solved,
            neighbours.nearest(compact, k=k, name=name),
            kernels.centred_gram(shuffled),
        )


def _compare(
    first: _Prepared,
    second: _Prepared,
    permutations: int,
    random: np.random.Generator,
    gaps: dict[str, str],
) -> Pair:
    """Compare two spaces in every way; what can't be goes to the gaps."""
    cka, unbiased = kernels.cka(first.kernel, second.kernel)
    whole = permutation.of_kernels(
        first.gram, second.gram, permutations=permutations, random=random
    )
    lists = first.neighbours, second.neighbours
    mutual, local = neighbours.both(*lists)
    near, nearest = permutation.of_neighbours(*lists, permutations=permutations, random=random)
    pair = Pair(
        first.space.name,
        second.space.name,
        cka=cka,
        unbiased_cka=Measured(unbiased, whole),
        svcca=_canonical(first.spectrum, second.spectrum),
        mutual_knn=Measured(mutual, near),
        cknna=Measured(local, nearest) if local is not None and nearest else None,
    )
    if not pair.cknna:
        clips, k = lists[0].places.shape
        gaps[f"{pair.first} and {pair.second}"] = neighbours.UNDEFINED.format(clips=clips, k=k)
    return pair


def _canonical(first: Spectrum, second: Spectrum) -> Canonical:
    return Canonical(
        value=canonical.svcca(first, second),
        chance=canonical.chance(first, second),
        clips=len(first.vectors),
    )
