"""From clips to features in a store: decoded once, seen by every backbone, written by the chunk."""

import hashlib
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from polyspace.data.clips import Clip, DecodedClip, Manifest, Request
from polyspace.data.prefetch import Decoded, decode_all
from polyspace.data.preprocess import prepare, temporal_spans
from polyspace.errors import DatasetError, VideoError
from polyspace.models.backbones.protocol import Backbone, TokenGrid
from polyspace.precision import Precision
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader, canonical
from polyspace.store.reader import FeatureStore
from polyspace.store.writer import StoreWriter, WorkItem

Spatial = Literal["1", "2", "full"]
"""Tokens along each side of the picture: pooled to 1 x 1 or 2 x 2, or all that there are."""

Role = Literal["student", "teacher"]
"""What a backbone was extracted for; converters translate from the student."""

PROTOCOL: Mapping[str, Any] = {"views": 1, "window": "whole clip", "sampling": "even in time"}
"""How clips are cut and sampled."""

PACKAGES = ("av", "numpy", "polyspace", "torch", "transformers")
"""Libraries that features depend on; their versions are recorded."""


@dataclass(frozen=True)
class Setup:
    """How clips are turned into features, and by what."""

    device: torch.device
    precision: Precision
    spatial: Spatial
    batch: int
    """Clips that a backbone sees at a time."""
    processes: int
    """Processes that decode; with 0 decoding and encoding take turns."""


@dataclass(frozen=True)
class Extraction:
    """How far the extraction of one split is."""

    split: str
    done: int
    """Clips that are finished, in this run or an earlier one."""
    total: int
    fresh: int
    """Clips of this run."""
    quarantined: int
    """How many of those could not be decoded."""
    seconds: float
    """Since this run began with the split."""

    @property
    def clips_per_second(self) -> float:
        """Speed of this run."""
        return self.fresh / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """Say where the extraction is."""
        bad = f", {self.quarantined} quarantined" if self.quarantined else ""
        return (
            f"{self.split} {self.done}/{self.total} clips, {self.clips_per_second:.1f} clips/s{bad}"
        )


def extract(
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
    *,
    split: str,
    path: Path,
    clips_per_chunk: int,
) -> Generator[Extraction, None, Path]:
    """Write what the store doesn't hold yet of a split; return the store.

    Args:
        manifest: The clips.
        backbones: Who looks at them, the student first; those that the store lacks are added.
        setup: How they look.
        split: The split's name, as the store shall know it.
        path: The store, made if it isn't there.
        clips_per_chunk: Clips of one work item at most, which is what a kill costs at worst.

    Raises:
        DatasetError: Not one clip could be decoded.
        StoreError: The store there holds something else.
    """
    specs = [
        array_spec(backbone, role="teacher" if index else "student", setup=setup)
        for index, backbone in enumerate(backbones)
    ]
    header = StoreHeader(
        dataset=manifest.dataset,
        split=split,
        class_names=manifest.class_names,
        clips_per_chunk=_even(len(manifest.clips), clips_per_chunk),
        protocol=PROTOCOL,
    )
    with StoreWriter.open(path, header, _rows(manifest), specs) as writer:
        yield from _fill(writer, specs, manifest, backbones, setup, split)
    _refuse_empty(path, manifest)
    return path


def array_spec(backbone: Backbone, *, role: Role, setup: Setup) -> ArraySpec:
    """Say what a backbone's arrays hold, and where it comes from."""
    settings = {
        "inputs": asdict(backbone.inputs),
        "grid": asdict(backbone.grid),
        "spatial": setup.spatial,
        "compute": setup.precision.compute,
    }
    return ArraySpec(
        backbone=backbone.name,
        time=backbone.grid.time,
        space=backbone.grid.space if setup.spatial == "full" else int(setup.spatial) ** 2,
        dim=backbone.dim,
        dtype=setup.precision.storage,
        provenance={
            "role": role,
            "weights": asdict(backbone.weights),
            **settings,
            "settings_fingerprint": hashlib.sha256(canonical(settings).encode()).hexdigest(),
            "versions": {name: version(name) for name in PACKAGES},
        },
    )


def request(clip: Clip, backbones: Sequence[Backbone]) -> Request:
    """Ask for everything that some backbones want of a clip, at once."""
    inputs = [backbone.inputs for backbone in backbones]
    wanted = {spec.frames for spec in inputs if spec.kind == "frames"}
    steps = {spec.frames for spec in inputs if spec.kind == "motion"}
    assert len(steps) <= 1, "a decoder makes one motion field"
    return Request(clip.id, clip.path, tuple(sorted(wanted)), next(iter(steps), None))


def encode(backbone: Backbone, clips: Sequence[DecodedClip], setup: Setup) -> Block:
    """Let a backbone see every view of some clips; give its features, on the CPU."""
    looks = [(clip, view) for clip in clips for view in range(len(clip.views))]
    inputs = torch.stack([prepare(clip, backbone.inputs, view) for clip, view in looks])
    with torch.no_grad(), setup.precision.autocast(setup.device):
        features = backbone.forward(inputs.to(setup.device))
    tokens = pool(features.tokens, backbone.grid, setup.spatial)
    time = backbone.grid.time
    spans = [temporal_spans(clip, backbone.inputs, time, view) for clip, view in looks]
    return Block(
        tokens.cpu().unflatten(0, (len(clips), -1)),
        features.summary.cpu().unflatten(0, (len(clips), -1)),
        np.stack(spans).reshape(len(clips), -1, time, 2),
    )


