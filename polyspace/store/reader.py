"""The reader: float32 batches of any rows in any order, whatever is stored, and never of a hole."""

from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.precision import to_compute
from polyspace.progress import Progress
from polyspace.store import fingerprint, ledger, metadata, storage
from polyspace.store.clip import StoredClip
from polyspace.store.encoding import Lost
from polyspace.store.fetched import FetchedArray, kept_chunks
from polyspace.store.layout import ArraySpec, Compression, Part
from polyspace.store.ledger import Coverage, Ledger
from polyspace.store.mapped import MappedArray
from polyspace.store.order import Window
from polyspace.store.verification import Verification, verify
from polyspace.store.verified import Remembered

CPU = torch.device("cpu")


class FeatureStore:
    """One split of one data set, as some backbones saw it.

    Opening checks the metadata and the size of every file. The bytes of an array are checked when
    it is first read, once for as long as its files don't change; `verify` checks all of them.
    Chunks are mapped where they can be, so memory doesn't grow with the number of clips.

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
        self._arrays: dict[tuple[str, Part], MappedArray | FetchedArray] = {}

    @classmethod
    def open(cls, path: Path | str) -> "FeatureStore":
        """Open a store for reading: a folder, or an address in an object store.

        Raises:
            StoreError: There is no store.
            CorruptStoreError: Its metadata or its ledger is damaged, or a file is missing or has
                another size; the message names the clips.
        """
        book = ledger.read(Path(path))
        _refuse_wrong_sizes(book)
        return cls(book)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the content, however it is cut into files (see `fingerprint.of_store`)."""
        digests = {name: self._ledger.digests(name) for name in self.backbones}
        return fingerprint.of_store(self._ledger.layout, digests)

    def fingerprint_of(self, backbone: str) -> str:
        """Give the same of one backbone's arrays alone."""
        digests = {backbone: self._ledger.digests(self._spec(backbone).backbone)}
        return fingerprint.of_store(self._ledger.layout, digests)

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How the clips were cut and sampled; JSON values."""
        return self._ledger.layout.header.protocol

    @property
    def mapped(self) -> bool:
        """Whether any row costs the same, or whole chunks have to be fetched for it."""
        layout = self._ledger.layout
        return layout.storage.folder is not None and layout.header.compression == "none"

    def window(self, backbones: Sequence[str]) -> Window | None:
        """Say within what to shuffle, so that each chunk is fetched once an epoch.

        None: any row may come at any time.
        """
        if self.mapped:
            return None
        layout = self._ledger.layout
        kept = [kept_chunks(layout, self._spec(name), "tokens") for name in backbones]
        # A batch may reach into the next window.
        return Window(self.clips_per_chunk, min(Window.chunks, *(most // 2 for most in kept)))

    @property
    def compression(self) -> Compression:
        """How the chunk files are compressed."""
        return self._ledger.layout.header.compression

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """Ids of clips that were left out when the store was imported, for want of a label."""
        return tuple(self._ledger.layout.header.protocol.get("unlabelled", ()))

    @property
    def clips_per_chunk(self) -> int:
        """Clips that lie in one file of each array."""
        return self._ledger.layout.header.clips_per_chunk

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
        out: Tensor | None = None,
    ) -> Float32[Tensor, "clip time space dim"]:
        """Give the tokens of some rows, in their order, as float32.

        Args:
            backbone: Whose.
            rows: Which; see `rows`.
            device: Where to.
            view: Which view of each clip.
            out: A buffer for `stored`, if one is used again and again.

        Raises:
            StoreError: The store doesn't hold the backbone, or nothing of one of the rows.
            CorruptStoreError: Stored bytes are not those that were written.
        """
        stored = self.stored(backbone, rows, view=view, out=out)
        is_scaled = "scale" in self.backbones[backbone].parts
        scale = self.stored(backbone, rows, part="scale", view=view) if is_scaled else None
        return to_compute(stored, device, scale)

    def summary(
        self,
        backbone: str,
        rows: Int64[ndarray, " clip"],
        *,
        device: torch.device = CPU,
        view: int = 0,
    ) -> Float32[Tensor, "clip dim"]:
        """Give the summaries of some rows, as `tokens` does."""
        return to_compute(self.stored(backbone, rows, part="summary", view=view), device)

    def stored(
        self,
        backbone: str,
        rows: Int64[ndarray, " clip"],
        *,
        part: Part = "tokens",
        view: int = 0,
        out: Tensor | None = None,
    ) -> Shaped[Tensor, "clip ..."]:
        """Give one view of some rows in the type that they are stored in.

        Args:
            backbone: Whose.
            rows: Which; see `rows`.
            part: Of which array.
            view: Which view of each clip.
            out: Where to, of exactly the result's shape and type; else a new tensor.

        Raises:
            StoreError: The store doesn't hold the backbone, or nothing of one of the rows.
            CorruptStoreError: Stored bytes are not those that were written.
        """
        self._spec(backbone)
        if len(rows):
            self._refuse_holes(backbone, rows)
        array = self._array(backbone, part)
        return array.gather(rows, view=view, out=out)

    def expect(self, backbones: Sequence[str], rows: Int64[ndarray, " clip"]) -> None:
        """Begin to fetch the chunks in which some rows lie; a mapped store has them already."""
        for backbone in backbones:
            for part in self._spec(backbone).parts:
                if part == "tokens" or part == "scale":
                    array = self._array(backbone, part)
                    if isinstance(array, FetchedArray):
                        array.expect(rows)

    def seconds(
        self, backbone: str, rows: Int64[ndarray, " clip"], *, view: int = 0
    ) -> Float64[ndarray, "clip time 2"]:
        """Give start and end of what each temporal position saw, as `tokens` does."""
        return self.stored(backbone, rows, part="time_seconds", view=view).numpy()

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
            tokens={name: self._array(name, "tokens").row(row) for name in seen},
            summary={name: self._array(name, "summary").row(row) for name in seen},
            seconds={name: self._array(name, "time_seconds").row(row) for name in seen},
            scale={
                name: self._array(name, "scale").row(row)
                for name in seen
                if "scale" in self.backbones[name].parts
            },
            quarantined={name: why[clip_id] for name, why in denied.items() if clip_id in why},
        )

    def verify(self) -> Generator[Progress, None, Verification]:
        """Read every byte and compare it with what was written (see `verification.verify`)."""
        return verify(self.path)

    def lost(self, backbone: str) -> Lost:
        """Give what the storage type cost a backbone's tokens."""
        return self._ledger.lost(self._spec(backbone).backbone)

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

    def _array(self, backbone: str, part: Part) -> MappedArray | FetchedArray:
        """Give an array, opened and checked when it is first asked for."""
        if (backbone, part) not in self._arrays:
            self._arrays[backbone, part] = self._open(self._spec(backbone), part)
        return self._arrays[backbone, part]

    def _open(self, spec: ArraySpec, part: Part) -> MappedArray | FetchedArray:
        layout = self._ledger.layout
        entries = {
            entry.item: entry
            for entry in self._ledger.of(spec.backbone)
            if entry.size(layout.chunk(spec, part, entry.item)) is not None
        }
        if (folder := layout.storage.folder) is None or not self.mapped:
            return FetchedArray(layout, spec, part, entries)
        array = MappedArray(layout, folder, spec, part, entries)
        keys = {layout.chunk(spec, part, item).key: item for item in entries}
        remembered = Remembered(folder)
        if unknown := remembered.unknown(keys):
            self._refuse_altered(spec, part, array.altered([keys[key] for key in unknown]))
            remembered.add(unknown)
        return array

    def _refuse_altered(self, spec: ArraySpec, part: Part, items: Sequence[int]) -> None:
        """Refuse an array some of whose files are not what was written.

        Raises:
            CorruptStoreError: The message names the clips.
        """
        if items:
            layout = self._ledger.layout
            rows = np.concatenate([np.arange(*layout.bounds(item)) for item in items])
            raise CorruptStoreError(
                f"{part} of {spec.backbone} in {self.path} are altered in the files of clips "
                f"{self._names(rows)}: polyspace store repair lets the damaged ones be done again"
            )

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
    for entry in book.entries.values():
        if wrong := book.wrong_sizes(entry):
            clips = ", ".join(book.layout.rows.ids[entry.start : entry.stop])
            raise CorruptStoreError(
                f"{wrong[0]}: run featurize again, which redoes only its clips ({clips})"
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
    names = storage.at(where).names()
    found = [where / inside for inside in names if PurePath(inside).match(name)]
    found = [path for path in found if metadata.is_store(path)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(path.name for path in found)
        raise StoreError(f"{where} holds {several}: say which one with --dataset")
    raise StoreError(f"no feature store {name} in {where}: {_what_is_there(names)}")


def _refuse_other_split(path: Path, dataset: str | None, split: str) -> None:
    """Refuse to take one split for another: nobody trains on the test clips by mistake."""
    header = ledger.read(path).layout.header
    if header.split != split or dataset not in (None, header.dataset):
        raise StoreError(
            f"{path} is the {header.split} split of {header.dataset}, expected the {split} split "
            f"of {dataset or header.dataset}: mend the path, --split or --dataset"
        )


def _what_is_there(names: Sequence[str]) -> str:
    """Say what a folder holds in place of the store that was looked for."""
    if not names:
        return "nothing is there; mend the path, or extract with polyspace.data.featurize"
    if any(name.startswith("features_") for name in names):
        return (
            "it holds the shards of the old format, which are never read in place because pickles "
            "can execute code; turn them into a store with polyspace store import"
        )
    return f"it holds {', '.join(names[:10])}; extract with polyspace.data.featurize"
