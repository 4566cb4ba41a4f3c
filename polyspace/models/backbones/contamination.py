"""Whether a data set was among what a backbone's weights were trained on.

A teacher that has seen the test clips, or clips and classes of the same making, scores higher on
them than it would on anything new, and so does who learns from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from polyspace.models.backbones.class_names import digest
from polyspace.models.backbones.training_data import How, TrainedOn, canonical, trained_on

Level = Literal["labels", "videos", "classifier", "overlap", "unknown"]
"""labels, videos, classifier: trained on this data set, as `How` says. overlap: trained on another
one that shares clips with it. unknown: nobody says what the weights were trained on."""

KINETICS = ("kinetics", "kinetics-400", "kinetics-600", "kinetics-700")
SHARED = (
    "editions of Kinetics extend one another: arXiv:1808.01340 (400 to 600), arXiv:1907.06987 "
    "(700, almost a superset of 600)"
)


@dataclass(frozen=True)
class Contamination:
    """A warning about one backbone."""

    backbone: str
    level: Level
    trained_on: str | None
    """Data set that the weights were trained on; None where it is unknown."""
    source: str
    """Who says so."""
    words: str
    """The same in a sentence."""


def flags(
    backbones: Mapping[str, Mapping[str, Any]],
    dataset: str,
    *,
    class_names: Sequence[str] = (),
    declared: Mapping[str, Sequence[str]] | None = None,
) -> list[Contamination]:
    """Say which backbones' weights were trained on a data set, or may have been.

    Args:
        backbones: By name, what stores record of the weights: ``provenance["weights"]``.
        dataset: What is evaluated on.
        class_names: Its classes; a classifier of exactly these was trained on them, too.
        declared: By backbone, further data sets that somebody knows it was trained on.

    Returns:
        Warnings in the order of the backbones, the gravest first; none for those that are known to
        be clean, and none for random weights.
    """
    wanted = canonical(dataset, len(class_names))
    found: list[Contamination] = []
    for name, weights in backbones.items():
        known = trained_on(weights)
        own = (declared or {}).get(name, ())
        rows = [
            *(known or ()),
            *(TrainedOn(canonical(one), "labels", "declared by hand") for one in own),
            *_same_classes(weights, wanted, class_names),
        ]
        found += _gravest(name, rows, wanted)
        if known is None and not own:
            found.append(_unknown(name, weights))
    return found


def _same_classes(
    weights: Mapping[str, Any], dataset: str, class_names: Sequence[str]
) -> Iterator[TrainedOn]:
    classes = weights.get("card", {}).get("classes")
    if class_names and classes and classes["sha256"] == digest(class_names):
        yield TrainedOn(
            dataset, "labels", "its classifier has exactly the classes of this data set"
        )


def _gravest(backbone: str, rows: Sequence[TrainedOn], wanted: str) -> Iterator[Contamination]:
    """Give one warning for each way of having been trained on it; overlaps only where no other."""
    order: Sequence[How] = ("labels", "videos", "classifier")
    same = {row.how: row for row in reversed(rows) if row.dataset == wanted}
    for how in order:
        if how in same:
            yield _trained(backbone, same[how], wanted)
    near = [row for row in rows if wanted in KINETICS and row.dataset in KINETICS]
    if near and not same:
        yield Contamination(
            backbone,
            "overlap",
            near[0].dataset,
            f"{near[0].source}; {SHARED}",
            f"{backbone} was trained on {near[0].dataset}, which shares clips with {wanted}",
        )


def _trained(backbone: str, row: TrainedOn, wanted: str) -> Contamination:
    words: Mapping[How, str] = {
        "labels": f"{backbone} was trained on {wanted} and its classes",
        "videos": f"{backbone} was trained on {wanted}, without its classes",
        "classifier": f"the classifier of {backbone}'s checkpoint was trained on {wanted}; what it "
        "reads was not",
    }
    return Contamination(backbone, row.how, row.dataset, row.source, words[row.how])


def _unknown(backbone: str, weights: Mapping[str, Any]) -> Contamination:
    source = str(weights["source"])
    what = (
        "without a model card"
        if not weights.get("card", {}).get("card")
        else "whose card is silent"
    )
    return Contamination(
        backbone,
        "unknown",
        None,
        f"{source}, {what}",
        f"nobody says what {backbone} was trained on ({source}, {what})",
    )
