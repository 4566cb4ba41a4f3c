"""What the terminal says when a pipeline has ended: the table, the files, the way to the pages."""

import json
import textwrap
from pathlib import Path

from polyspace import console
from polyspace.export import outcome
from polyspace.report import summary
from polyspace.report.records.evaluation import read_evaluation
from tasks import addresses


def say(report: Path) -> None:
    """Print the summary of a pipeline.

    Args:
        report: report.json.
    """
    found = json.loads(report.read_text())
    paths = {name: Path(path) for name, path in found["paths"].items()}
    evaluation = read_evaluation(paths["evaluate"] / "evaluation.json")
    console.present(summary.table(evaluation))
    console.say(textwrap.fill(summary.sentence(evaluation), 100))
    console.say("")
    outcome.show(paths["quantize_export"])
    console.say("")
    console.say(f"report   {paths['report']}")
    console.say(f"figures  {report}")
    console.say(f"stages   {_stages(found['seconds'])}")
    console.say(f"runs     make serve, then {addresses.prefect_ui()} and {addresses.mlflow_ui()}")


def _stages(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
