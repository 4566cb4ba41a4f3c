"""Run every backbone once over every clip of a data set, and keep what it saw.

``python -m polyspace.data.featurize --dataset ucf101 --root UCF101 --student vjepa2
--teachers videomae timesformer --out ./features``
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field, field_validator

from polyspace import console
from polyspace.config import Config
from polyspace.data import extraction
from polyspace.data.clips import Manifest
from polyspace.data.datasets import motion, registry
from polyspace.data.encode import Setup, Spatial, array_spec
from polyspace.data.extraction import Extraction, Target, extract
from polyspace.data.quarantine import count_reasons
from polyspace.data.views import Viewing
from polyspace.errors import ConfigError, UnknownNameError
from polyspace.models.backbones import registry as backbones
from polyspace.models.backbones.protocol import Backbone
from polyspace.precision import DeviceName, FeatureType, choose, device_named, resolve
from polyspace.progress import Progress
from polyspace.store.layout import ArraySpec
from polyspace.store.metadata import is_store
from polyspace.store.reader import FeatureStore
from polyspace.store.retry import retry

SHOWN = 20
"""Quarantined clips that are named one by one; `polyspace store info` names all."""

Stage = Generator[Progress | Extraction, None, tuple[Path, ...]]


class FeaturizeConfig(Config):
    """Run every backbone once over every clip of a data set, and keep what it saw.

    What is finished already is not done again: run the same command to go on after a stop, or name
    further teachers to add them.
    """

    dataset: str
    """Name of the data set, out of `polyspace data list`; motion is a demo set, rendered first."""
    root: Path
    """Folder of the data set."""
    split: tuple[str, ...] = ()
    """One or several of train, test and validation; of ucf101 also train02 and the like. Without:
    train and test."""
    out: Path = Path("features")
    """Folder for the feature stores, <dataset>_<split>.zarr."""
    student: str = "vjepa2"
    """Backbone that runs at inference, too."""
    teachers: tuple[str, ...] = ("videomae", "timesformer", "vivit")
    """Backbones whose features the student's are translated into; may be empty."""
    teachers_only: bool = False
    """Leave the student to another run or machine: the store is shared."""
    batch: Annotated[int, Field(ge=1)] = 2
    """Clips that a backbone sees at a time."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that decode; 0: one, which takes turns with the backbones."""
    segments: Annotated[int, Field(ge=1)] = 1
    """Equal parts of a clip that are looked at, each in a window of its own."""
    crops: Annotated[int, Field(ge=1)] = 1
    """Squares along the longer side of the picture; 1: the centre."""
    window_seconds: Annotated[float | None, Field(gt=0)] = None
    """Length of a window, in the middle of its segment; None: the whole segment."""
    train_views: Annotated[int, Field(ge=0)] = 0
    """Views of each training clip that are drawn at random, in place of segments and crops."""
    flips: bool = False
    """Flip half of the drawn views; refused where labels would change."""
    seed: int = 0
    """Draws them."""
    allow_damaged: bool = False
    """Take what the decoder makes of damaged frames, rather than quarantine the clip."""
    retry: bool = False
    """Try again what was quarantined."""
    frames: Annotated[int, Field(ge=1)] = 16
    """Frames of a clip; a backbone whose number is fixed takes its own."""
    shard_size: Annotated[int, Field(ge=0)] = 0
    """Clips of a chunk at most, which is what a kill costs at worst. 0: 256, or what fits into
    1 GiB of memory."""
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

    @field_validator("split", mode="before")
    @classmethod
    def _take_one(cls, value: object) -> object:
        """Take the name of one split for a list of one."""
        return (value,) if isinstance(value, str) else value


def run(config: FeaturizeConfig) -> Stage:
    """Extract; yield signs of life; return the stores, one for each split.

    Raises:
        ConfigError: Options contradict each other, or name something that doesn't exist.
        DatasetError: The data set is not laid out as it should be, or holds nothing to decode.
        WeightsError: A backbone's weights were not found.
        StoreError: The store there holds something else.
    """
    loaded, plans = yield from survey(config)
    stores: list[Path] = []
    for plan in plans:
        _requeue(config, plan.target.path)
        stores.append(
            (yield from extract(plan.manifest, plan.specs, loaded, plan.setup, plan.target))
        )
    return tuple(stores)


