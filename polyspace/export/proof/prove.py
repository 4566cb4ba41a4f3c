"""The proof itself: source and export asked the same, and everything about them written down."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from jaxtyping import Float32
from torch import Tensor

from polyspace.export.proof import answers, fresh
from polyspace.export.proof.compare import HeldOut, compare
from polyspace.export.proof.jobs import Job, Result
from polyspace.export.proof.terms import (
    SCHEMA,
    Circumstances,
    Compute,
    Memory,
    Proof,
    Seconds,
    Subject,
    Terms,
)
from polyspace.export.proof.thresholds import enforce
from polyspace.export.source import Source
from polyspace.train.cost.machine import processor
from polyspace.train.sources import StoredClips

ON_CPU = (
    "growth of the resident memory's peak in a fresh process, over what it has once torch and what "
    "the format needs are imported: weights, their loading, and the activations of 32 clips"
)
ON_GPU = (
    "torch.cuda.max_memory_allocated in a fresh process: weights and the activations of 32 clips; "
    "neither CUDA's own context nor memory of the CPU"
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two bundles of one model, both sealed; the first has no proof yet."""

    export: Path
    reference: Path
    """The model as torch runs it in float32."""
    bytes: int
    """Of the export's files."""
    float32_bytes: int
    """Of the same model as float32 in safetensors."""


def prove(pair: Pair, source: Source, clips: StoredClips, terms: Terms) -> Proof:
    """Compare a bundle with its source on every look at every clip of a store, and measure it.

    Args:
        pair: What was exported, and what it is timed beside.
        source: The trained models, as their checkpoints hold them.
        clips: The held-out clips.
        terms: How, and what has to be shown.

    Raises:
        ExportError: The bundle can't be loaded, or differs by more than is allowed.
        DatasetError: All clips are of one group.
    """
    started = perf_counter()
    held = HeldOut.of(clips, source.student, source.model.fusion.spec.class_names)
    with _looks(source, clips, terms) as looks:
        job = _job(pair, clips, terms, looks)
        exported, after = fresh.answer(job)
        found = compare(_answers(source, clips, terms, looks), after, held)
        enforce(found, terms.thresholds, terms.kind)
        timed = fresh.time(_beside(job, pair)) if terms.measure else None
    circumstances = _circumstances(terms, exported, timed, perf_counter() - started)
    return Proof(_subject(pair, clips, terms), found, circumstances)


@contextmanager
def _looks(source: Source, clips: StoredClips, terms: Terms) -> Generator[Path | None]:
    """Decode the held-out videos once for both models; tokens are read from the store."""
    if terms.entry == "tokens":
        yield None
        return
    with TemporaryDirectory(prefix="polyspace-looks-") as folder:
        yield answers.prepare(_batches(source, clips, terms), Path(folder))


def _batches(source: Source, clips: StoredClips, terms: Terms) -> Iterator[Tensor]:
    return answers.held_out(terms.entry, source.student, clips, terms.root)


def _answers(
    source: Source, clips: StoredClips, terms: Terms, looks: Path | None
) -> Float32[Tensor, "look label"]:
    """Let the source answer, in this process, which knows the checkpoints."""
    module = source.reference(terms.entry, clips).to(terms.device)
    batches = answers.prepared(looks) if looks else _batches(source, clips, terms)
    return answers.answer(lambda inputs: module(inputs.to(terms.device)), batches)


def _job(pair: Pair, clips: StoredClips, terms: Terms, looks: Path | None) -> Job:
    return Job(
        bundle=pair.export.absolute(),
        store=clips.store.path.absolute(),
        looks=looks,
        entry=terms.entry,
        device=str(terms.device),
        threads=torch.get_num_threads(),
        measure=terms.measure,
    )


def _beside(job: Job, pair: Pair) -> Job:
    """Say what to time: the reference, and the export beside it."""
    own = {"bundle": pair.reference.absolute(), "beside": pair.export.absolute()}
    return job.model_copy(update=own)


def _subject(pair: Pair, clips: StoredClips, terms: Terms) -> Subject:
    return Subject(
        schema=SCHEMA,
        kind=terms.kind,
        entry=terms.entry,
        bytes=pair.bytes,
        float32_bytes=pair.float32_bytes,
        ratio=pair.bytes / pair.float32_bytes,
        dataset=clips.dataset,
        split=clips.split,
        fingerprint=clips.fingerprint,
    )


def _circumstances(
    terms: Terms, exported: Result, timed: Result | None, seconds: float
) -> Circumstances:
    return Circumstances(
        thresholds=terms.thresholds,
        compute=Compute("fp32", exported.compute, exported.reason),
        device=processor(terms.device),
        threads=torch.get_num_threads(),
        versions={
            "torch": torch.__version__,
            **exported.versions,
            "polyspace": version("polyspace"),
        },
        latency=timed.latency if timed else None,
        memory=_memory(timed, exported, terms.device),
        load_seconds=_load_seconds(timed, exported),
        command=terms.command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
    )


def _memory(timed: Result | None, exported: Result, device: torch.device) -> Memory | None:
    if timed is None or timed.memory_bytes is None or exported.memory_bytes is None:
        return None
    words = ON_GPU if device.type == "cuda" else ON_CPU
    return Memory(timed.memory_bytes, exported.memory_bytes, words)


def _load_seconds(timed: Result | None, exported: Result) -> Seconds | None:
    if timed is None or timed.load_seconds is None or exported.load_seconds is None:
        return None
    return Seconds(timed.load_seconds, exported.load_seconds)