def pool(
    tokens: Float32[Tensor, "clip time space dim"], grid: TokenGrid, spatial: Spatial
) -> Float32[Tensor, "clip time kept dim"]:
    """Average the tokens of each temporal position over equal parts of the picture."""
    if spatial == "full":
        return tokens
    clips, time, _, dim = tokens.shape
    maps = tokens.reshape(clips * time, grid.height, grid.width, dim).permute(0, 3, 1, 2)
    pooled = functional.adaptive_avg_pool2d(maps, int(spatial))
    return pooled.flatten(2).transpose(1, 2).reshape(clips, time, -1, dim)


@dataclass(frozen=True)
class _Chunk:
    """A work item while it is being filled."""

    clips: Sequence[Clip]
    blocks: Mapping[str, Block]
    """By backbone; rows that are not filled yet are NaN."""
    quarantined: dict[str, str]

    @classmethod
    def of(cls, specs: Sequence[ArraySpec], item: WorkItem, manifest: Manifest) -> "_Chunk":
        """Make room for what some backbones will see of an item's clips."""
        clips = [manifest.clips[row] for row in item.rows]
        return cls(clips, {spec.backbone: _blank(spec, len(item)) for spec in specs}, {})

    def see(
        self,
        rows: Sequence[int],
        results: Sequence[Decoded],
        backbones: Sequence[Backbone],
        setup: Setup,
    ) -> None:
        """Fill some rows with what every backbone sees; quarantine what could not be decoded."""
        good: dict[int, DecodedClip] = {}
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, VideoError):
                self.quarantined[self.clips[row].id] = str(result)
            else:
                good[row] = result
        for backbone in backbones if good else ():
            self._put(backbone.name, list(good), encode(backbone, list(good.values()), setup))

    def _put(self, name: str, rows: Sequence[int], seen: Block) -> None:
        block = self.blocks[name]
        block.tokens[rows], block.summary[rows] = seen.tokens, seen.summary
        block.seconds[rows] = seen.seconds


def _fill(
    writer: StoreWriter,
    specs: Sequence[ArraySpec],
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
    split: str,
) -> Generator[Extraction]:
    """Work through what is pending, one work item after the other, until nobody has any left."""
    started, total = perf_counter(), len(manifest.clips)
    left = sum(map(len, writer.pending()))
    state = Extraction(split, total - left, total, 0, 0, 0.0)
    while writer.awaits_work():
        claimed = deque[WorkItem]()
        with closing(_decode(writer, claimed, manifest, backbones, setup)) as decoded:
            for first in decoded:
                item = claimed.popleft()
                chunk = _Chunk.of(
                    [s for s in specs if s.backbone in item.backbones], item, manifest
                )
                results, bad = chain([first], decoded), state.quarantined
                for rows in _batches(len(item), setup.batch):
                    chunk.see(rows, list(islice(results, len(rows))), _of(backbones, item), setup)
                    state = replace(
                        state,
                        done=state.done + len(rows),
                        fresh=state.fresh + len(rows),
                        quarantined=bad + len(chunk.quarantined),
                        seconds=perf_counter() - started,
                    )
                    yield state
                writer.write(item, chunk.blocks, chunk.quarantined)


def _decode(
    writer: StoreWriter,
    claimed: deque[WorkItem],
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
) -> Generator[Decoded]:
    """Decode the clips of one claimed item after the other, some of them ahead of time.

    Each item is appended to `claimed` before the first of its clips comes out.
    """

    def requests() -> Iterator[Request]:
        for item in writer.claims():
            claimed.append(item)
            for row in item.rows:
                yield request(manifest.clips[row], _of(backbones, item))

    ahead = setup.processes + setup.batch
    return decode_all(manifest.root, requests(), processes=setup.processes, ahead=ahead)


def _batches(clips: int, size: int) -> list[range]:
    return [range(start, min(start + size, clips)) for start in range(0, clips, size)]


def _of(backbones: Sequence[Backbone], item: WorkItem) -> list[Backbone]:
    return [backbone for backbone in backbones if backbone.name in item.backbones]


def _blank(spec: ArraySpec, clips: int) -> Block:
    return Block(
        tokens=torch.full((clips, *spec.row_shape("tokens")), torch.nan),
        summary=torch.full((clips, *spec.row_shape("summary")), torch.nan),
        seconds=np.full((clips, *spec.row_shape("time_seconds")), np.nan),
    )


def _rows(manifest: Manifest) -> ClipRows:
    return ClipRows(
        ids=tuple(clip.id for clip in manifest.clips),
        groups=tuple(clip.group for clip in manifest.clips),
        labels=np.array([clip.label for clip in manifest.clips], dtype=np.int64),
    )


def _even(clips: int, limit: int) -> int:
    """Cut clips into chunks of equal size, because the last one is filled up to that size."""
    chunks = -(-clips // limit)
    return -(-clips // chunks)


def _refuse_empty(path: Path, manifest: Manifest) -> None:
    """Refuse to go on with a split of which nothing could be decoded.

    Raises:
        DatasetError: It is so; the message gives the commonest reason.
    """
    coverage = FeatureStore.open(path).coverage
    if coverage.done:
        return
    paths = {clip.id: clip.path for clip in manifest.clips}
    reasons = [why.removeprefix(f"{paths[name]}: ") for name, why in coverage.quarantined.items()]
    [(reason, count)] = Counter(reasons).most_common(1)
    raise DatasetError(
        f"not one of the {coverage.clips} clips of {manifest.dataset} under {manifest.root} could "
        f"be decoded, {count} of them because the file {reason}: mend them, delete {path}, and run "
        f"again"
    )
