"""The report on a whole pipeline, as a task."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from polyspace.report import evaluation, outcome
from polyspace.report.exports import overview
from polyspace.report.records.exports import read_exports
from tasks import caching, features, tracking
from tasks.tracking import ALONE, Tracker


@dataclass(frozen=True)
class Results:
    """What the stages returned."""

    stores: Path
    converters: Path
    fusion: Path
    evaluation: Path
    bundles: Path
    """Folder of the bundles, one folder a format."""

    @property
    def folders(self) -> Mapping[str, Path]:
        """Each stage's folder, by the name of the stage."""
        return {
            "extract_features": self.stores,
            "train_converter": self.converters.parent,
            "train_fusion": self.fusion.parent,
            "evaluate": self.evaluation.parent,
            "quantize_export": self.bundles,
        }


@task(name="report", task_run_name="report", cache_policy=NO_CACHE, retries=0)
def write(results: Results, out: Path, tracker: Tracker = ALONE) -> Path:
    """Write report.html for people and report.json for programs; return the latter."""
    sizes = features.sizes_bytes(results.stores)
    exports = results.bundles / overview.RECORD
    html = evaluation.write(
        evaluation.read(results.evaluation.parent, exports=exports, sizes=sizes), out
    )
    report = outcome.write(
        results.evaluation,
        exports=exports,
        sizes=sizes,
        seconds=_seconds(results),
        paths={**results.folders, "report": html},
        out=out / "report.json",
    )
    record = tracking.resume(tracker)
    record.artefacts([html, report])
    record.metrics(_headline(report))
    return report


def _headline(report: Path) -> dict[str, float]:
    """Pick the figures that runs of the whole pipeline are compared by."""
    found = json.loads(report.read_text())
    top1 = {f"top1/{method['name']}": method["top1"]["value"] for method in found["methods"]}
    seconds = {f"seconds/{stage}": value for stage, value in found["seconds"].items()}
    headline = {"top1": top1["top1/fusion"]} if "top1/fusion" in top1 else {}
    return {"chance": found["chance"]} | headline | top1 | seconds


def _seconds(results: Results) -> dict[str, float]:
    """Say what each stage took when it last ran, as its receipts have it; formats are summed up."""
    receipts = {name: caching.read(folder) for name, folder in results.folders.items()}
    taken = {name: receipt.seconds for name, receipt in receipts.items() if receipt}
    formats = read_exports(results.bundles / overview.RECORD).formats
    exported = [caching.read(results.bundles / one.folder) for one in formats]
    return taken | {"quantize_export": sum(receipt.seconds for receipt in exported if receipt)}
