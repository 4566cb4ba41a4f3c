"""The evaluation, as a task."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.report import evaluation as report
from polyspace.report import summary, words
from polyspace.report.figures import canvas, intervals
from polyspace.report.records.evaluation import read_evaluation
from polyspace.store.reader import find_store
from polyspace.train import evaluate
from polyspace.train.evaluate import EvaluateConfig
from tasks import artefacts, lineage, looks, names, stages
from tasks.looks import Look
from tasks.stages import Stage, Work
from tasks.tracking import ALONE, Tracker

FUSION = "fusion"
"""Name of the method that everything else is compared with."""


@task(name="evaluate", task_run_name=names.TaskName("evaluate"), cache_policy=NO_CACHE, retries=0)
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
        title=names.of("evaluate", config),
        headline=_headline,
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


def _headline(record: Path) -> dict[str, float]:
    """Give the fusion's accuracy under the name that every stage gives its own."""
    methods = {method.name: method for method in read_evaluation(record).methods}
    return {"top1": methods[FUSION].top1.value} if FUSION in methods else {}


def _show(record: Path) -> None:
    """Show table and picture with the Prefect run, if this is part of one."""
    if not artefacts.is_shown():
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
    artefacts.table("results", rows, summary.sentence(read))
    artefacts.picture(
        "results picture",
        lambda: canvas.data_uri(intervals.draw(read)),
        f"Top-1 on {read.dataset.name} {read.dataset.split}; more in {record.parent}/report.html.",
    )
