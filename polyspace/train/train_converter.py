"""Train the converters that translate the student's features into each teacher's.

Every kind starts at a closed-form solution; kinds with something left to train then descend, and
each teacher keeps the epoch that does best on held-out groups of the training split. Behind a trunk
one epoch is kept for all teachers, the best in the mean.
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field, field_validator

from polyspace import console, precision
from polyspace.engine import checkpoint, validation
from polyspace.engine.curves import Curves
from polyspace.engine.keeper import Keeper, KeepSettings, identity
from polyspace.engine.loop import Step, Training
from polyspace.engine.recipe import Recipe
from polyspace.engine.selection import prune, until_stale, worth_keeping
from polyspace.errors import ConfigError
from polyspace.losses.mix import LossMix
from polyspace.models.converters import CLOSED_FORM, ConverterKind, ConverterSpec, Translator
from polyspace.models.normalizers import SHRINKAGE, NormalizerKind
from polyspace.precision import Precision
from polyspace.ranks import Ranks, joined
from polyspace.seeding import derive
from polyspace.train import fit, kept_epochs, provenance
from polyspace.train.balance import BalanceKind
from polyspace.train.batches import divide
from polyspace.train.converter_workload import LOSSES, ConverterWorkload
from polyspace.train.sources import StoredClips


def _known(losses: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse losses that can't be parsed, before anything is read."""
    LossMix.parse(losses)
    return losses


class ConverterSettings(KeepSettings, Recipe):
    """How converters are trained."""

    kind: ConverterKind = "residual_mlp"
    """Architecture; mean, procrustes, orthogonal, ridge, ols, low_rank are solved in closed form,
    without epochs; the others start at ridge."""
    reach: Annotated[int, Field(ge=0)] = 1
    """Temporal neighbours, before and after, that the map of a token sees too."""
    hidden: Annotated[int, Field(ge=1)] = 256
    """Width of what a kind has inside: perceptron, bottleneck (low_rank), channels, attention."""
    normalizer: NormalizerKind = "per_dimension"
    """How teachers' features are normalised before any loss; phi_s also rotates them so that all
    dimensions vary alike."""
    shrinkage: Annotated[float, Field(ge=0, le=1)] = SHRINKAGE
    """Share of the mean variance in what pca_whitening divides by."""
    trunk: Annotated[int, Field(ge=0)] = 0
    """Width of a small network that all converters share, trained with them on the student's
    tokens, after which one epoch is kept for all; 0: none."""
    balance: BalanceKind = "none"
    """How a trunk's teachers are weighed: none: as their losses are; drop: some are left out of a
    step, never the worst; explained: by what their mean alone loses; uncertainty: learned."""
    losses: Annotated[tuple[str, ...], AfterValidator(_known)] = LOSSES
    """What is minimised, each as NAME=WEIGHT: l1, l2, smooth_l1, cosine, info_nce, vicreg,
    barlow_twins, linear_cka, relational; pooled_ before a name compares clips' mean tokens."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Passes over the training split."""
    batch: Annotated[int, Field(ge=1)] = 128
    """Clips of a batch, over all processes."""
    hold_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training groups kept back to select the epoch."""
    seed: int = 0
    """Decides initial weights and the order of clips."""

    # `given` is pydantic's ValidationInfo, a protocol that can't be checked at run time.
    @field_validator("trunk")
    @classmethod
    def _is_trained(cls, trunk: int, given: Any) -> int:  # noqa: ANN401
        """Refuse a trunk that nothing would train, before anything is read."""
        kind = given.data.get("kind")
        if trunk and kind in CLOSED_FORM:
            raise ConfigError(
                f"--kind {kind} is solved, but --trunk {trunk} would have to be trained: leave "
                f"--trunk out, or choose linear or another kind that is trained"
            )
        return trunk

    @field_validator("balance")
    @classmethod
    def _has_a_trunk(cls, balance: BalanceKind, given: Any) -> BalanceKind:  # noqa: ANN401
        """Refuse to weigh what shares nothing, before anything is read."""
        if balance != "none" and not given.data.get("trunk"):
            raise ConfigError(
                f"--balance {balance} weighs teachers against each other, but without a trunk they "
                f"share no weight: give --trunk 256, or leave --balance out"
            )
        return balance


class ConverterConfig(ConverterSettings):
    """Which features to read, and how to train converters on them."""

    features: Path
    """Feature store, or the folder that holds it."""
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Teachers to translate into."""
    dataset: str | None = None
    """Data set; needed only where the folder holds the stores of several."""
    split: str = "train"
    """Split to train on."""
    student: str | None = None
    """Backbone to translate from; the one that the store was extracted for, unless given."""
    d_in: int | None = None
    """The student's dimensions; the store knows them, so this only checks."""
    d_out: int | None = None
    """Every teacher's dimensions; the store knows them, so this only checks."""
    save_dir: Path = Path("checkpoints/converters")
    """Where converters_ep{N}.pt, converters.pt (each teacher's best epoch, or a trunk's),
    validation_metrics.csv (what polyspace select reads) and an unfinished run's state go."""


