"""Feature stores, as a task."""

import platform
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console
from polyspace.console import Advance
from polyspace.data import featurize
from polyspace.data.extraction import Extraction
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import StoreError
from polyspace.report import words
from polyspace.store.metadata import is_store
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair
from tasks import announcements, artefacts, distribution, lineage, names, progress, stages
from tasks import parts as handing
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


@task(
    name="extract features",
    task_run_name=names.TaskName("extract_features"),
    cache_policy=NO_CACHE,
    retries=0,
)
def extract(config: FeaturizeConfig, tracker: Tracker = ALONE) -> Path:
    """Run every backbone over every clip; return the folder of the feature stores."""
    return _stage(config, _extract(config), tracker)


@task(
    name="distribute extraction",
    task_run_name=names.TaskName("distribute extract_features"),
    cache_policy=NO_CACHE,
    retries=0,
)
def distribute(
    config: FeaturizeConfig,
    parts: int,
    patience_seconds: float,
    deployment: str = handing.DEPLOYMENT,
    tracker: Tracker = ALONE,
) -> Path:
    """Let workers run every backbone over every clip; return the folder of the feature stores."""
    return _stage(config, _distribute(config, parts, patience_seconds, deployment), tracker)


@task(
    name="extract part",
    task_run_name=names.TaskName("extract part"),
    cache_policy=NO_CACHE,
    retries=0,
)
def share(config: FeaturizeConfig, stores: Sequence[Path]) -> None:
    """Do what is free of some stores, until nobody has anything left to do.

    Raises:
        StoreError: The stores, which are made before any part begins, can't be seen from here.
    """
    for path in stores:
        if not is_store(path):
            raise StoreError(
                f"{path} was made for this extraction, and can't be seen from {platform.node()}: "
                f"give --root and --out folders that every worker sees at the same place"
            )
    progress.show(featurize.run(config), "extract part")


def count_classes(folder: Path) -> int:
    """Give the number of classes of the data set that the stores in a folder are of."""
    return len(_stores(folder)[0].class_names)


def sizes_bytes(folder: Path) -> dict[str, int]:
    """Give what each backbone's features take on disk, over all stores in a folder."""
    sizes: Counter[str] = Counter()
    for store in _stores(folder):
        for name in store.backbones:
            sizes[name] += store.size_bytes(name)
    return dict(sizes)


def _stores(folder: Path) -> list[FeatureStore]:
    return [FeatureStore.open(path) for path in sorted(folder.glob("*.zarr"))]


def _stage(config: FeaturizeConfig, work: Generator[Advance, None, Path], tracker: Tracker) -> Path:
    progress.show(featurize.prepare(config), "render")
    stage = Stage(
        name="extract_features",
        config=config,
        dataset=config.dataset,
        folder=config.out,
        sources=lineage.videos(config.dataset, config.root, config.split),
        title=names.of("extract_features", config),
    )
    last: dict[str, Extraction] = {}
    folder = stages.run(stage, _remember(work, last), tracker)
    if artefacts.is_shown():
        artefacts.table("feature stores", [_row(one, last) for one in _stores(folder)], str(folder))
    return folder


def _remember(
    work: Generator[Advance, None, Path], last: dict[str, Extraction]
) -> Generator[Advance, None, Path]:
    """Pass a stage on, and keep the last word on each split."""
    while True:
        try:
            advance = next(work)
        except StopIteration as end:
            return end.value
        if isinstance(advance, Extraction):
            last[advance.split] = advance
        yield advance


def _row(store: FeatureStore, last: Mapping[str, Extraction]) -> dict[str, object]:
    """Say what a store holds; its speed is of the clips that were extracted here and now."""
    seen, now = store.coverage, last.get(store.split)
    speed = f"{now.clips_per_second:.1f}" if now and now.fresh else words.NONE
    return {
        "split": store.split,
        "clips": seen.clips,
        "done": seen.done,
        "quarantined": len(seen.quarantined),
        "size": words.size(sum(map(store.size_bytes, store.backbones))),
        "clips/s": speed,
        "backbones": ", ".join(store.backbones),
    }


def _extract(config: FeaturizeConfig) -> Generator[Advance, None, Path]:
    """Extract what is missing or damaged; give the folder, as the stages after this one want it."""
    yield from _repair(config)
    stores = yield from featurize.run(config)
    announcements.features_finished(stores, config)
    return config.out


def _distribute(
    config: FeaturizeConfig, parts: int, patience_seconds: float, deployment: str
) -> Generator[Advance, None, Path]:
    """Let others extract what is missing or damaged; give the folder."""
    yield from _repair(config)
    stores = yield from distribution.run(
        config, parts=parts, patience_seconds=patience_seconds, deployment=deployment
    )
    announcements.features_finished(stores, config)
    return config.out


def _repair(config: FeaturizeConfig) -> Generator[Advance]:
    """Take what is damaged for not done."""
    for path in sorted(config.out.glob(f"{config.dataset}_*.zarr")):
        repaired = yield from repair(path)
        if repaired.clips:
            console.say(f"{path}: {len(repaired.clips)} damaged clips are made again")
