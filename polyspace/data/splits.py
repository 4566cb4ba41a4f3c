"""Parting clips by group, so that one source video, picture or person is never on both sides."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.seeding import derive

TEST_SHARE = 0.25
"""Part of the groups of each class that is tested on where nothing says which."""


def hold_out(
    groups: Sequence[str], labels: Iterable[int], *, share: float = 0.2, seed: int = 0
) -> Bool[ndarray, " clip"]:
    """Choose clips to keep back: whole groups, about the same share of them in every class.

    Which groups those are depends on their names and the seed alone, not on the order of the
    clips. A class of two groups or more has at least one on either side; a class of one group
    keeps it.

    Args:
        groups: Each clip's group.
        labels: Each clip's class.
        share: Part of a class's groups that is kept back.
        seed: Draws the groups.

    Returns:
        True for the clips that are kept back.
    """
    members: dict[int, set[str]] = defaultdict(set)
    for group, label in zip(groups, labels, strict=True):
        members[int(label)].add(group)
    held: set[str] = set()
    for label in sorted(members):
        own = members[label]
        wanted = max(1, round(share * len(own)))
        for group in sorted(own - held, key=lambda name: derive(seed, "hold-out", name)):
            left = all(other - held - {group} for other in members.values() if group in other)
            if left and len(own & held) < wanted:
                held.add(group)
    return np.array([group in held for group in groups], dtype=np.bool_)


def part(clips: Sequence[Clip], split: Split) -> tuple[Clip, ...]:
    """Give the clips of one split, train or test, of a data set that comes without any."""
    kept = hold_out([c.group for c in clips], [c.label for c in clips], share=TEST_SHARE)
    return tuple(c for c, test in zip(clips, kept, strict=True) if test == (split == "test"))


def validation(train: Manifest) -> Manifest:
    """Give the part of a training split that training itself keeps back to select on."""
    kept = hold_out([c.group for c in train.clips], [c.label for c in train.clips])
    clips = tuple(clip for clip, held in zip(train.clips, kept, strict=True) if held)
    return replace(train, split="validation", clips=clips)
