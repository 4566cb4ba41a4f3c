"""What all shards of a split hold, but for the features themselves."""

import hashlib
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from polyspace.errors import CorruptStoreError, DatasetError
from polyspace.files import sha256_file
from polyspace.progress import Progress
from polyspace.store.layout import Part, canonical
from polyspace.store.legacy import shards
from polyspace.store.legacy.clips import LegacyClip
from polyspace.store.legacy.sources import Source

CUT_FROM = re.compile(r"(?:v_)?(?P<video>.+_g\d+)_c\d+")
"""How UCF101 calls the clips that were cut from one video."""

Key = tuple[Part, str]
"""What an array is, and what the shards call its backbone."""


@dataclass(frozen=True)
class Form:
    """Shape and type of what one backbone saw of a clip."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Seen:
    """A clip that was found in a shard."""

    shard: int
    place: int
    """Its number in the shard."""
    said: LegacyClip
    """The clip without its arrays."""
    forms: Mapping[Key, Form]
    """What arrays it has."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What there is to import: one clip, id and group for each row."""

    source: Source
    clips: Sequence[Seen]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    unlabelled: tuple[str, ...]
    """Ids of the clips that have no label, and no row."""
    class_names: tuple[str, ...]
    fingerprint: str
    """sha256 over the shards' bytes."""


def survey(source: Source) -> Generator[Progress, None, Survey]:
    """Read every shard, one at a time.

    Raises:
        StoreError: A shard holds something else than clips, and nothing in it was executed.
        CorruptStoreError: A shard is damaged, or has another number of clips than the index says.
        DatasetError: Not one clip has a label.
    """
    clips: list[Seen] = []
    names = source.index.class_names
    digests: list[str] = []
    for number, path in enumerate(source.shards):
        yield Progress(number, len(source.shards), f"looking at {path.name}")
        fresh, own_names = _look(number, path, source.counts[number])
        clips += fresh
        names = names or own_names
        digests += [sha256_file(file) for file in _files(path)]
    ids = _ids([clip.said for clip in clips], source.index.root or "/")
    labelled = [row for row, clip in enumerate(clips) if clip.said.label >= 0]
    if not labelled:
        raise DatasetError(f"{source.where}: not one of its {len(clips)} clips has a label")
    highest = max(clips[row].said.label for row in labelled)
    return Survey(
        source=source,
        clips=[clips[row] for row in labelled],
        ids=tuple(ids[row] for row in labelled),
        groups=tuple(clips[row].said.group or _video(ids[row]) for row in labelled),
        unlabelled=tuple(ids[row] for row in sorted({*range(len(clips))} - {*labelled})),
        class_names=names or tuple(f"class_{label}" for label in range(highest + 1)),
        fingerprint=hashlib.sha256(canonical(digests).encode()).hexdigest(),
    )


def _look(number: int, path: Path, count: int | None) -> tuple[list[Seen], tuple[str, ...] | None]:
    """Look through one shard, and keep none of its features."""
    shard = shards.read(path)
    if count not in (None, len(shard.clips)):
        raise CorruptStoreError(
            f"{path} has {len(shard.clips)} clips where the index says {count}: "
            f"restore both from one copy"
        )
    seen = [
        Seen(number, place, replace(clip, arrays={}), _forms(clip))
        for place, clip in enumerate(shard.clips)
    ]
    return seen, shard.class_names


def _forms(clip: LegacyClip) -> dict[Key, Form]:
    return {key: Form(array.shape, array.dtype.name) for key, array in clip.arrays.items()}


def _files(shard: Path) -> list[Path]:
    return sorted(shard.glob("*.npy")) if shard.is_dir() else [shard]


def _ids(clips: Sequence[LegacyClip], root: str) -> list[str]:
    """Call clips as their videos are, or by their paths where two videos are called the same."""
    paths = [PurePosixPath(clip.path or "") for clip in clips]
    short = [clip.id or path.stem for clip, path in zip(clips, paths, strict=True)]
    if len(set(short)) == len(short):
        return short
    below = [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    return [clip.id or str(path) for clip, path in zip(clips, below, strict=True)]


def _video(clip_id: str) -> str:
    """Give the video that a clip was cut from, if its id tells, or else the clip itself."""
    cut = CUT_FROM.fullmatch(clip_id)
    return cut["video"] if cut else clip_id
