"""A fusion's training on disk: states to go on from, epochs' checkpoints, and the chosen one."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyspace.engine import checkpoint, validation
from polyspace.engine.curves import Curves
from polyspace.engine.keeper import Keeper, identity
from polyspace.engine.loop import Step, Training
from polyspace.engine.selection import prune, until_stale, worth_keeping
from polyspace.models.fusion import Fusion
from polyspace.precision import Precision
from polyspace.ranks import Ranks
from polyspace.train.fusion_training import Choice, FusionSettings, rivals
from polyspace.train.fusion_workload import SCORES, Batch, FusionWorkload


@dataclass(frozen=True, eq=False)
class Outlet:
    """Where checkpoints go, and what stands in them beside a fusion."""

    kind: str
    """What the checkpoints are called, and hold."""
    folder: Path
    record: Mapping[str, Any]
    """What the fusion was made of; "provenance" among it."""

    def save(self, name: str, fusion: Fusion, scores: Mapping[str, Any]) -> Path:
        """Write a checkpoint."""
        content = {**fusion.record(), "scores": dict(scores), **self.record}
        return checkpoint.save(self.folder / f"{name}.pt", self.kind, content)

    def publish(
        self,
        fusion: Fusion,
        step: Step,
        curves: Curves,
        *,
        keep_best: int | None,
        steps_per_epoch: int,
    ) -> None:
        """Write an epoch's checkpoint and the curves so far; remove what is not worth keeping."""
        self.save(f"{self.kind}_ep{step.epoch}", fusion, step.scores)
        curves.write(self.folder / "curves.json")
        scores = {int(e["epoch"]): tuple(e[name] for name in SCORES) for e in curves.epochs}
        kept = worth_keeping(scores, keep_best)
        validation.record(
            self.folder,
            curves.epochs,
            step,
            kept=kept,
            steps_per_epoch=steps_per_epoch,
            path=self._path,
        )
        prune(scores, keep_best, self._path)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"{self.kind}_ep{epoch}.pt"


def train(
    one: FusionWorkload,
    settings: FusionSettings,
    outlet: Outlet,
    decides: Mapping[str, Any],
    types: Precision,
    ranks: Ranks,
) -> Generator[Step, None, Path]:
    """Train to the end, or on to it; the first rank writes. Give the best epoch's checkpoint.

    Args:
        one: An untrained fusion, and where its inputs come from.
        settings: How; with several paces, as many are trained, and the best of all is chosen.
        outlet: Where checkpoints go.
        decides: What has to be the same for an interrupted run to be gone on with.
        types: Number types.
        ranks: Who trains.
    """
    device = one.clips.device
    workload = rivals(one, settings)
    training: Training[Batch, Any] = Training(
        workload, settings, precision=types, device=device, parts=workload.parts, ranks=ranks
    )
    curves, choice = Curves(), Choice(workload)
    bests = {f"best {name}".rstrip(): best for name, best in choice.bests.items()}
    keeper = Keeper(
        outlet.folder / "unfinished",
        {"training": training, "curves": curves, **bests},
        identity(decides, settings, device),
        settings,
        ranks,
    )
    with keeper:
        for step in until_stale(training.steps(), bests.values(), settings.early_stop):
            curves.add(step)
            if step.scores:
                fusion = choice.offer(step)
                if ranks.is_first:
                    outlet.publish(
                        fusion,
                        step,
                        curves,
                        keep_best=settings.keep_best,
                        steps_per_epoch=training.steps_per_epoch,
                    )
            # Told first: what a stop keeps has been told, and what is told twice counts once.
            yield step
            keeper.after(step)
    path = outlet.folder / f"{outlet.kind}.pt"
    if ranks.is_first:
        outlet.save(outlet.kind, *choice.settle())
    keeper.finish()
    ranks.wait()
    return path


def outcome(path: Path, kind: str) -> str:
    """Say what the chosen checkpoint scored on the hold-out."""
    scores: dict[str, Any] = checkpoint.load(path, kind)["scores"]
    chosen = f", {scores['chosen']}" if "chosen" in scores else ""
    return f"top-1 {scores['top1']:.1%} on held-out groups, epoch {scores['epoch']}{chosen}"
