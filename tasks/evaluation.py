"""The evaluation, as a task."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from polyspace.report import evaluation as report
from polyspace.report import summary, words
from polyspace.report.records.evaluation import read_evaluation
from polyspace.store.reader import find_store
from polyspace.train import evaluate
from polyspace.train.evaluate import EvaluateConfig
from tasks import lineage, looks, stages
from tasks.looks import Look
from tasks.stages import Stage, Work
from tasks.tracking import ALONE, Tracker


@task(name="evaluate", task_run_name="evaluate", cache_policy=NO_CACHE)
def score(config: EvaluateConfig, tracker: Tracker = ALONE) -> Path:
    """Score the fusion head and every baseline once on the test split; return the record."""
    test = lineage.store(find_store(config.features, config.dataset, config.split))
    fusion = lineage.checkpoint(config.fusion, "fusion")
    stage = Stage(
        name="evaluate",
        config=config,
        dataset=config.dataset,
        folder=config.out,
        sources=(
            lineage.store(find_store(config.features, config.dataset, config.train_split)),
            test,
            lineage.checkpoint(config.converters, "converters"),
            fusion,
        ),
        keep=(
            "evaluation.json",
            "outcomes.csv",
            looks.NAME,
            "report.html",
            "report.md",
            "report.csv",
        ),
        figures=("evaluation.json",),
    )
    look = Look(fusion.digest, test.digest, config.dataset, config.split)
    work = evaluate.run(config)
    path = stages.run(
        stage,
        lambda record: _reported(looks.watched(work, record, look, config.out)),
        tracker,
    )
    _show(path)
    return path


def _reported(work: Work) -> Work:
    """Evaluate, and write the report beside the record."""
    path = yield from work
    report.write(report.read(path.parent), path.parent)
    return path


def _show(record: Path) -> None:
    """Show the table with the Prefect run, if this is part of one."""
    if not flow_run.id:
        return
    read = read_evaluation(record)
    rows = [
        {
            "method": words.method(method.name),
            "kind": method.kind,
            "top-1": words.percent(method.top1.value),
            "interval": words.interval(method.top1),
            "parameters": method.parameters,
        }
        for method in sorted(read.methods, key=lambda row: -row.top1.value)
    ]
    create_table_artifact(table=rows, key="results", description=summary.sentence(read))
