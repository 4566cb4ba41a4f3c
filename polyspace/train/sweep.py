"""A sweep: one stage trained again and again with other settings, judged by the hold-out alone."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field
from tyro.conf import arg, subcommand

from polyspace.config import Config
from polyspace.console import Advance
from polyspace.engine import checkpoint
from polyspace.engine.keeper import KeepSettings
from polyspace.errors import ConfigError
from polyspace.train import search, train_converter, train_fusion
from polyspace.train.search import Point, Range, Space
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig

StageConfig = FusionConfig | ConverterConfig
StageName = Literal["fusion", "converter"]
ScoreName = Literal["top1", "r2"]

_SAME_CLIPS = "all trials have to be scored on the same clips, so give it once, with the stage"
_NO_EFFECT = "it decides no score"
_KEPT: Mapping[str, str] = {
    **dict.fromkeys(KeepSettings.model_fields, _NO_EFFECT),
    **dict.fromkeys(("dataset", "split", "hold_out"), _SAME_CLIPS),
    "seed": "--seeds repeats every setting",
    "save_dir": "trials lie under --out",
}
_OTHER_SCORE = "it changes what is explained, so that R² of two trials would not be comparable"
FIXED: Mapping[StageName, Mapping[str, str]] = {
    "fusion": {
        **_KEPT,
        **dict.fromkeys(("root", "cached_features_path", "classes"), _SAME_CLIPS),
        **dict.fromkeys(("use_cached_features", "features_fp16"), _NO_EFFECT),
        **dict.fromkeys(("frames", "workers", "weights"), _NO_EFFECT),
    },
    "converter": {
        **_KEPT,
        "features": _SAME_CLIPS,
        **dict.fromkeys(("d_in", "d_out"), _NO_EFFECT),
        **dict.fromkeys(("teachers", "normalizer", "shrinkage"), _OTHER_SCORE),
    },
}
"""Settings that a sweep doesn't search, with the reason."""


class SweepConfig(Config):
    """Which stage is trained with which settings, and how they are chosen."""

    stage: Annotated[
        Annotated[FusionConfig, subcommand("fusion")]
        | Annotated[ConverterConfig, subcommand("converter")],
        arg(name=""),
    ]
    """The stage, and the settings that all trials share."""
    search: Annotated[tuple[str, ...], Field(min_length=1)]
    """What is searched, of the stage's options: lr=1e-4..1e-2:log rank=16,64,256."""
    out: Path = Path("runs/sweep")
    """Folder for the study, the trials and the table."""
    method: Literal["tpe", "grid"] = "tpe"
    """tpe: trials that Optuna proposes, each from what was found before; grid: every combination
    of lists, once."""
    trials: Annotated[int, Field(ge=1)] = 20
    """Settings that tpe tries; more of them go on with a study that has ended."""
    seeds: Annotated[int, Field(ge=1)] = 1
    """Seeds that every setting is repeated with; each draws weights, order and hold-out anew."""
    prune: bool = True
    """End a trial whose best epoch so far is below the median of what others had by then."""
    prune_after_trials: Annotated[int, Field(ge=1)] = 5
    """Complete trials that there have to be before one is pruned."""
    prune_after_epochs: Annotated[int, Field(ge=1)] = 3
    """Epochs that every trial is given."""

    @property
    def stage_name(self) -> StageName:
        """Say which stage is trained."""
        return "fusion" if isinstance(self.stage, FusionConfig) else "converter"

    @property
    def score(self) -> ScoreName:
        """Name the one number that proposes, prunes and ranks; top-1 ties go by likelihood."""
        return "top1" if isinstance(self.stage, FusionConfig) else "r2"

    @property
    def features(self) -> Path:
        """Say where the feature stores are."""
        if isinstance(self.stage, ConverterConfig):
            return self.stage.features
        return self.stage.cached_features_path or self.stage.root

    def space(self) -> Space:
        """Read what is searched.

        Raises:
            ConfigError: It can't be searched; the message says what can.
        """
        stage, default = self.stage, type(self.stage).model_fields["save_dir"].default
        if isinstance(stage, FusionConfig) and not stage.use_cached_features:
            raise ConfigError(
                "a sweep reads features, so that videos are not decoded for every trial: run "
                "polyspace.data.featurize once, and give --use_cached_features"
            )
        if stage.save_dir != default:
            raise ConfigError(f"--save-dir {stage.save_dir} has no use: trials lie under --out")
        space = search.parse(self.search, type(stage), FIXED[self.stage_name])
        ranges = [str(part) for part in space.settings if isinstance(part, Range)]
        if self.method == "grid" and ranges:
            raise ConfigError(f"a grid takes lists, {ranges[0]} is a range: give NAME=A,B,C")
        return space

    def trial(self, point: Point, *, seed: int, folder: Path) -> StageConfig:
        """Give the stage's config at one point.

        Raises:
            ConfigError: The settings don't go together.
        """
        return search.replaced(
            self.stage,
            {
                **self.space().values(point),
                "seed": self.stage.seed + seed,
                "save_dir": folder,
                "keep_best": self.stage.keep_best or 1,
            },
        )


@dataclass(frozen=True)
class Result:
    """What one training of a trial came to."""

    scores: Mapping[str, float]
    """On the hold-out, of the epoch that was kept; the one that ranks is the first."""
    checkpoint: Path


def run(config: StageConfig) -> Generator[Advance, None, Path]:
    """Train the stage; give its checkpoint."""
    if isinstance(config, FusionConfig):
        return train_fusion.run(config)
    return train_converter.run(config)


def result(config: StageConfig, path: Path) -> Result:
    """Read what a checkpoint scored."""
    if isinstance(config, FusionConfig):
        found = checkpoint.load(path, "fusion")["scores"]
        return Result({name: found[name] for name in ("top1", "log_likelihood")}, path)
    found = checkpoint.load(path, "converters")["scores"]
    each = {f"r2/{name}": value for name, value in found.items()}
    return Result({"r2": fmean(each.values()), **each}, path)
