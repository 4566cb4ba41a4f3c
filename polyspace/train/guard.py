"""What two splits have to be, and must not share, before anything is scored on one of them.

What would make every figure meaningless is refused at once, not after an hour of training; what
makes them doubtful is counted, and stands in the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from polyspace.errors import DatasetError, DivergedError, LabelError, StoreError
from polyspace.train.fit import BATCH
from polyspace.train.sources import StoredClips, class_names

VALUES = 16
"""Of a summary that are compared, evenly spread over it."""
NEAR = 0.01
"""How far each of them may be off, in standard deviations over the training clips: more than what
float16 or another batch changes."""
SETTINGS = ("inputs", "grid", "spatial")
"""Parts of a backbone's provenance that decide what its features mean, beside its weights."""
EXAMPLES = 3


@dataclass(frozen=True)
class Overlap:
    """What the test split shares with the training split; there should be nothing."""

    groups: int
    """Groups (source videos, pictures, persons) that both have clips of."""
    ids: int
    """Test clips whose id a training clip has, too."""
    features: int
    """Test clips in which every backbone sees what it sees in some training clip (see `NEAR`):
    the same clip under another name, most likely."""
    examples: tuple[str, ...]
    """A few such test clips, by either sign."""


def check(
    train: StoredClips, test: StoredClips, classes: Sequence[str], backbones: Sequence[str]
) -> None:
    """Refuse splits that nothing can be learnt from scoring.

    Args:
        train: What was trained on.
        test: What is to be scored on.
        classes: The model's, in the order of its logits.
        backbones: Student and teachers.

    Raises:
        StoreError: The two are the same store, not one clip was seen by all backbones, or a
            backbone saw the two in different ways.
        LabelError: There is only one class, or the classes have other names or another order.
        DatasetError: All test clips are of one group, or all are training clips.
    """
    _refuse_same(train, test)
    for name in backbones:
        _refuse_other_ways(train, test, name)
    for clips in (train, test):
        _refuse_other_classes(clips, classes)
        _refuse_nothing(clips, backbones)
        _refuse_one_class(clips, backbones)
    _refuse_one_group(test, backbones)
    _refuse_all_trained_on(train, test)


def overlap(train: StoredClips, test: StoredClips, backbones: Sequence[str]) -> Overlap:
    """Count what the test split shares with the training split.

    Memory grows by 64 bytes a view and backbone. Clips are compared by their summaries, so that
    nothing else has to be read: copies are found, cuts of the same video at other times are not.
    """
    groups = set(train.groups) & set(test.groups)
    trained = set(train.ids)
    named = dict.fromkeys(name for name in test.ids if name in trained)
    copies = _copies(train, test, backbones)
    examples = tuple(dict.fromkeys((*named, *copies)))[:EXAMPLES]
    return Overlap(len(groups), len(named), len(copies), examples)


def refuse_undefined(name: str, logits: Float[ndarray, "clip label"], ids: Sequence[str]) -> None:
    """Refuse a method that says nothing of some clips: NaN is neither right nor wrong.

    Raises:
        DivergedError: Some logits are not finite; the message names the method and a clip.
    """
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise DivergedError(
            f"{name} says NaN or infinity of {len(bad)} of {len(logits)} test clips, first "
            f"{ids[int(bad[0])]!r}: train it again, with a lower --lr or in float32"
        )


def _refuse_same(train: StoredClips, test: StoredClips) -> None:
    if train.fingerprint == test.fingerprint:
        raise StoreError(
            f"{test.store.path} is given as both splits, {train.split} and {test.split}: scores on "
            f"what was trained on mean nothing; mend --train_split or --split"
        )


