"""What the terminal says when a pipeline has ended: the table, the files, the way to the pages."""

import json
import textwrap
from pathlib import Path

from polyspace import console
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
    console.say(f"report   {paths['report']}")
    console.say(f"figures  {report}")
    console.say(f"bundle   {paths['quantize_export']}: {_bundle(found)}")
    console.say(f"stages   {_stages(found['seconds'])}")
    console.say(f"runs     make serve, then {addresses.prefect_ui()} and {addresses.mlflow_ui()}")


def _bundle(found: dict[str, dict[str, float]]) -> str:
    proved = found["bundle"]
    return (
        f"{found['ratios']['bundle']:.3f} of the float32 size, "
        f"top-1 {proved['difference_points']:+.2f} points, reloaded and compared"
    )


def _stages(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
