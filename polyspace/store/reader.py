"""The reader: float32 batches of any rows in any order, whatever is stored, and never of a hole."""

from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.precision import to_compute
from polyspace.store import codec, fingerprint, ledger, metadata
from polyspace.store.clip import StoredClip
from polyspace.store.layout import ArraySpec, Part
from polyspace.store.ledger import Coverage, Ledger
from polyspace.store.mapped import MappedArray
from polyspace.store.verification import Checked, Verification, verify

CPU = torch.device("cpu")


class FeatureStore:
    """One split of one data set, as some backbones saw it.

    Opening checks the metadata and the size of every file; `verify` reads every byte. Chunks are
    mapped, so memory doesn't grow with the number of clips.

    Example:
        store = FeatureStore.open(Path("features/motion_train.zarr"))
        rows = store.rows(["transnetv2", "motion_vectors"])
        batch = store.tokens("transnetv2", rows[:32])
    """

    path: Path
    dataset: str
    split: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    """Every clip's, done or not; so are groups and labels."""
    groups: tuple[str, ...]
    labels: Int64[ndarray, " clip"]
    """Indices into the class names."""
    backbones: Mapping[str, ArraySpec]
    """What is stored of each."""

    def __init__(self, book: Ledger) -> None:
        """Prefer `open`, which checks the files first."""
        layout = book.layout
        self.path = layout.path
        self.dataset, self.split = layout.header.dataset, layout.header.split
        self.class_names = layout.header.class_names
        self.ids, self.groups, self.labels = layout.rows.ids, layout.rows.groups, layout.rows.labels
        self.backbones = layout.specs
        self._ledger = book
        self._done = {name: book.done(name) for name in layout.specs}
        self._maps: dict[tuple[str, Part], MappedArray] = {}

    @classmethod
    def open(cls, path: Path) -> "FeatureStore":
        """Open a store for reading.

        Raises:
            StoreError: There is no store.
            CorruptStoreError: Its metadata or its ledger is damaged, or a file is missing or has
                another size; the message names the clips.
        """
        book = ledger.read(metadata.read(path))
        _refuse_wrong_sizes(book)
        return cls(book)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the content, however it is cut into files (see `fingerprint.of_store`)."""
        digests = {name: self._ledger.digests(name) for name in self.backbones}
        return fingerprint.of_store(self._ledger.layout, digests)

    @property
    def coverage(self) -> Coverage:
        """How much of the store is there."""
        return self._ledger.coverage()

    def size_bytes(self, backbone: str) -> int:
        """Give the size of a backbone's files."""
        return sum(entry.bytes for entry in self._ledger.of(self._spec(backbone).backbone))

    def rows(self, backbones: Sequence[str]) -> Int64[ndarray, " row"]:
        """Give the rows that all of these backbones have seen, in ascending order."""
        seen = np.ones(len(self.ids), dtype=bool)
        for name in backbones:
            seen &= self._done[self._spec(name).backbone]
        return np.flatnonzero(seen)

    def tokens(
        self,
        backbone: str,
        rows: Int64[ndarray, " clip"],
        *,
        device: torch.device = CPU,
        view: int = 0,
    ) -> Float32[Tensor, "clip time space dim"]:
        """Give the tokens of some rows, in their order, as float32.

        Raises:
            StoreError: The store doesn't hold the backbone, or nothing of one of the rows.
            CorruptStoreError: A value is not finite.
        """
        return to_compute(self._gather(backbone, "tokens", rows, view), device)

    def summary(
        self,
        backbone: str,
        rows: Int64[ndarray, " clip"],
        *,
        device: torch.device = CPU,
        view: int = 0,
    ) -> Float32[Tensor, "clip dim"]:
        """Give the summaries of some rows, as `tokens` does."""
        return to_compute(self._gather(backbone, "summary", rows, view), device)

    def seconds(
        self, backbone: str, rows: Int64[ndarray, " clip"], *, view: int = 0
    ) -> Float64[ndarray, "clip time 2"]:
        """Give start and end of what each temporal position saw, as `tokens` does."""
        return self._gather(backbone, "time_seconds", rows, view).numpy()

    def clip(self, clip_id: str) -> StoredClip:
        """Give everything that is stored of one clip, for a look at it.

        Raises:
            StoreError: There is no clip of this id.
        """
        if clip_id not in self.ids:
            raise StoreError(
                f"{self.path} has no clip {clip_id!r}: its ids are like {self.ids[0]!r}"
            )
        row = self.ids.index(clip_id)
        seen = [name for name in self.backbones if self._done[name][row]]
        denied = {name: self._ledger.quarantined(name) for name in self.backbones}
        return StoredClip(
            id=clip_id,
            group=self.groups[row],
            label=int(self.labels[row]),
            class_name=self.class_names[self.labels[row]],
            tokens={name: self._mapped(name, "tokens").row(row) for name in seen},
            summary={name: self._mapped(name, "summary").row(row) for name in seen},
            seconds={name: self._mapped(name, "time_seconds").row(row) for name in seen},
            quarantined={name: why[clip_id] for name, why in denied.items() if clip_id in why},
        )

    def verify(self) -> Generator[Checked, None, Verification]:
        """Read every byte and compare it with what was written (see `verification.verify`)."""
        return verify(self.path)

    def __repr__(self) -> str:
        held = ", ".join(
            f"{name} {list(spec.row_shape('tokens'))} {spec.dtype}"
            for name, spec in self.backbones.items()
        )
        coverage = self.coverage
        return (
            f"FeatureStore({self.dataset} {self.split}, {len(self.class_names)} classes, "
            f"{coverage.clips} clips: {coverage.done} done, {len(coverage.quarantined)} "
            f"quarantined, {coverage.pending} pending; {held or 'no backbones'}; {self.path})"
        )

    def _spec(self, backbone: str) -> ArraySpec:
        """Give a backbone's spec.

        Raises:
            StoreError: The store doesn't hold it; the message says what adds it.
        """
        if backbone not in self.backbones:
            student = next((n for n, s in self.backbones.items() if s.role == "student"), backbone)
            raise StoreError(
                f"{self.path} holds {', '.join(self.backbones) or 'no backbones'}, not {backbone}: "
                f"add it with python -m polyspace.data.featurize --dataset {self.dataset} --root "
                f"VIDEOS --split {self.split} --student {student} --teachers {backbone} "
                f"--out {self.path.parent}"
            )
        return self.backbones[backbone]

    def _mapped(self, backbone: str, part: Part) -> MappedArray:
        """Give an array's maps, made when they are first asked for."""
        if (backbone, part) not in self._maps:
            items = [entry.item for entry in self._ledger.of(backbone)]
            array = MappedArray(self._ledger.layout, self._spec(backbone), part, items)
            self._maps[backbone, part] = array
        return self._maps[backbone, part]

    def _gather(
        self, backbone: str, part: Part, rows: Int64[ndarray, " clip"], view: int
    ) -> Float[Tensor, "clip ..."]:
        """Copy rows out of the maps; refuse holes, and values that nobody can have written."""
        spec = self._spec(backbone)
        if not len(rows):
            empty = np.empty((0, *spec.row_shape(part)[1:]), spec.stored_type(part))
            return torch.from_numpy(empty)
        self._refuse_holes(backbone, rows)
        values = self._mapped(backbone, part).gather(rows, view=view)
        low, high = torch.aminmax(values)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            bad = rows[~torch.isfinite(values).flatten(1).all(1).numpy()]
            raise CorruptStoreError(
                f"{part} of {backbone} in {self.path} is not finite for clips "
                f"{self._names(bad)}: see polyspace store verify {self.path}"
            )
        return values

    def _refuse_holes(self, backbone: str, rows: Int64[ndarray, " row"]) -> None:
        """Refuse rows that the store has nothing of.

        Raises:
            StoreError: There are some; the message says which and why.
        """
        if rows.min() < 0 or rows.max() >= len(self.ids):
            raise StoreError(f"{self.path} has rows 0 to {len(self.ids) - 1}, not {rows.tolist()}")
        holes = rows[~self._done[backbone][rows]]
        if len(holes):
            raise StoreError(
                f"{self.path} has nothing of {backbone} for clips {self._names(holes)}, which are "
                f"pending or quarantined: ask rows() for those that are done"
            )

    def _names(self, rows: Int64[ndarray, " row"]) -> str:
        return ", ".join(self.ids[row] for row in rows)


