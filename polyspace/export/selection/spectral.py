"""The policy of spectral refiners: how much an index improved, and how far edges moved.

The table has eleven columns (``epoch`` may be missing); what is derived from them is written
beside them. The penalty on edges is 0 wherever the constraints hold, so that its weight can't
change who wins among those that pass: it is kept because users know it.
"""

from collections.abc import Collection, Mapping

from polyspace.engine.validation import EPOCH, STEP
from polyspace.errors import SelectionError
from polyspace.export.selection.policy import Bound, Policy, Term

INDICES = {"ndvi": "ndvi_rmse", "evi": "evi_rmse", "sam": "sam"}
"""Stems of the columns of an index; ``_v1`` is before the refinement, ``_v2`` after it."""
EDGES = ("mean_edge_displacement", "max_edge_displacement", "edge_ratio")
METRICS = tuple(f"{stem}_{version}" for version in ("v2", "v1") for stem in INDICES.values())
COLUMNS = (STEP, EPOCH, *METRICS, *EDGES)
"""The eleven columns."""
MEAN_LIMIT, MAX_LIMIT, RATIO_LIMIT = 2.0, 5.0, 0.7
"""Pixels that edges may move in the mean and at most, and the share of edges that stays."""


def missing(names: Collection[str]) -> tuple[str, ...]:
    """Give the columns that something would be derived from, and that aren't there."""
    return tuple(name for name in (*METRICS, *EDGES) if name not in names)


def check(names: Collection[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        SelectionError: It does; nothing is put in its place.
    """
    if lacking := missing(names):
        raise SelectionError(
            f"the table lacks {', '.join(lacking)}: measure what is missing; the spectral policy "
            f"needs {', '.join((*METRICS, *EDGES))}"
        )


def derived(metrics: Mapping[str, float]) -> dict[str, float]:
    """Give metrics with what follows from them: improvements, positive if v2 is better; penalty.

    Raises:
        SelectionError: A column has the name of what would be derived.
    """
    mean, largest, ratio = (metrics[name] for name in EDGES)
    further = {
        f"d_{index}": metrics[f"{stem}_v1"] - metrics[f"{stem}_v2"]
        for index, stem in INDICES.items()
    } | {
        "edge_penalty": 10 * max(0.0, mean - MEAN_LIMIT)
        + 5 * max(0.0, largest - MAX_LIMIT)
        + 2 * max(0.0, RATIO_LIMIT - ratio)
    }
    taken = sorted(further.keys() & metrics.keys())
    if taken:
        raise SelectionError(f"the column {taken[0]} would be derived from others: take it out")
    return {**metrics, **further}


def policy(*, spectral_weight: float = 1.0, edge_penalty_weight: float = 10.0) -> Policy:
    """Give the policy.

    Args:
        spectral_weight: Factor of the improvements; spectral angles count half.
        edge_penalty_weight: Factor of the penalty.
    """
    mean, largest, ratio = EDGES
    return Policy(
        name="spectral",
        objective=(
            Term(metric="d_ndvi", weight=spectral_weight),
            Term(metric="d_evi", weight=spectral_weight),
            Term(metric="d_sam", weight=0.5 * spectral_weight),
            Term(metric="edge_penalty", direction="down", weight=edge_penalty_weight),
        ),
        constraints=(
            Bound(metric=mean, op="<", limit=MEAN_LIMIT),
            Bound(metric=largest, op="<", limit=MAX_LIMIT),
            Bound(metric=ratio, op=">", limit=RATIO_LIMIT),
        ),
        targets=(
            Bound(metric="d_ndvi", op=">=", limit=0.015),
            Bound(metric="d_evi", op=">=", limit=0.020),
            Bound(metric="d_sam", op=">=", limit=0.040),
        ),
    )
