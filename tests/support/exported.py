"""Models that could have been trained, with stores and checkpoints: ready to be exported."""

from dataclasses import dataclass
from pathlib import Path

import torch

from polyspace.engine import checkpoint
from polyspace.export import source
from polyspace.export.bundle import ExportConfig
from polyspace.export.formats import weights
from polyspace.export.formats.kinds import FormatName, Subject
from polyspace.export.source import CPU, Answers, Source
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.train.sources import StoredClips
from tests.support.stores import STUDENT, TEACHERS, make_store

CLASSES = ("c0", "c1", "c2")


@dataclass(frozen=True)
class Exportable:
    """Stores of train and test, and checkpoints of models over them."""

    features: Path
    converters: Path
    fusion: Path

    def config(self, out: Path, **changes) -> ExportConfig:
        """Say how to export them: on the CPU, and without what takes time."""
        settings = {
            "converters": self.converters,
            "fusion": self.fusion,
            "features": self.features,
            "out": out,
            "device": "cpu",
            "measure": False,
        }
        return ExportConfig.model_validate(settings | changes)

    def source(self) -> Source:
        """Read them."""
        return Source.read(self.converters, self.fusion)

    def clips(self, split: str = "test") -> StoredClips:
        """Open a store."""
        return StoredClips.find(self.features, dataset="toy", split=split, device=CPU)

    def subject(self, *, count: int = 8) -> Subject:
        """Give what is to leave."""
        return source.subject(self.source(), "tokens", self.clips("train"), count=count, keep=())


def exportable(folder: Path, *, seed: int = 0, views: int = 1) -> Exportable:
    """Write stores and checkpoints; the stores are the same whatever the seed."""
    for split, clips, groups in (("train", 24, 6), ("test", 36, 9)):
        make_store(folder / "features", split, clips=clips, groups=groups, views=views)
    return with_checkpoints(folder, folder / "features", drawn(seed=seed))


def with_checkpoints(folder: Path, features: Path, model: Distilled) -> Exportable:
    """Write a model as trainings do, beside stores that are there."""
    provenance = {"provenance": {"config": {}, "dataset": "toy"}}
    head = model.fusion.record() | {"converters": model.translator.fingerprint()}
    return Exportable(
        features,
        checkpoint.save(
            folder / "converters.pt", "converters", model.translator.record() | provenance
        ),
        checkpoint.save(folder / "fusion.pt", "fusion", head | provenance),
    )


def drawn(*, seed: int = 0, trunk: int = 0) -> Distilled:
    """Give a model of drawn weights, none of which is without effect."""
    student = TokenShape(*STUDENT[1:])
    teachers = {name: TokenShape(*shape) for name, shape in TEACHERS.items()}
    converters = {
        name: ConverterSpec(
            source=student, target=shape, kind="residual_mlp", reach=1, hidden=8, trunk=trunk
        )
        for name, shape in teachers.items()
    }
    head = FusionSpec(student=student, teachers=teachers, class_names=CLASSES, rank=4, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Distilled(Translator(STUDENT[0], converters), Fusion(head)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def back_from(name: FormatName, model: Distilled, folder: Path) -> Distilled:
    """Write a model's weights in a format, and read them back."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.write(name, Subject(model, "tokens", Answers(model), torch.zeros(0)), folder)
    loaded = weights.load(name, folder, model.specs(), CPU)
    assert isinstance(loaded.module, Distilled)
    return loaded.module