def _refuse_wrong_sizes(book: Ledger) -> None:
    """Refuse a store whose files are not all there and whole.

    Raises:
        CorruptStoreError: The message names the first of such files, and its clips.
    """
    layout = book.layout
    for entry in book.entries.values():
        for chunk in layout.chunks(layout.specs[entry.backbone], entry.item):
            if what := codec.wrong_size(chunk):
                clips = ", ".join(layout.rows.ids[entry.start : entry.stop])
                raise CorruptStoreError(
                    f"{what}: run featurize again, which redoes only its clips ({clips})"
                )


def find_store(where: Path, dataset: str | None, split: str) -> Path:
    """Find the store of one split.

    Args:
        where: The store itself, or the folder that it lies in.
        dataset: Name of the data set; None if the folder holds one of that split only.
        split: Name of the split.

    Raises:
        StoreError: There is none, several, or another one; the message says what is there.
    """
    if metadata.is_store(where):
        _refuse_other_split(where, dataset, split)
        return where
    name = f"{dataset or '*'}_{split}.zarr"
    found = [path for path in sorted(where.glob(name)) if metadata.is_store(path)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise StoreError(f"{where} holds {names}: say which one with --dataset")
    raise StoreError(f"no feature store {name} in {where}: {_what_is_there(where)}")


def _refuse_other_split(path: Path, dataset: str | None, split: str) -> None:
    """Refuse to take one split for another: nobody trains on the test clips by mistake."""
    header = metadata.read(path).header
    if header.split != split or dataset not in (None, header.dataset):
        raise StoreError(
            f"{path} is the {header.split} split of {header.dataset}, expected the {split} split "
            f"of {dataset or header.dataset}: mend the path, --split or --dataset"
        )


def _what_is_there(where: Path) -> str:
    """Say what a folder holds in place of the store that was looked for."""
    if not where.is_dir():
        return "there is no such folder; mend the path, or extract with polyspace.data.featurize"
    if any(where.glob("features_*.pkl")) or any(where.glob("features_*.index.json")):
        return (
            "it holds pickled shards, the old format, which is never opened because pickles can "
            "execute code; extract the features again with polyspace.data.featurize"
        )
    names = ", ".join(sorted(path.name for path in where.iterdir())[:10])
    return f"it holds {names or 'nothing'}; extract with polyspace.data.featurize"
