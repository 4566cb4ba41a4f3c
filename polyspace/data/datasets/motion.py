"""`motion`: real pictures under a known camera motion, with true labels and nothing to download.

Real photographs and shots of real video that packages ship are filmed by a camera that pans, tilts,
zooms, turns, shakes or stands still, and encoded to ordinary H.264 and MPEG-4 files. The class is
what the camera does. Pictures say nothing about it: each appears in every class equally often, and
none is in both train and test.

Written under the root::

    motion.json                       settings; per clip its label, group, source and camera; sha256
    {train,test}/<class>/<picture>-<take>.{mp4,avi}
"""

import json
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from polyspace.data import workers
from polyspace.data.clips import Clip, Manifest, Split
from polyspace.data.datasets.motion_render import Camera, Move, Take, film
from polyspace.data.datasets.motion_sources import PICTURES, Picture
from polyspace.errors import DatasetError
from polyspace.files import sha256_file, write_atomically
from polyspace.progress import Progress
from polyspace.seeding import derive

NAME = "motion"
INDEX = "motion.json"
CLASS_NAMES: tuple[Move, ...] = get_args(Move)
TEST_SHARE = 0.25
AVI_SHARE = 0.25


@dataclass(frozen=True)
class MotionSettings:
    """What the data set consists of; equal settings give equal files."""

    pictures: int = 30
    """How many of the pictures are used, taken evenly from the list of them."""
    takes: int = 2
    """Clips of every picture in every class."""
    frames: int = 16
    width: int = 176
    height: int = 144
    seed: int = 0


TINY = MotionSettings(pictures=4, takes=1, frames=8, width=64, height=48)
"""For tests: the same thing, as small as it makes sense."""


@dataclass(frozen=True)
class _Entry:
    """One clip of the index."""

    split: Split
    picture: Picture
    number: int
    camera: Camera
    suffix: str

    @property
    def id(self) -> str:
        return f"{self.camera.move}-{self.picture.name}-{self.number}"

    @property
    def path(self) -> str:
        name = f"{self.picture.name}-{self.number}{self.suffix}"
        return f"{self.split}/{self.camera.move}/{name}"

    def record(self) -> dict[str, Any]:
        """Describe the clip for the index."""
        return {
            "id": self.id,
            "path": self.path,
            "split": self.split,
            "label": CLASS_NAMES.index(self.camera.move),
            "group": self.picture.group,
            "source": f"{self.picture.package}: {self.picture.file}",
            "shot": self.picture.shot,
            "camera": asdict(self.camera),
        }


def render(
    root: Path, settings: MotionSettings, *, processes: int = 2
) -> Generator[Progress, None, Path]:
    """Render what is missing under a root; return the path of the index.

    A run that was stopped goes on where it was; a complete data set costs a look at its files.

    Args:
        root: Where to write.
        settings: What to write.
        processes: How many pictures are worked on at a time.

    Raises:
        DatasetError: The root holds a data set of other settings, or a source is missing.
    """
    plan = _plan(settings)
    index = _claim(root, settings)
    missing = [entry for entry in plan if not (root / entry.path).exists()]
    pictures = sorted({entry.picture for entry in missing}, key=lambda picture: picture.name)
    done = len(plan) - len(missing)
    for folder in sorted({(root / entry.path).parent for entry in missing}):
        folder.mkdir(parents=True, exist_ok=True)
    with workers.pool(processes) as executor:
        jobs = [
            _submit(executor, root, [e for e in missing if e.picture == picture], settings)
            for picture in pictures
        ]
        for job in as_completed(jobs):
            done += job.result()
            yield Progress(done, len(plan), f"{done}/{len(plan)} clips rendered")
    return index


def _submit(
    executor: workers.Pool, root: Path, entries: Sequence[_Entry], settings: MotionSettings
) -> Future[int]:
    """Have all clips of one picture rendered, so that it is read once."""
    takes = [Take(entry.path, entry.camera) for entry in entries]
    return executor.submit(
        film,
        root,
        entries[0].picture,
        takes,
        frames=settings.frames,
        width=settings.width,
        height=settings.height,
    )


