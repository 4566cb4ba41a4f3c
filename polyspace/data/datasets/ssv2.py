"""Something-Something v2.

::

    root/20bn-something-something-v2/<id>.webm                .mp4 is fine, too
    root/labels/{labels,train,validation,test}.json, test-answers.csv

A class is a template, such as "Putting [number of] [something] onto [something]"; labels.json says
it without any of its brackets. The answers are lines of an id and such a template with a semicolon
between. What the literature reports on is `validation`. Nothing says who filmed a clip, so every
clip is a group of its own.

Source: https://www.qualcomm.com/developer/software/something-something-v-2-dataset.
"""

import re
from pathlib import Path
from typing import Any

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, labels, listing
from polyspace.errors import DatasetError, LabelError

NAME = "ssv2"
VIDEOS = "20bn-something-something-v2"
ANSWERS = "test-answers.csv"


def splits(root: Path) -> tuple[Split, ...]:
    """Give the splits that a folder has labels of: test needs its answers."""
    answered = (root / "labels" / ANSWERS).is_file()
    return ("train", "validation", "test") if answered else ("train", "validation")


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: A label file is missing or not as it should be, or there are no videos.
        LabelError: A template is none of the classes, or a test clip has no answer.
    """
    class_names = _class_names(root / "labels" / "labels.json")
    templates = _templates(root / "labels", split)
    named = [(clip, _plain(template)) for clip, template in templates.items()]
    places = labels.numbers(NAME, named, [name.casefold() for name in class_names])
    found = listing.videos(root, root / VIDEOS)
    clips = tuple(
        Clip(clip, listing.place(found, clip, f"{VIDEOS}/{clip}.webm", split), label, clip)
        for clip, label in zip(templates, places, strict=True)
    )
    listing.refuse_when_none_is_there(clips, found, root / VIDEOS, "<id>.webm")
    return Manifest(NAME, split, root, class_names, clips)


def _class_names(file: Path) -> tuple[str, ...]:
    """Read the classes, which must be numbered 0, 1, 2, … without a gap."""
    found: Any = annotations.load(file)
    numbered = (
        {str(number): name for name, number in found.items()} if isinstance(found, dict) else {}
    )
    order = [str(number) for number in range(len(numbered))]
    folded = {name.casefold() for name in numbered.values()}
    if not numbered or set(numbered) != set(order) or not len(found) == len(order) == len(folded):
        raise DatasetError(
            f'{file}: expected an object such as {{"Closing something": "0", …}} in which every '
            "class has a number of its own, from 0 without a gap"
        )
    return tuple(numbered[number] for number in order)


def _plain(template: str) -> str:
    """Take out every bracket: [something], but also [part], [number of] and the like."""
    return re.sub(r"[\[\]]", "", template).casefold()


def _templates(folder: Path, split: Split) -> dict[str, str]:
    """Read the template of every clip, by its id."""
    file = folder / f"{split}.json"
    if split == "test":
        entries = annotations.objects(file, ("id",))
        answers = _answers(folder / ANSWERS)
        named = [(_id(entry, file), answers.get(str(entry["id"]))) for entry in entries]
    else:
        entries = annotations.objects(file, ("id", "template"))
        named = [(_id(entry, file), str(entry["template"])) for entry in entries]
    templates = {clip: template for clip, template in named if template is not None}
    if without := [clip for clip, template in named if template is None]:
        raise LabelError(
            f"{len(without)} of {len(named)} clips of {file} have no answer in {ANSWERS}, first "
            f"{labels.quoted(without)}"
        )
    if len(templates) < len(named):
        raise DatasetError(f"{file} lists {len(named) - len(templates)} ids more than once")
    return templates


def _answers(file: Path) -> dict[str, str]:
    parts = [line.partition(";") for line in annotations.lines(file)]
    if wrong := [clip for clip, mark, _ in parts if not mark]:
        raise DatasetError(f"{file}: found {wrong[0]!r}, expected lines of <id>;<template>")
    return {clip.strip(): template.strip() for clip, _, template in parts}


def _id(entry: dict[str, Any], file: Path) -> str:
    clip = str(entry["id"])
    if not re.fullmatch(r"[\w-]+", clip):
        raise DatasetError(f"{file}: {clip!r} is no id of {NAME}: expected a number")
    return clip
