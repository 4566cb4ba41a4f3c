"""Which shards make up a split: those that its index lists, or all that carry its name.

::

    features_<dataset>_<split>.index.json         which shards there are; written at the very end
    features_<dataset>_<split>_shard_00000.pkl    or a folder of arrays, without .pkl
    features_<dataset>_<split>.pkl                everything in one, or .npz
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from polyspace.errors import ConfigError, CorruptStoreError, StoreError
from polyspace.store.legacy.shards import is_folder_of_arrays

INDEX = ".index.json"
NAME = re.compile(
    r"features_(?P<dataset>.+?)_(?P<split>[^_]+?)(_shard_(?P<number>\d+))?(\.pkl|\.npz|\.index\.json)?"
)


class Listed(BaseModel, frozen=True):
    """One shard in an index."""

    file: str
    """Its name; without .pkl in the indices of some versions."""
    count: int | None = None
    """Its clips."""


class Index(BaseModel, frozen=True):
    """What an index says; it says more, but nothing that the shards don't show."""

    dataset: str
    split: str
    student: str | None = None
    """Name of the student's backbone, whose features the shards call `student`."""
    root: str | None = None
    """Folder of the videos at that time."""
    class_names: tuple[str, ...] | None = None
    shards: tuple[Listed, ...] = ()


@dataclass(frozen=True)
class Source:
    """The shards of one split."""

    where: Path
    """The index; without one, the first shard."""
    index: Index
    """What it says; without one, what the shards' names say."""
    shards: tuple[Path, ...]

    @property
    def counts(self) -> tuple[int | None, ...]:
        """How many clips each shard must hold, where the index says it."""
        return tuple(listed.count for listed in self.index.shards) or (None,) * len(self.shards)


def find(where: Path, dataset: str | None, split: str | None) -> Source:
    """Find the shards of one split.

    Args:
        where: The folder, the index, or a single shard.
        dataset: Name of the data set, and
        split: of the split; None where only one is there, and the names say which.

    Raises:
        StoreError: There are none, several, or not all of them.
        ConfigError: The name of a single file doesn't say what it is, and neither do the options.
        CorruptStoreError: The index is no index.
    """
    sources = _sources(where, dataset, split)
    asked = [
        source
        for source in sources
        if dataset in (None, source.index.dataset) and split in (None, source.index.split)
    ]
    if len(asked) == 1:
        return asked[0]
    names = ", ".join(f"{source.index.dataset} {source.index.split}" for source in sources)
    raise StoreError(
        f"{where} holds features of {names or 'nothing'}, expected those of {dataset or 'one'} "
        f"{split or 'split'}: say which with --dataset and --split"
    )


def _sources(where: Path, dataset: str | None, split: str | None) -> list[Source]:
    """List what a folder holds, or the one thing that was pointed at."""
    if where.name.endswith(INDEX):
        return [_indexed(where)]
    if where.is_file() or is_folder_of_arrays(where):
        return [Source(where, _named(where, dataset, split), (where,))]
    if not where.is_dir():
        raise StoreError(f"{where} isn't there: give the folder of features_*{INDEX} or of shards")
    indexed = [_indexed(path) for path in sorted(where.glob(f"features_*{INDEX}"))]
    listed = {shard for source in indexed for shard in source.shards}
    return indexed + [
        Source(shards[0], Index(dataset=dataset, split=split), _complete(shards))
        for (dataset, split), shards in _by_split(where).items()
        if listed.isdisjoint(shards)
    ]


def _named(shard: Path, dataset: str | None, split: str | None) -> Index:
    """Take from a single shard's name what it is, or from the options."""
    if key := _key(shard):
        dataset, split = key
    if dataset and split:
        return Index(dataset=dataset, split=split)
    raise ConfigError(f"{shard} doesn't say what it is: give --dataset and --split")


def _indexed(path: Path) -> Source:
    """Read an index, and find the shards that it lists beside it.

    Raises:
        CorruptStoreError: It is no index.
        StoreError: A shard is missing.
    """
    if not path.is_file():
        raise StoreError(f"{path} isn't there: give the folder that holds it")
    try:
        index = Index.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise CorruptStoreError(
            f"{path} is no index of shards ({first['msg']} at {'.'.join(map(str, first['loc']))}): "
            f"restore it from a copy, or take it away and the shards' names will do"
        ) from error
    if index.shards:
        return Source(path, index, tuple(_beside(path, listed) for listed in index.shards))
    key = _key(path)
    return Source(path, index, _complete(_by_split(path.parent).get(key, []) if key else []))


def _beside(index: Path, listed: Listed) -> Path:
    """Find a shard in the index's own folder, wherever it may have been when it was written."""
    name = Path(listed.file).name
    for path in (index.with_name(name), index.with_name(f"{name}.pkl")):
        if path.is_file() or is_folder_of_arrays(path):
            return path
    raise StoreError(f"{index} lists {listed.file}, which isn't beside it: copy it there")


def _by_split(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Sort shards by data set and split, and those of each by name."""
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        key = _key(path)
        if key and (path.suffix in (".pkl", ".npz") or is_folder_of_arrays(path)):
            found[key].append(path)
    return found


def _key(path: Path) -> tuple[str, str] | None:
    """Give the data set and the split in a file's name."""
    named = NAME.fullmatch(path.name)
    return (named["dataset"], named["split"]) if named else None


def _complete(shards: Sequence[Path]) -> tuple[Path, ...]:
    """Refuse shards that have gaps between them.

    Raises:
        StoreError: There are, or there is no shard.
    """
    numbers = [match["number"] for path in shards if (match := NAME.fullmatch(path.name))]
    if numbers == [None] or (numbers and numbers == [f"{n:05d}" for n in range(len(numbers))]):
        return tuple(shards)
    names = ", ".join(path.name for path in shards) or "no shard"
    raise StoreError(f"found {names}, expected shards 00000, 00001, … without a gap: restore them")
