"""Diving48 with its second, corrected labels.

::

    root/rgb/<video>_<number>.mp4                             .webm is fine, too
    root/Diving48_V2_train.json, Diving48_V2_test.json, Diving48_vocab.json

An entry is a clip's vid_name, its label, and the first and the last of its frames. The videos are
cut already, so that each clip begins at frame 0. The classes are the 48 of the vocabulary in its
order; the corrected labels use 47 of them. A group is the video of a competition that the dive was
cut from. There is no official validation split: `validation` is held out of train by whole videos.

Source: http://www.svcl.ucsd.edu/projects/resound/dataset.html.
"""

import re
from pathlib import Path
from typing import Any

from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets import annotations, listing
from polyspace.errors import DatasetError, LabelError

NAME = "diving48"
VOCABULARY = "Diving48_vocab.json"
FIELDS = ("vid_name", "label", "start_frame", "end_frame")


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: A list is missing or not as it should be, or there are no videos.
        LabelError: A label is no number of a class.
    """
    class_names = _class_names(root / VOCABULARY)
    file = root / f"Diving48_V2_{split}.json"
    entries = annotations.objects(file, FIELDS)
    _check(entries, file, len(class_names))
    found = listing.videos(root, root / "rgb")
    clips = tuple(_clip(entry, found, file) for entry in entries)
    listing.refuse_when_none_is_there(clips, found, root / "rgb", "<vid_name>.mp4")
    return Manifest(NAME, split, root, class_names, clips)


def _class_names(file: Path) -> tuple[str, ...]:
    """Read the vocabulary: a list of dives, each a list of its four parts."""
    found: Any = annotations.load(file)
    dives = [_dive(dive) for dive in found] if isinstance(found, list) else []
    if not dives or not all(dives) or len(set(dives)) < len(dives):
        raise DatasetError(
            f'{file}: expected different dives such as ["Back", "15som", "05Twis", "FREE"]'
        )
    return tuple(dives)


def _dive(found: Any) -> str:  # noqa: ANN401 - what a JSON file holds
    parts = found if isinstance(found, list) else [found]
    return "+".join(parts) if all(isinstance(part, str) for part in parts) else ""


def _check(entries: list[dict[str, Any]], file: Path, classes: int) -> None:
    """Refuse labels that number no class, and clips that are not the whole of their file."""
    wrong = [e for e in entries if type(e["label"]) is not int or not 0 <= e["label"] < classes]
    if wrong:
        raise LabelError(
            f"{len(wrong)} of {len(entries)} clips in {file} have a label outside "
            f"0..{classes - 1}, first {wrong[0]['vid_name']!r} with {wrong[0]['label']!r}"
        )
    parts = [e for e in entries if e["start_frame"] != 0 or not _is_end(e["end_frame"])]
    if parts:
        raise DatasetError(
            f"{len(parts)} of {len(entries)} clips in {file} are no whole videos, first "
            f"{parts[0]['vid_name']!r} with frames {parts[0]['start_frame']} to "
            f"{parts[0]['end_frame']}: expected videos that are cut already, from frame 0"
        )


def _is_end(frame: object) -> bool:
    return type(frame) is int and frame > 0


def _clip(entry: dict[str, Any], found: dict[str, str], file: Path) -> Clip:
    name = str(entry["vid_name"])
    cut = re.fullmatch(r"(.+)_\d+", name)
    if not cut:
        raise DatasetError(f"{file}: found {name!r}, expected a vid_name <video>_<number>")
    path = listing.place(found, name, f"rgb/{name}.mp4", file.name)
    return Clip(name, path, entry["label"], cut[1])
