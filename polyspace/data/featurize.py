"""Run every backbone once over every clip of a data set, and keep what it saw.

``python -m polyspace.data.featurize --dataset ucf101 --root UCF101 --student vjepa2
--teachers videomae timesformer --out ./features``
"""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from polyspace import console
from polyspace.config import Config
from polyspace.data.datasets import motion, registry
from polyspace.data.extraction import Extraction, Setup, Spatial, extract
from polyspace.errors import ConfigError, UnknownNameError
from polyspace.models.backbones import registry as backbones
from polyspace.models.backbones.protocol import Backbone
from polyspace.precision import DeviceName, FeatureType, choose, device_named, resolve
from polyspace.progress import Progress
from polyspace.store.reader import FeatureStore

CLIPS_PER_CHUNK = 256

Stage = Generator[Progress | Extraction, None, tuple[Path, ...]]


class FeaturizeConfig(Config):
    """Run every backbone once over every clip of a data set, and keep what it saw.

    What is finished already is not done again: run the same command to go on after a stop, or name
    further teachers to add them.
    """

    dataset: str
    """ucf101, folder-of-classes, or motion (a demo set that is rendered first)."""
    root: Path
    """Folder of the data set."""
    split: str | None = None
    """train, test or validation; of ucf101 also train02 and the like. None: train and test."""
    out: Path = Path("features")
    """Folder for the feature stores, <dataset>_<split>.zarr."""
    student: str = "vjepa2"
    """Backbone that runs at inference, too."""
    teachers: tuple[str, ...] = ("videomae", "timesformer", "vivit")
    """Backbones whose features the student's are translated into; may be empty."""
    batch: Annotated[int, Field(ge=1)] = 2
    """Clips that a backbone sees at a time."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode; with 0 decoding and encoding take turns."""
    frames: Annotated[int, Field(ge=1)] = 16
    """Frames of a clip; a backbone whose number is fixed takes its own."""
    shard_size: Annotated[int, Field(ge=0)] = 0
    """Clips of a chunk at most, which is what a kill costs at worst. 0: 256."""
    fp16: bool = False
    """Store float16, which is the default anyway."""
    storage: FeatureType = "float16"
    """Type that features are stored in. scaled: float16 times a power of two, which holds any
    finite value; int8: one byte a value, with an error of up to half a step."""
    spatial: Spatial = "2"
    """Tokens along each side of the picture at each temporal position."""
    weights: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """NAME=FOLDER of a backbone's weights; NAME=random-tiny for a trial."""
    device: DeviceName = "auto"
    """Where backbones run; auto: cuda if there is one."""
    use_amp: bool = False
    """Compute in float16."""
    use_bf16: bool = False
    """Compute in bfloat16."""


def run(config: FeaturizeConfig) -> Stage:
    """Extract; yield signs of life; return the stores, one for each split.

    Raises:
        ConfigError: Options contradict each other, or name something that doesn't exist.
        DatasetError: The data set is not laid out as it should be, or holds nothing to decode.
        WeightsError: A backbone's weights were not found.
        StoreError: The store there holds something else.
    """
    names, setup = _backbone_names(config), _setup(config)
    weights = dict(_weights(entry) for entry in config.weights)
    yield from prepare(config)
    splits = (config.split,) if config.split else registry.splits(config.dataset, config.root)
    manifests = {split: registry.read(config.dataset, config.root, split) for split in splits}
    loaded: list[Backbone] = [
        backbones.load(name, weights=weights, frames=config.frames, device=setup.device)
        for name in names
    ]
    stores: list[Path] = []
    for split, manifest in manifests.items():
        store = yield from extract(
            manifest,
            loaded,
            setup,
            split=split,
            path=config.out / f"{config.dataset}_{split}.zarr",
            clips_per_chunk=config.shard_size or CLIPS_PER_CHUNK,
        )
        stores.append(store)
    return tuple(stores)


def prepare(config: FeaturizeConfig) -> Generator[Progress]:
    """Render the demo data set, if that is the one and it isn't there; `run` does it by itself."""
    if config.dataset == motion.NAME:
        settings = motion.settings_of(config.root) or motion.MotionSettings()
        yield from motion.render(config.root, settings, processes=max(config.workers, 1))


def main() -> None:
    """Run from the command line."""
    console.run(FeaturizeConfig, _main)


def _main(config: FeaturizeConfig) -> None:
    if config.fp16:
        console.say("--fp16: features are stored as float16 anyway, there is nothing to switch on")
    last: dict[str, Extraction] = {}
    stores = console.show(_remember(run(config), last), "extracting")
    for path in stores:
        store = FeatureStore.open(path)
        _describe(store, last.get(store.split))
    if config.teachers:
        console.say(
            f"next: python -m polyspace.train.train_converter --features {config.out} "
            f"--student {config.student} --teachers {' '.join(config.teachers)}"
        )


def _remember(stage: Stage, last: dict[str, Extraction]) -> Stage:
    """Pass a stage on, and keep the last word on each split."""
    while True:
        try:
            state = next(stage)
        except StopIteration as end:
            return end.value
        if isinstance(state, Extraction):
            last[state.split] = state
        yield state


def _describe(store: FeatureStore, last: Extraction | None) -> None:
    """Say what a store holds, and what it doesn't."""
    coverage = store.coverage
    size_bytes = sum(map(store.size_bytes, store.backbones))
    speed = f", {last.clips_per_second:.1f} clips/s" if last else ", nothing was left to do"
    console.say(
        f"{store.path}: {coverage.done} of {coverage.clips} clips "
        f"({coverage.done / coverage.clips:.1%}) seen by {', '.join(store.backbones)}; "
        f"{size_bytes / 1e6:.1f} MB{speed}"
    )
    for reason in coverage.quarantined.values():
        console.say(f"  quarantined {reason}")
    random = [n for n, spec in store.backbones.items() if spec.provenance["weights"]["random"]]
    if random:
        console.say(f"  random weights, so for trials only: {', '.join(random)}")


def _backbone_names(config: FeaturizeConfig) -> tuple[str, ...]:
    """Give the backbones in order, the student first.

    Raises:
        ConfigError: One is named twice, or unknown.
    """
    names = (config.student, *config.teachers)
    for name in names:
        if name not in backbones.NAMES:
            raise UnknownNameError("backbone", name, backbones.NAMES)
        if names.count(name) > 1:
            raise ConfigError(f"{name} is named twice among student and teachers: name it once")
    return names


def _setup(config: FeaturizeConfig) -> Setup:
    """Decide where and in which types the backbones run.

    Raises:
        ConfigError: Options contradict each other.
        PrecisionError: There is no such device, or it can't compute in that type.
    """
    if config.fp16 and config.storage != "float16":
        raise ConfigError(f"both --fp16 and --storage {config.storage} were given: keep one")
    device = device_named(config.device)
    precision = resolve(choose(use_amp=config.use_amp, use_bf16=config.use_bf16), device)
    return Setup(
        device=device,
        precision=replace(precision, storage=config.storage),
        spatial=config.spatial,
        batch=config.batch,
        processes=config.workers,
    )


def _weights(entry: str) -> tuple[str, str]:
    """Take NAME=FOLDER apart.

    Raises:
        ConfigError: There is no name or no folder.
    """
    name, _, folder = entry.partition("=")
    if not (name and folder):
        raise ConfigError(f"--weights {entry}: expected NAME=FOLDER, or NAME=random-tiny")
    return name, folder


if __name__ == "__main__":
    main()