def _refuse_other_ways(train: StoredClips, test: StoredClips, backbone: str) -> None:
    """Refuse features that a backbone made of the two splits in different ways."""
    shapes = train.shape(backbone), test.shape(backbone)
    if shapes[0] != shapes[1]:
        raise StoreError(
            f"{backbone} has tokens of {shapes[0]} in {train.split} and of {shapes[1]} in "
            f"{test.split}: extract both with the same --frames and --spatial"
        )
    mine, theirs = (clips.store.backbones[backbone].provenance for clips in (train, test))
    if mine["weights"]["fingerprint"] != theirs["weights"]["fingerprint"]:
        raise StoreError(
            f"{backbone} has weights from {mine['weights']['source']} in {train.split} and others "
            f"from {theirs['weights']['source']} in {test.split}: extract one of them again"
        )
    other = [name for name in SETTINGS if mine.get(name) != theirs.get(name)]
    if other:
        raise StoreError(
            f"{backbone} saw {train.split} and {test.split} with other settings "
            f"({', '.join(other)}): extract one of them again"
        )


def _refuse_other_classes(clips: StoredClips, classes: Sequence[str]) -> None:
    """Refuse classes that are not the model's: numbers alone would be scored without a word."""
    found = class_names(clips, len(classes))
    other = [place for place, name in enumerate(classes) if found[place] != name]
    if other:
        raise LabelError(
            f"class {other[0]} of {clips.dataset} {clips.split} is {found[other[0]]!r}, but "
            f"{classes[other[0]]!r} to the model: extract the split with the class list that was "
            f"trained with"
        )


def _refuse_nothing(clips: StoredClips, backbones: Sequence[str]) -> None:
    if not len(clips.rows(tuple(backbones))):
        coverage = clips.store.coverage
        raise StoreError(
            f"not one of the {coverage.clips} clips of {clips.dataset} {clips.split} was seen by "
            f"all of {', '.join(backbones)} ({len(coverage.quarantined)} are quarantined): run "
            f"featurize again, with --retry once the videos are mended"
        )


def _refuse_one_class(clips: StoredClips, backbones: Sequence[str]) -> None:
    labels = clips.labels[clips.rows(tuple(backbones))]
    if labels.min() == labels.max():
        raise LabelError(
            f"all {len(labels) // clips.views} clips of {clips.dataset} {clips.split} are of the "
            f"class {clips.class_names[labels[0]]!r}: there is nothing to tell apart; give a split "
            f"with labels of two classes or more"
        )


def _refuse_one_group(test: StoredClips, backbones: Sequence[str]) -> None:
    rows = test.rows(tuple(backbones))
    groups = {test.groups[row] for row in rows}
    if len(groups) < 2:
        raise DatasetError(
            f"all {len(rows) // test.views} clips of {test.dataset} {test.split} are of the group "
            f"{next(iter(groups))!r}, but an interval over groups needs at least two: test on "
            f"clips of more sources"
        )


def _refuse_all_trained_on(train: StoredClips, test: StoredClips) -> None:
    if set(test.ids) <= set(train.ids):
        raise DatasetError(
            f"each of the {len(test.store.ids)} clips of {test.dataset} {test.split} is in "
            f"{train.split}, too: test on others"
        )


def _copies(train: StoredClips, test: StoredClips, backbones: Sequence[str]) -> list[str]:
    """Name the test clips that look like a training clip in any two of their views."""
    _, known = _glimpses(train, backbones)
    names, asked = _glimpses(test, backbones)
    scale = known.std(axis=0)
    scale[scale == 0] = 1
    near, _ = KDTree(known / scale).query(
        asked / scale, p=np.inf, distance_upper_bound=NEAR, workers=1
    )
    return list(dict.fromkeys(np.array(names)[np.isfinite(near)].tolist()))


def _glimpses(
    clips: StoredClips, backbones: Sequence[str]
) -> tuple[list[str], Float32[ndarray, "look value"]]:
    """Give, of every view of every clip that all backbones saw, its id and a few values."""
    store = clips.store
    rows = store.rows(backbones)
    looks = [
        np.concatenate([_few(store.summary(name, part, view=view)) for name in backbones], axis=1)
        for view in range(clips.views)
        for part in np.split(rows, range(BATCH, len(rows), BATCH))
    ]
    return [store.ids[row] for row in rows] * clips.views, np.concatenate(looks)


def _few(summary: Float32[Tensor, "clip dim"]) -> Float32[ndarray, "clip value"]:
    dim = summary.shape[1]
    return summary[:, torch.linspace(0, dim - 1, min(VALUES, dim)).long()].numpy()
