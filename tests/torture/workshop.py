"""Real work for machines that are lost at it, and what comes of it where nobody disturbs it."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from polyspace import console
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.engine import checkpoint
from polyspace.store.difference import compare
from polyspace.train import train_converter
from polyspace.train.train_converter import ConverterConfig
from tests.support.stores import make_store
from tests.support.ucf101 import make_ucf101
from tests.torture.specimen import ledger_lines


@dataclass(frozen=True)
class Work:
    """A training or an extraction, as a run does it."""

    config: ConverterConfig | FeaturizeConfig
    folder: Path
    """Where the result goes."""

    @property
    def is_training(self) -> bool:
        """Whether there is a model in the end."""
        return isinstance(self.config, ConverterConfig)

    @property
    def deployment(self) -> str:
        """Name what a worker is told to run."""
        return f"{'train_converter' if self.is_training else 'extract_features'}/local-cpu"

    def has_begun(self) -> bool:
        """Tell whether something is done that a later attempt can go on from."""
        if self.is_training:
            return any(self.folder.glob("unfinished/run_*.pt"))
        return any(ledger_lines(store) for store in self.folder.glob("*.zarr"))


@dataclass(frozen=True)
class Workshop:
    """Where work is done."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Workshop":
        """Make what there is to work on, and do one work of each kind undisturbed."""
        made = cls(folder)
        make_ucf101(folder / "videos", groups=4, clips=3)
        student, teachers = ("transnetv2", 4, 4, 6), {"motion_vectors": (4, 4, 3)}
        features = folder / "features"
        make_store(features, "train", clips=160, student=student, teachers=teachers)
        for kind in (made._training, made._extraction):
            work = kind("whole")
            if isinstance(work.config, ConverterConfig):
                console.show(train_converter.run(work.config), "train")
            else:
                console.show(featurize.run(work.config), "extract")
        return made

    def work(self, number: int) -> Work:
        """Give work whose result has a folder of its own."""
        name = f"loss-{number}"
        return self._training(name) if number % 2 else self._extraction(name)

    def differences(self, work: Work) -> Iterator[str]:
        """Say how a result differs from the undisturbed one."""
        whole = self.folder / "whole" / work.folder.name
        if work.is_training:
            if _model(work.folder) != _model(whole):
                yield f"{work.folder}: the model differs from the undisturbed one"
            if (work.folder / "curves.json").read_bytes() != (whole / "curves.json").read_bytes():
                yield f"{work.folder}: the curves differ from the undisturbed ones"
        for store in whole.glob("*.zarr"):
            for line in compare(work.folder / store.name, store).lines:
                yield f"{work.folder}: {line}"

    def _training(self, name: str) -> Work:
        place = self.folder / name / "converters"
        return Work(
            ConverterConfig(
                features=self.folder / "features",
                dataset="toy",
                student="transnetv2",
                teachers=("motion_vectors",),
                epochs=40,
                batch=4,
                save_every_steps=40,
                keep_best=2,
                save_dir=place,
            ),
            place,
        )

    def _extraction(self, name: str) -> Work:
        place = self.folder / name / "features"
        return Work(
            FeaturizeConfig(
                dataset="ucf101",
                split=("train",),
                root=self.folder / "videos",
                student="efficientnet_lite0",
                teachers=("motion_vectors",),
                frames=24,
                workers=1,
                shard_size=2,
                out=place,
            ),
            place,
        )


def _model(folder: Path) -> bytes:
    """Give the bytes of a model, but for the name of its folder, which it remembers."""
    content = checkpoint.load(folder / "converters.pt", "converters")
    del content["provenance"]["config"]["save_dir"]
    written = io.BytesIO()
    torch.save(content, written)
    return written.getvalue()
