"""The whole pipeline, videos to report: ``python -m flows.distill``."""

import time
from pathlib import Path
from typing import Annotated, Any

import tyro
from prefect import flow
from pydantic import Field, JsonValue

from flows import temporary
from polyspace import console
from polyspace.config import Config
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.export.bundle import EVERYWHERE, ExportConfig, ExportSettings
from polyspace.export.formats.kinds import FormatName
from polyspace.train.evaluate import EvaluateConfig
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.train_converter import ConverterConfig, ConverterSettings
from polyspace.train.train_fusion import FusionConfig
from tasks import (
    bundles,
    caching,
    converters,
    evaluation,
    features,
    fusion,
    lineage,
    models,
    names,
    reports,
    summaries,
    tracking,
)
from tasks.reports import Results
from tasks.tracking.registration import RegisterConfig


class DistillConfig(Config):
    """Distil several backbones into one, and say honestly whether it helped.

    What has been made already, from the same settings and inputs, is not made again.
    """

    dataset: str = "motion"
    """Name of the data set, out of `polyspace data list`; motion is a demo set, rendered first."""
    root: Path = Path("runs/motion")
    """Folder of the videos."""
    student: str = "transnetv2"
    """Backbone that runs at inference."""
    teachers: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "motion_vectors",
        "efficientnet_lite0",
    )
    """Backbones whose features the student's are translated into."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER of a backbone's weights; NAME=random-tiny for a trial."""
    out: Path = Path("runs/demo")
    """Folder for everything that is made."""
    frames: Annotated[int, Field(ge=1)] = 16
    """Frames of a clip; a backbone whose number is fixed takes its own."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode videos."""
    converter: ConverterSettings = ConverterSettings(batch=64)
    """How converters are trained."""
    fusion: FusionSettings = FusionSettings(epochs=30, early_stop=8)
    """How the fusion head is trained."""
    export: ExportSettings = ExportSettings(formats=EVERYWHERE, refused="report")
    """In which forms the models leave."""
    register_as: FormatName = "fp16"
    """The format that MLflow's model registry gets, where runs are tracked."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Seeds that the fusion and everything beside it are trained with, to be compared."""
    seed: int = 0
    """Added to the stages' own seeds: one number to repeat everything with other draws."""
    track: bool = True
    """Record the runs in MLflow; the results are the same without."""
    force: bool = False
    """Make everything again, whatever is there."""

    def extraction(self) -> FeaturizeConfig:
        """Say how features are extracted."""
        return FeaturizeConfig(
            dataset=self.dataset,
            root=self.root,
            student=self.student,
            teachers=self.teachers,
            weights=self.weights,
            frames=self.frames,
            workers=self.workers,
            out=self.out / "features",
        )

    def translation(self, stores: Path) -> ConverterConfig:
        """Say how converters are trained on the features."""
        settings: dict[str, Any] = dict(self.converter)
        settings["seed"] += self.seed
        return ConverterConfig(
            **settings,
            features=stores,
            dataset=self.dataset,
            student=self.student,
            teachers=self.teachers,
            save_dir=self.out / "converters",
        )

    def combination(self, stores: Path, translator: Path, classes: int) -> FusionConfig:
        """Say how the head is trained on the translated features."""
        settings: dict[str, Any] = dict(self.fusion)
        settings["seed"] += self.seed
        return FusionConfig(
            **settings,
            dataset=self.dataset,
            root=stores,
            use_cached_features=True,
            student=self.student,
            teachers=self.teachers,
            converters=translator,
            classes=classes,
            save_dir=self.out / "fusion",
        )

    def assessment(self, stores: Path, translator: Path, head: Path) -> EvaluateConfig:
        """Say how everything is scored."""
        return EvaluateConfig(
            dataset=self.dataset,
            features=stores,
            student=self.student,
            teachers=self.teachers,
            converters=translator,
            fusion=head,
            root=self.root,
            weights=self.weights,
            seeds=self.seeds,
            out=self.out / "evaluation",
            seed=self.seed,
        )

    def packing(self, stores: Path, translator: Path, head: Path, table: Path) -> ExportConfig:
        """Say how the models are exported."""
        return ExportConfig(
            **dict(self.export),
            converters=translator,
            fusion=head,
            features=stores,
            dataset=self.dataset,
            evaluation=table.parent,
            out=self.out / "bundles",
        )

    def registration(self, stores: Path) -> RegisterConfig:
        """Say which bundle is registered as a model."""
        return RegisterConfig(bundle=self.out / "bundles" / self.register_as, features=stores)


@flow(name="distill", flow_run_name=names.of_flow("distill"))
def distill(config: DistillConfig) -> Path:
    """Run the whole pipeline, each stage if its result isn't there; return the report.

    Args:
        config: Which clips and backbones, how to train, and where everything goes.
    """
    with tracking.pipeline("distill", config, config.dataset, enabled=config.track) as tracker:
        stores = features.extract(config.extraction(), tracker)
        classes = features.count_classes(stores)
        translator = converters.train(config.translation(stores), tracker)
        head = fusion.train(config.combination(stores, translator, classes), tracker)
        table = evaluation.score(config.assessment(stores, translator, head), tracker)
        exported = bundles.export_all(config.packing(stores, translator, head, table), tracker)
        models.offer(config.registration(stores), tracker)
        results = Results(stores, translator, head, table, exported)
        return reports.write(results, config.out, tracker)


def main(config: DistillConfig) -> None:
    """Run the flow unless nothing has changed since it last ended, and sum up what it came to."""
    if config.force:
        caching.forget(config.out)
    console.show(featurize.prepare(config.extraction()), "render")
    inputs = _inputs(config)
    finished = caching.verified(config.out, inputs)
    if finished is None:
        started = time.monotonic()
        temporary.server()
        report = distill(config)
        seconds = time.monotonic() - started
        caching.seal(config.out, inputs, result=report, seconds=seconds)
    else:
        report = config.out / finished.result
        console.say(f"nothing changed since {finished.finished_at}: every artefact was verified")
    summaries.say(report)


def _inputs(config: DistillConfig) -> dict[str, JsonValue]:
    """Name everything that decides the pipeline's results."""
    settings = config.model_dump(mode="json", exclude={"workers", "track", "force"})
    videos = lineage.videos(config.dataset, config.root, ())
    return {"config": settings, **{source.name: source.digest for source in videos}}


if __name__ == "__main__":
    console.run(DistillConfig, main)
