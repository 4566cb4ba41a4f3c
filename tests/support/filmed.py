"""Features that real backbones made of real, small videos, and a model on top of them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.train.sources import StoredClips
from tests.support.stages import finish
from tests.support.ucf101 import make_ucf101

STUDENT, TEACHERS = "motion_vectors", ("transnetv2",)
"""In this order because the first one takes no time, and most paths run it."""


@dataclass(frozen=True)
class Filmed:
    """Videos and their features."""

    root: Path
    features: Path

    def clips(self) -> StoredClips:
        """Open the test split: four clips of two classes."""
        return StoredClips.find(
            self.features, dataset="ucf101", split="test", device=torch.device("cpu")
        )


def film(folder: Path, **settings) -> Filmed:
    """Write videos, and let the backbones see the test split, four frames a clip."""
    root = make_ucf101(folder / "videos")
    config = {
        "dataset": "ucf101",
        "root": root,
        "split": ("test",),
        "out": folder / "features",
        "student": STUDENT,
        "teachers": TEACHERS,
        "frames": 4,
        "device": "cpu",
        "workers": 0,
    }
    finish(featurize.run(FeaturizeConfig.model_validate(config | settings)))
    return Filmed(root, folder / "features")


def distil(clips: StoredClips, teachers: tuple[str, ...]) -> Distilled:
    """Give a model over these features, of drawn weights that are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        source = clips.shape(clips.student)
        targets = {name: clips.shape(name) for name in teachers}
        specs = {
            name: ConverterSpec(source=source, target=target, kind="linear", reach=1, hidden=8)
            for name, target in targets.items()
        }
        spec = FusionSpec(
            student=source,
            teachers=targets,
            class_names=clips.class_names,
            rank=4,
            dropout=0.0,
        )
        model = Distilled(Translator(clips.student, specs), Fusion(spec)).eval()
        for parameter in model.fusion.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model