def make(
    config: FeaturizeConfig, *, work_items: int
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Do all that `run` does before the first clip; return the stores, for others to fill.

    Args:
        config: As for `run`.
        work_items: Into how many a new store is cut at least.

    Raises:
        PolySpaceError: As `run` does.
    """
    _, plans = yield from survey(config)
    for plan in plans:
        _requeue(config, plan.target.path)
        target = replace(plan.target, work_items=work_items)
        extraction.make(plan.manifest, plan.specs, plan.setup, target)
    return tuple(plan.target.path for plan in plans)


def viewing(config: FeaturizeConfig, split: str) -> Viewing:
    """Say how the clips of a split are looked at: only training clips in ways drawn at random.

    Raises:
        ConfigError: Views are to be flipped that are not drawn, or that would change their label.
    """
    if config.flips and not config.train_views:
        raise ConfigError("--flips: only drawn views are flipped, give --train_views, too")
    if config.flips and not registry.may_flip(config.dataset):
        raise ConfigError(f"--flips: a mirrored clip of {config.dataset} may be of another class")
    if config.train_views and split.startswith("train"):
        return Viewing(
            window_seconds=config.window_seconds,
            drawn=config.train_views,
            flips=config.flips,
            seed=config.seed,
        )
    return Viewing(config.segments, config.crops, config.window_seconds)


def prepare(config: FeaturizeConfig) -> Generator[Progress]:
    """Render the demo data set, if that is the one and it isn't there; `run` does it by itself."""
    if config.dataset == motion.NAME:
        settings = motion.settings_of(config.root) or motion.MotionSettings()
        yield from motion.render(config.root, settings, processes=max(config.workers, 1))


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done of one split."""

    manifest: Manifest
    specs: Sequence[ArraySpec]
    setup: Setup
    target: Target


def survey(
    config: FeaturizeConfig,
) -> Generator[Progress, None, tuple[Sequence[Backbone], Sequence[Plan]]]:
    """Load the backbones, and say what they are to do of each split."""
    names, setup = backbone_names(config), _setup(config)
    weights = dict(named_folder(entry) for entry in config.weights)
    yield from prepare(config)
    splits = config.split or registry.splits(config.dataset, config.root)
    manifests = {split: registry.read(config.dataset, config.root, split) for split in splits}
    viewings = {split: viewing(config, split) for split in splits}
    loaded: list[Backbone] = [
        backbones.load(name, weights=weights, frames=config.frames, device=setup.device)
        for name in names
    ]
    for look in viewings.values():
        _refuse_equal_views(look, loaded)
    plans: list[Plan] = []
    for split, manifest in manifests.items():
        own = replace(setup, viewing=viewings[split])
        path = config.out / f"{config.dataset}_{split}.zarr"
        target = Target(split, path, config.shard_size)
        plans.append(Plan(manifest, _specs(config, loaded, own), own, target))
    return loaded, plans


def _requeue(config: FeaturizeConfig, store: Path) -> None:
    """Take what is quarantined for not done, if that was asked for."""
    if config.retry and is_store(store):
        retry(store)


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
    if last:
        console.say(f"  {last.effort}")
    if last and last.damaged:
        console.say(f"  {last.damaged} clips are damaged and were taken as they are")
    _describe_quarantine(list(coverage.quarantined.values()))
    random = [n for n, spec in store.backbones.items() if spec.provenance["weights"]["random"]]
    if random:
        console.say(f"  random weights, so for trials only: {', '.join(random)}")


def _specs(config: FeaturizeConfig, loaded: Sequence[Backbone], setup: Setup) -> list[ArraySpec]:
    return [
        array_spec(b, role="student" if b.name == config.student else "teacher", setup=setup)
        for b in loaded
    ]


def _refuse_equal_views(look: Viewing, loaded: Sequence[Backbone]) -> None:
    """Refuse views that would all be the same to a backbone, which sees the picture whole.

    Raises:
        ConfigError: It is so.
    """
    whole = [b.name for b in loaded if b.inputs.kind == "motion" or b.inputs.short_side is None]
    if not whole:
        return
    if look.crops > 1:
        raise ConfigError(
            f"--crops {look.crops}: {' and '.join(whole)} see the whole picture, so all crops "
            f"would be the same to them: use --crops 1"
        )
    if look.drawn > 1 and look.window_seconds is None:
        raise ConfigError(
            f"--train_views {look.drawn}: {' and '.join(whole)} see the whole picture, so all "
            f"views of a whole clip would be the same to them: give --window_seconds"
        )


def _describe_quarantine(notes: Sequence[str]) -> None:
    """Say what there is nothing of, and why: by reason, and the first ones one by one."""
    for text in notes[:SHOWN]:
        console.say(f"  quarantined {text}")
    if notes:
        said = ", ".join(f"{reason} {count}" for reason, count in count_reasons(notes).items())
        console.say(f"  {len(notes)} quarantined ({said}): mend them, and run again with --retry")


def backbone_names(config: FeaturizeConfig) -> tuple[str, ...]:
    """Give the backbones in order, the student first.

    Raises:
        ConfigError: One is named twice, or unknown.
    """
    if config.teachers_only and not config.teachers:
        raise ConfigError("--teachers_only without --teachers: nothing is left to do")
    names = config.teachers if config.teachers_only else (config.student, *config.teachers)
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
        allow_damaged=config.allow_damaged,
    )


def named_folder(entry: str) -> tuple[str, str]:
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
