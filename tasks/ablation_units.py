"""The units of an ablation: one variation with one seed, trained and scored as stages are.

Units share what they have in common: whatever is made of the same settings, seed and features
lies in one folder, which is named after them, and its receipt proves it done.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.engine.keeper import KeepSettings
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import ablation_score, train_converter, train_fusion, train_student
from polyspace.train.ablation import AblationConfig, Variation
from polyspace.train.ablation_results import Trained
from polyspace.train.ablation_score import ScoreConfig
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from polyspace.train.train_student import StudentConfig
from tasks import caching, converters, fusion, lineage, stages
from tasks.looks import Look
from tasks.stages import Stage, Work
from tasks.tracking import Record, Tracker

DIGITS = 12
"""Of the digest that names a folder."""


@dataclass(frozen=True)
class Unit:
    """One variation with one seed."""

    config: AblationConfig
    variation: Variation
    seed: int
    features: Path
    """Folder of the stores that it is trained and scored on."""
    train: FeatureStore
    """The one that it is trained on."""
    tracker: Tracker

    @property
    def device(self) -> Any:  # noqa: ANN401
        """Name where fusions compute."""
        return self.variation.fusion.device

    def folder(self, what: str, config: Config, *made_of: Path) -> Path:
        """Name the folder of what is made of some settings, features and checkpoints."""
        said: dict[str, Any] = {
            name: value
            for name, value in config.model_dump(mode="json").items()
            if name not in KeepSettings.model_fields and not isinstance(getattr(config, name), Path)
        }
        said["features"] = self.train.fingerprint
        said["made of"] = [path.parent.name for path in made_of]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return self.config.out / what / digest[:DIGITS]


def run(unit: Unit) -> Trained:
    """Train and score a variation with one seed, and the student alone beside it.

    Raises:
        PolySpaceError: The settings come to nothing.
        StoppedError: It was told to stop; run again, it goes on.
    """
    translator = _converters(unit)
    head = _fusion(unit, translator)
    alone = _student(unit)
    hidden, views = unit.variation.without, unit.variation.views
    score = _score(unit, head, converters=translator, without=hidden, views=views)
    student = _score(unit, alone, views=views)
    return Trained(
        seed=unit.seed,
        score=score.parent.relative_to(unit.config.out).as_posix(),
        student=student.parent.relative_to(unit.config.out).as_posix(),
        r2=_explained(unit, translator),
        held_top1=checkpoint.load(head, "fusion")["scores"]["top1"],
        seconds=_seconds(translator) + _seconds(head),
    )


def _converters(unit: Unit) -> Path:
    """Train the converters of all teachers of the base, unless a trunk ties them together."""
    asked, settings = unit.config, unit.variation.converter
    config = ConverterConfig(
        **_kept(settings, unit.seed),
        features=unit.features,
        dataset=asked.dataset,
        split=asked.train_split,
        student=asked.student,
        teachers=unit.variation.teachers if settings.trunk else asked.teachers,
    )
    config = config.model_copy(update={"save_dir": unit.folder("converters", config)})
    stage = _named(converters.stage(config), unit, "converters")
    return stages.run(stage, train_converter.run(config), unit.tracker, quiet=True)


def _fusion(unit: Unit, translator: Path) -> Path:
    config = FusionConfig(
        **_kept(unit.variation.fusion, unit.seed),
        **_source(unit),
        teachers=unit.variation.teachers,
        converters=translator,
    )
    config = config.model_copy(update={"save_dir": unit.folder("fusions", config, translator)})
    stage = _named(fusion.stage(config), unit, "fusion")
    return stages.run(stage, train_fusion.run(config), unit.tracker, quiet=True)


def _student(unit: Unit) -> Path:
    """Train the student alone; what is between it and teachers changes nothing of it."""
    settings = unit.variation.fusion.model_copy(
        update={
            name: FusionSettings.model_fields[name].default
            for name in ("join", "rank", "teacher_dropout")
        }
    )
    config = StudentConfig(**_kept(settings, unit.seed), **_source(unit))
    config = config.model_copy(update={"save_dir": unit.folder("students", config)})
    store = find_store(unit.features, config.dataset, config.split)
    stage = Stage(
        name="train_student",
        config=config,
        dataset=config.dataset,
        folder=config.save_dir,
        sources=(lineage.store(store),),
        keep=("student.pt", "curves.json"),
    )
    return stages.run(
        _named(stage, unit, "student"), train_student.run(config), unit.tracker, quiet=True
    )


def _score(
    unit: Unit,
    head: Path,
    *,
    converters: Path | None = None,
    without: tuple[str, ...] = (),
    views: int | None = None,
) -> Path:
    """Score one model once on the test split."""
    asked = unit.config
    config = ScoreConfig(
        features=unit.features,
        dataset=asked.dataset,
        split=asked.split,
        student=asked.student,
        converters=converters,
        head=head,
        without=without,
        views=views,
        device=unit.device,
        out=asked.out,
    )
    config = config.model_copy(update={"out": unit.folder("scores", config, head)})
    test = lineage.store(find_store(unit.features, asked.dataset, asked.split))
    model = lineage.checkpoint(head, head.stem)
    others = () if converters is None else (lineage.checkpoint(converters, "converters"),)
    look = Look(model=model.digest, test=test.digest, dataset=asked.dataset, split=asked.split)
    stage = Stage(
        name="score",
        config=config,
        dataset=asked.dataset,
        folder=config.out,
        sources=(test, *others, model),
        keep=(ablation_score.RECORD,),
        figures=(ablation_score.RECORD,),
    )
    what = "score of student" if converters is None else "score"

    def work(record: Record) -> Work:
        # Whoever evaluates on this split later is told of it.
        record.tags(look.tags)
        return ablation_score.run(config)

    return stages.run(_named(stage, unit, what), work, unit.tracker, quiet=True)


def _kept(settings: KeepSettings, seed: int) -> dict[str, Any]:
    """Give settings with a seed; of checkpoints, the best alone is worth its place."""
    return {**dict(settings), "seed": seed, "keep_best": settings.keep_best or 1}


def _source(unit: Unit) -> dict[str, Any]:
    """Say what fusion and student are trained on."""
    asked = unit.config
    return {
        "dataset": asked.dataset,
        "root": unit.features,
        "use_cached_features": True,
        "student": asked.student,
        "split": asked.train_split,
        "classes": len(unit.train.class_names),
    }


def _named(stage: Stage, unit: Unit, what: str) -> Stage:
    """Call a stage after what it makes and the seed; variations share it."""
    return replace(stage, name=f"{what}, seed {unit.seed}", title="")


def _explained(unit: Unit, path: Path) -> dict[str, float]:
    scores = checkpoint.load(path, "converters")["scores"]
    return {name: scores[name] for name in unit.variation.teachers}


def _seconds(path: Path) -> float:
    receipt = caching.read(path.parent)
    return receipt.seconds if receipt else 0.0
