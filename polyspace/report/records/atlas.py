"""Which feature spaces agree."""

from polyspace.report.records.record import Record


class Chance(Record):
    """Agreement of two spaces whose clips don't belong together."""

    mean: float
    p95: float
    """95th percentile."""
    p: float
    """Of what was found being no more than chance."""
    permutations: int
    clips: int


class Measured(Record):
    """A figure of agreement, and what shuffled clips come to."""

    value: float
    chance: Chance


class Canonical(Record):
    """Mean canonical correlation, and what shuffled clips stay below on average."""

    value: float
    chance: float
    clips: int


class Ranks(Record):
    """How many dimensions of a space are in use."""

    rankme: float
    effective_rank: float
    participation_ratio: float
    components: int
    clips: int


class SpaceRecord(Record):
    """One space of the atlas."""

    name: str
    dims: int
    ranks: Ranks


class PairRecord(Record):
    """Two spaces of the atlas."""

    first: str
    second: str
    cka: float
    unbiased_cka: Measured
    svcca: Canonical
    mutual_knn: Measured
    cknna: Measured | None
    """None where a space's neighbours don't agree with themselves; the gaps say so."""


class Atlas(Record):
    """Which feature spaces agree, as a whole and close by."""

    clips: int
    k: int
    """Neighbours that were looked at."""
    permutations: int
    seed: int
    spaces: tuple[SpaceRecord, ...]
    pairs: tuple[PairRecord, ...]
    """Every two spaces once."""
    gaps: dict[str, str]
    """Why something is missing, by space or by "first and second"."""
