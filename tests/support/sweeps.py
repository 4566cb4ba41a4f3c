"""Small sweeps; ``python -m tests.support.sweeps FILE`` runs the trials of one in a JSON file."""

import sys
from pathlib import Path

from polyspace.train import train_converter
from polyspace.train.sweep import SweepConfig
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tasks import sweeps
from tasks.tracking import Tracker
from tests.support.stores import make_store

UNTRACKED = Tracker(enabled=False)


def make_inputs(folder: Path) -> Path:
    """Write a store, and converters that are solved in closed form; give the folder."""
    make_store(folder / "features", "train", clips=48, groups=12)
    for _ in train_converter.run(converter_stage(folder, save_dir=folder / "converters")):
        pass
    return folder


def converter_stage(folder: Path, **changes) -> ConverterConfig:
    settings = {
        "features": folder / "features",
        "teachers": ("flow", "look"),
        "kind": "ridge",
        "device": "cpu",
        "batch": 16,
        "epochs": 2,
        "hidden": 8,
    }
    return ConverterConfig.model_validate(settings | changes)


def fusion_stage(folder: Path, **changes) -> FusionConfig:
    settings = {
        "dataset": "toy",
        "root": folder / "features",
        "student": "stu",
        "teachers": ("flow", "look"),
        "converters": folder / "converters" / "converters.pt",
        "classes": 3,
        "use_cached_features": True,
        "device": "cpu",
        "epochs": 2,
        "rank": 4,
    }
    return FusionConfig.model_validate(settings | changes)


def four_points(inputs: Path, out: Path) -> SweepConfig:
    """Describe a grid of two by two fusions."""
    return SweepConfig(
        stage=fusion_stage(inputs),
        search=("rank=2,4", "dropout=0.1,0.5"),
        out=out,
        method="grid",
        prune=False,
    )


def typed(config: SweepConfig, *more: str) -> list[str]:
    """Give the command line of a sweep of fusions by a grid."""
    stage = config.stage
    assert isinstance(stage, FusionConfig)
    options = ["--out", str(config.out), "--method", "grid", "--no-prune", *more]
    given = {
        "dataset": stage.dataset,
        "root": stage.root,
        "student": stage.student,
        "converters": stage.converters,
        "classes": stage.classes,
        "epochs": stage.epochs,
        "device": stage.device,
    }
    shared = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    teachers = ["--teachers", *stage.teachers, "--use_cached_features"]
    return ["--search", *config.search, *options, "fusion", *shared, *teachers]


if __name__ == "__main__":
    whole = SweepConfig.model_validate_json(Path(sys.argv[1]).read_text())
    if "tracked" in sys.argv:
        sweeps.drain(whole, Tracker())
        sweeps.conclude.fn(whole)
    else:
        sweeps.drain(whole, UNTRACKED)
