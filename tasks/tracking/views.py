"""How an experiment opens in MLflow: columns, order and charts, as a view of the menu "Views".

MLflow 3.17 keeps such a view in a tag of the experiment, in the form in which its own pages write
one; it isn't documented, and a test opens it in a browser. Whoever changes what is shown changes
their own page alone.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from tasks import addresses

NAME = "PolySpace"
MADE_MS = 1_790_000_000_000
"""When this view was last changed; the same everywhere, so that nobody writes it twice."""

COLUMNS: Mapping[str, int] = {
    "tags.`polyspace.stage`": 140,
    "metrics.`top1`": 110,
    "metrics.`hold_out/best_top1`": 150,
    "metrics.`hold_out/best_r2`": 150,
    "metrics.`size_ratio`": 110,
    "params.`teachers`": 260,
    "params.`student`": 120,
}
"""Columns in their order, and their widths in pixels. What no run has is left out by MLflow."""
RESULTS = ("top1", "hold_out/best_top1", "hold_out/best_r2", "size_ratio")
"""One bar a run."""
CURVES = ("hold_out/top1", "hold_out/r2", "loss/loss", "lr")
"""One line a run, by epoch."""


def experiment_tags(data: str) -> dict[str, str]:
    """Give what an experiment of PolySpace is tagged with.

    Args:
        data: The data set.
    """
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": (
            f"Everything that PolySpace did with the data set {data}. Choose **{NAME}** under "
            f"*Views* for its columns and charts. `top1`: on the test split; `hold_out/…`: on a "
            f"part of the training split, by which epochs are chosen."
        ),
        addresses.VIEW_TAG: _envelope(),
    }


def _envelope() -> str:
    """Write the view as MLflow's pages do."""
    state = json.dumps(_state(), separators=(",", ":"))
    said = {"name": NAME, "createdAt": MADE_MS, "updatedAt": MADE_MS, "state": state}
    return json.dumps(said, separators=(",", ":"))


def _state() -> dict[str, JsonValue]:
    charts = [_chart("BAR", "results", name) for name in RESULTS]
    charts += [_chart("LINE", "curves", name) for name in CURVES]
    return {
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*COLUMNS],
        "columnOrder": [*COLUMNS],
        "columnWidths": dict(COLUMNS),
        "runsHiddenMode": "FIRST_20_RUNS",
        # As if by hand: sections are sorted by their names otherwise, and these come first.
        "isAccordionReordered": True,
        "compareRunSections": [_section("results", "Results"), _section("curves", "Training")],
        "compareRunCharts": [*charts],
    }


def _section(uuid: str, name: str) -> dict[str, JsonValue]:
    return {"uuid": uuid, "name": name, "display": True, "isReordered": False}


def _chart(kind: str, section: str, metric: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": kind,
        "uuid": f"{kind.lower()} {metric}",
        "runsCountToCompare": 20,
        "metricSectionId": section,
        "metricKey": metric,
    }
    if kind == "LINE":
        found |= {
            "selectedMetricKeys": [metric],
            "xAxisKey": "step",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "scaleType": "linear",
            "xAxisScaleType": "linear",
            "lineSmoothness": 0,
            "range": {},
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
    return found