def run(config: ConverterConfig) -> Generator[Step, None, Path]:
    """Train; yield every step; return the checkpoint that holds what did best on the hold-out.

    Raises:
        StoreError: There is no such store, or it lacks one of the backbones.
        ConfigError: The settings don't fit the store.
        StoppedError: It was told to stop; run again, it goes on.
        RankError: Another of the processes that train together has ended.
    """
    device = precision.device_named(config.device)
    types = config.types()
    clips = StoredClips.find(
        config.features, dataset=config.dataset, split=config.split, device=device
    )
    with joined(device) as ranks:
        workload = _prepare(clips, config, ranks)
        return (yield from _train(workload, config, types, ranks))


def _train(
    workload: ConverterWorkload, config: ConverterConfig, types: Precision, ranks: Ranks
) -> Generator[Step, None, Path]:
    """Train to the end, or on to it; the first rank writes."""
    translator, device = workload.translator, workload.clips.device
    backbones = (translator.student_name, *config.teachers)
    record = provenance.of_run(config, workload.clips, backbones, types)
    solved = config.kind in CLOSED_FORM
    recipe = config.model_copy(update={"epochs": 0}) if solved else config
    training = Training(workload, recipe, precision=types, device=device, ranks=ranks)
    curves, kept = Curves(), kept_epochs.choices(translator)
    best = {name: choice.best for name, choice in kept.items()}
    keeper = Keeper(
        config.save_dir / "unfinished",
        {"training": training, "curves": curves, **{f"best {n}": b for n, b in best.items()}},
        identity(record, config, device),
        config,
        ranks,
    )
    with keeper:
        for step in until_stale(training.steps(), best.values(), config.early_stop):
            curves.add(step)
            if step.scores:
                for choice in kept.values():
                    choice.offer(step)
                if ranks.is_first:
                    _publish(translator, record, step, curves, config, training.steps_per_epoch)
            # Told first: what a stop keeps has been told, and what is told twice counts once.
            yield step
            keeper.after(step)
    scores = {name: r2 for choice in kept.values() for name, r2 in choice.restore().items()}
    path = config.save_dir / "converters.pt"
    if ranks.is_first:
        _save(path, translator, record, scores)
    keeper.finish()
    ranks.wait()
    return path


def main(config: ConverterConfig) -> None:
    """Train, and say what came of it and what comes next."""
    path = console.show(run(config), "train converters")
    for teacher, score in checkpoint.load(path, "converters")["scores"].items():
        console.say(f"{teacher}: {score:.1%} of its variance explained on held-out groups")
    console.say(f"wrote {path}")
    console.say(f"next: python -m polyspace.train.train_fusion --converters {path} …")


def _prepare(clips: StoredClips, config: ConverterConfig, ranks: Ranks) -> ConverterWorkload:
    """Make the converters and start them at their closed-form solutions."""
    student = config.student or clips.student
    torch.manual_seed(derive(config.seed, "converters"))
    translator = Translator(student, _specs(clips, student, config)).to(clips.device)
    rows = clips.rows((student, *config.teachers))
    division = divide(clips, rows, share=config.hold_out, seed=config.seed)
    # Made first, because it refuses batches that are too small before anything is read.
    workload = ConverterWorkload(
        translator,
        clips,
        division,
        losses=LossMix.parse(config.losses),
        batch=config.batch,
        seed=config.seed,
        ranks=ranks,
        balance=config.balance,
    )
    with torch.no_grad():
        fit.start(translator, clips, division, shrinkage=config.shrinkage)
    workload.start_balance()
    return workload


def _specs(clips: StoredClips, student: str, config: ConverterConfig) -> dict[str, ConverterSpec]:
    """Describe one converter a teacher, after checking the dimensions that the user expects."""
    _check_dim("--d_in", config.d_in, student, clips.shape(student).dim)
    for teacher in config.teachers:
        _check_dim("--d_out", config.d_out, teacher, clips.shape(teacher).dim)
    return {
        teacher: ConverterSpec(
            source=clips.shape(student),
            target=clips.shape(teacher),
            kind=config.kind,
            reach=config.reach,
            hidden=config.hidden,
            normalizer=config.normalizer,
            trunk=config.trunk,
        )
        for teacher in config.teachers
    }


def _check_dim(flag: str, expected: int | None, backbone: str, found: int) -> None:
    if expected not in (None, found):
        raise ConfigError(
            f"{flag} {expected}, but the store holds {backbone} with {found} dimensions: "
            f"leave {flag} out, the store knows"
        )


def _publish(
    translator: Translator,
    record: Mapping[str, Any],
    step: Step,
    curves: Curves,
    config: ConverterConfig,
    steps_per_epoch: int,
) -> None:
    """Write an epoch's checkpoint and the curves so far; remove what is not worth keeping."""

    def path(epoch: int) -> Path:
        return config.save_dir / f"converters_ep{epoch}.pt"

    _save(path(step.epoch), translator, record, step.scores)
    curves.write(config.save_dir / "curves.json")
    scores = {int(e["epoch"]): (e["r2"],) for e in curves.epochs}
    validation.record(
        config.save_dir,
        curves.epochs,
        step,
        kept=worth_keeping(scores, config.keep_best),
        steps_per_epoch=steps_per_epoch,
        path=path,
    )
    prune(scores, config.keep_best, path)


def _save(
    path: Path, translator: Translator, record: Mapping[str, Any], scores: Mapping[str, float]
) -> Path:
    content = {**translator.record(), "scores": dict(scores), "provenance": dict(record)}
    return checkpoint.save(path, "converters", content)


if __name__ == "__main__":
    console.run(ConverterConfig, main)
