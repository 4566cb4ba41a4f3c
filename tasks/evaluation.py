"""The evaluation, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.store.reader import find_store
from polyspace.train import evaluate
from polyspace.train.evaluate import EvaluateConfig
from tasks import lineage, stages
from tasks.stages import Stage
from tasks.tracking import ALONE, Tracker


@task(name="evaluate", task_run_name="evaluate", cache_policy=NO_CACHE)
def score(config: EvaluateConfig, tracker: Tracker = ALONE) -> Path:
    """Score the fusion head and every baseline once on the test split; return the record."""
    stage = Stage(
        name="evaluate",
        config=config,
        dataset=config.dataset,
        folder=config.out,
        sources=(
            lineage.store(find_store(config.features, config.dataset, config.train_split)),
            lineage.store(find_store(config.features, config.dataset, config.split)),
            lineage.checkpoint(config.converters, "converters"),
            lineage.checkpoint(config.fusion, "fusion"),
        ),
        keep=("evaluation.json",),
        figures=("evaluation.json",),
    )
    return stages.run(stage, evaluate.run(config), tracker)