def read(root: Path, split: Split) -> Manifest:
    """List the clips of a split.

    Raises:
        DatasetError: There is no index under the root, or files are missing.
    """
    index = _load(root)
    if index is None:
        raise DatasetError(
            f"{root} holds no {INDEX}: render the data set first "
            f"(python -m polyspace.data.featurize --dataset motion does)"
        )
    clips = [clip for clip in index["clips"] if clip["split"] == split]
    missing = [clip["path"] for clip in clips if not (root / clip["path"]).exists()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(clips)} clips are missing under {root}, first {missing[0]}: "
            f"rendering again adds them"
        )
    entries = tuple(Clip(c["id"], c["path"], c["label"], c["group"]) for c in clips)
    return Manifest(NAME, split, root, tuple(index["class_names"]), entries)


def _plan(settings: MotionSettings) -> list[_Entry]:
    """List every clip: each picture in each class equally often."""
    chosen = np.linspace(0, len(PICTURES) - 1, settings.pictures).round().astype(int)
    pictures = [PICTURES[index] for index in chosen]
    test = _test_groups(pictures, settings.seed)
    return [
        _entry("test" if picture.group in test else "train", picture, move, number, settings.seed)
        for picture in pictures
        for move in CLASS_NAMES
        for number in range(settings.takes)
    ]


def _test_groups(pictures: Sequence[Picture], seed: int) -> set[str]:
    """Draw the files whose pictures are tested on: the same share of photographs and of shots."""
    chosen: set[str] = set()
    for kind in (True, False):
        shots = Counter(p.group for p in pictures if (p.shot is None) is kind)
        room = max(1, round(TEST_SHARE * shots.total())) if len(shots) > 1 else 0
        for group in sorted(shots, key=lambda group: derive(seed, NAME, "test", group)):
            if shots[group] <= room:
                chosen.add(group)
                room -= shots[group]
    return chosen


def _entry(split: Split, picture: Picture, move: Move, number: int, seed: int) -> _Entry:
    """Draw one clip's camera; every class draws from the same ranges."""
    own = derive(seed, NAME, picture.name, move, number)
    draw = np.random.default_rng(own).uniform
    suffix = ".avi" if draw() < AVI_SHARE else ".mp4"
    camera = Camera(
        move,
        speed=draw(0.15, 0.35),
        zoom=draw(1.3, 1.6),
        roll=draw(-0.1, 0.1),
        across=draw(),
        down=draw(),
        start=draw(),
        gain=draw(0.85, 1.1),
        gamma=draw(0.85, 1.2),
        noise=draw(2.0, 4.0),
        seed=own,
    )
    return _Entry(split, picture, number, camera, suffix)


def _claim(root: Path, settings: MotionSettings) -> Path:
    """Write the index unless it is there; it says what belongs under the root, rendered or not."""
    found = settings_of(root)
    if found not in (None, settings):
        raise DatasetError(
            f"{root} holds a motion data set of other settings ({found}): "
            f"choose another folder, or delete that one"
        )
    index = root / INDEX
    if found is None:
        text = json.dumps(_describe(settings), indent=1)
        write_atomically(index, lambda file: file.write(text.encode()))
    return index


def _describe(settings: MotionSettings) -> dict[str, Any]:
    """Put into words what the data set consists of, and what of."""
    plan = _plan(settings)
    pictures = {entry.picture.group: entry.picture for entry in plan}
    return {
        "schema": 1,
        "settings": asdict(settings),
        "class_names": CLASS_NAMES,
        "sources": {
            group: {
                "package": picture.package,
                "file": picture.file,
                "sha256": sha256_file(picture.locate()),
            }
            for group, picture in pictures.items()
        },
        "clips": [entry.record() for entry in plan],
    }


def settings_of(root: Path) -> MotionSettings | None:
    """Give the settings of the data set under a root, if there is one."""
    index = _load(root)
    return None if index is None else MotionSettings(**index["settings"])


def _load(root: Path) -> dict[str, Any] | None:
    file = root / INDEX
    try:
        return json.loads(file.read_text()) if file.is_file() else None
    except json.JSONDecodeError as error:
        raise DatasetError(f"{file} is damaged ({error}): delete it, and render again") from error
