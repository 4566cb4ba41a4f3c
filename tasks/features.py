"""Feature stores, as a task."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace import console
from polyspace.console import Advance
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair
from tasks import lineage, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


@task(name="extract features", task_run_name="extract features", cache_policy=NO_CACHE)
def extract(config: FeaturizeConfig, tracker: Tracker = ALONE) -> Path:
    """Run every backbone over every clip; return the folder of the feature stores."""
    console.show(featurize.prepare(config), "render")
    stage = Stage(
        name="extract_features",
        config=config,
        dataset=config.dataset,
        folder=config.out,
        sources=lineage.videos(config.dataset, config.root, config.split),
    )
    return stages.run(stage, _extract(config), tracker)


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


def _extract(config: FeaturizeConfig) -> Generator[Advance, None, Path]:
    """Extract what is missing or damaged; give the folder, as the stages after this one want it."""
    for path in sorted(config.out.glob(f"{config.dataset}_*.zarr")):
        repaired = yield from repair(path)
        if repaired.clips:
            console.say(f"{path}: {len(repaired.clips)} damaged clips are made again")
    yield from featurize.run(config)
    return config.out
