"""Proof that a bundle still agrees: a fresh process loads it and answers on held-out clips.

``python -m polyspace.export.proof BUNDLE STORE OUT`` is that process; it knows nothing but the
bundle, so what it answers is what anybody who loads the bundle gets.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import Runner
from polyspace.export.source import CPU
from polyspace.models.fusion import Distilled
from polyspace.train.sources import StoredClips

BATCH = 64


@dataclass(frozen=True)
class Evidence:
    """How an export compares with its source."""

    clips: int
    top1_source: float
    top1_export: float
    difference_points: float
    """Absolute difference in top-1 accuracy, in points."""
    agreement: float
    """Share of the clips to which both give the same class."""
    max_abs_logit: float
    """Largest absolute difference of a logit."""
    threshold_points: float
    """What the difference had to stay below or at."""


def prove(
    bundle: Path, source: Distilled, clips: StoredClips, *, threshold_points: float
) -> Evidence:
    """Compare a bundle with its source on every clip of a store.

    Raises:
        ExportError: The bundle can't be loaded, or differs by more than the threshold.
    """
    student = source.translator.student_name
    rows = clips.rows((student,))
    evidence = compare(
        answers(lambda tokens: source(tokens).logits, clips, student),
        _fresh_answers(bundle, clips.store.path),
        torch.from_numpy(clips.labels[rows]),
        threshold_points=threshold_points,
    )
    if not evidence.difference_points <= threshold_points:
        raise ExportError(
            f"the export differs from its source by {evidence.difference_points:.2f} points of "
            f"top-1 on {evidence.clips} clips (allowed: {threshold_points}): nothing was "
            f"published; export as float32, or raise --threshold-points"
        )
    return evidence


def compare(
    before: Float32[Tensor, "clip label"],
    after: Float32[Tensor, "clip label"],
    labels: Int64[Tensor, " clip"],
    *,
    threshold_points: float,
) -> Evidence:
    """Compare two models' logits for the same clips."""
    told, tells = before.argmax(1), after.argmax(1)
    top1, top1_after = (float((said == labels).double().mean()) for said in (told, tells))
    return Evidence(
        clips=len(labels),
        top1_source=top1,
        top1_export=top1_after,
        difference_points=100 * abs(top1 - top1_after),
        agreement=float((told == tells).double().mean()),
        max_abs_logit=float((before - after).abs().max()),
        threshold_points=threshold_points,
    )


@torch.no_grad()
def answers(run: Runner, clips: StoredClips, student: str) -> Float32[Tensor, "look label"]:
    """Run a model on stored clips, in their order."""
    rows = clips.rows((student,))
    batches = np.array_split(rows, max(1, -(-len(rows) // BATCH)))
    return torch.cat([run(clips.tokens(student, batch)) for batch in batches])


def _fresh_answers(bundle: Path, store: Path) -> Float32[Tensor, "clip label"]:
    """Let a fresh process load the bundle and answer."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "logits.safetensors"
        command = [sys.executable, "-m", __name__, str(bundle), str(store), str(out)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = ended.stderr.strip().splitlines()
            raise ExportError(f"a fresh process can't load the bundle: {said[-1] if said else ''}")
        return load_file(out)["logits"]


def _main(bundle: Path, path: Path, out: Path) -> None:
    # Imported here: the parent process, which knows the source, must not depend on loading.
    from polyspace.export.loading import open_verified
    from polyspace.store.reader import FeatureStore

    found, clips = open_verified(bundle, CPU), StoredClips(FeatureStore.open(path), CPU)
    save_file({"logits": answers(found.loaded.run, clips, found.student)}, out)


if __name__ == "__main__":
    _main(*(Path(argument) for argument in sys.argv[1:4]))
