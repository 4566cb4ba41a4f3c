"""Jobs that are spread over the workers of a stack, and what one process makes of them alone."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from polyspace.report.sweeps import Sweep
from polyspace.store import lease, storage
from polyspace.store.difference import compare
from polyspace.store.lease import Leases
from polyspace.store.reader import FeatureStore
from polyspace.train.sweep import SweepConfig
from tests.support.sweeps import fusion_stage, make_inputs, typed
from tests.support.ucf101 import make_ucf101
from tests.torture.specimen import ledger_lines, problems

ROOT = Path(__file__).parents[2]
Points = Counter[tuple[str, str, int, float]]
"""What MLflow has: name of the run, key, step and value, counted."""
POINTS = """
SELECT runs.name, metrics.key, metrics.step, metrics.value FROM metrics
JOIN runs ON runs.run_uuid = metrics.run_uuid
WHERE metrics.key NOT LIKE 'system/%' AND runs.name LIKE 'trial %' AND runs.start_time >= {since}
"""


class Job(Protocol):
    """Work that several machines may share."""

    name: str

    def command(self, out: Path, parts: int) -> tuple[str, ...]:
        """Give the module and the words that do it."""
        ...

    def holders(self, out: Path) -> set[int]:
        """Give the processes that have some of it in hand, once it is well under way."""
        ...

    def differences(self, out: Path) -> Iterator[str]:
        """Say in what a result differs from the undisturbed one."""
        ...


class Extraction:
    """Videos to a feature store."""

    name = "extraction"

    def __init__(self, folder: Path) -> None:
        """Write the videos, and extract them in one process."""
        self.videos = make_ucf101(folder / "videos", groups=8, clips=8)
        self.whole = folder / "whole"
        alone("polyspace.data.featurize", *self._options(self.whole))

    def command(self, out: Path, parts: int) -> tuple[str, ...]:
        """Give the command that a user types."""
        return ("flows.extract_features", *self._options(out), "--distribute", str(parts))

    def holders(self, out: Path) -> set[int]:
        """Give who has clips in hand, once some are done."""
        path = _store(out)
        return _holders(path, "item") if ledger_lines(path) else set()

    def differences(self, out: Path) -> Iterator[str]:
        """Compare the stores clip by clip, and what their ledgers say."""
        path, whole = _store(out), _store(self.whole)
        yield from compare(path, whole).lines
        if FeatureStore.open(path).fingerprint != FeatureStore.open(whole).fingerprint:
            yield "the fingerprint differs"
        yield from problems(path)
        lines = Counter((line["backbone"], line["item"]) for line in ledger_lines(path))
        yield from (f"{times} lines on {on}" for on, times in lines.items() if times > 1)

    def _options(self, out: Path) -> tuple[str, ...]:
        return (
            *("--dataset", "ucf101", "--split", "train", "--workers", "1", "--device", "cpu"),
            *("--student", "efficientnet_lite0", "--teachers", "motion_vectors"),
            *("--frames", "12", "--root", str(self.videos), "--out", str(out)),
        )


class Search:
    """A sweep of fusions."""

    name = "sweep"

    def __init__(self, folder: Path) -> None:
        """Make features and converters, and run the sweep in one process."""
        inputs = make_inputs(folder / "inputs")
        self.config = SweepConfig(
            stage=fusion_stage(inputs, epochs=60),
            search=("rank=2,4", "dropout=0.1,0.3,0.5"),
            method="grid",
            prune=False,
        )
        self.whole = folder / "whole_sweep"
        database, said = folder / "whole.db", folder / "whole.json"
        said.write_text(self.config.model_copy(update={"out": self.whole}).model_dump_json())
        uri = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}
        alone("tests.support.sweeps", str(said), "tracked", more=uri)
        with closing(sqlite3.connect(database)) as connection:
            self.points: Points = Counter(connection.execute(POINTS.format(since=0)).fetchall())

    def command(self, out: Path, parts: int) -> tuple[str, ...]:
        """Give the command that a user types."""
        config = self.config.model_copy(update={"out": out})
        return ("flows.sweep", *typed(config, "--distribute", str(parts)))

    def holders(self, out: Path) -> set[int]:
        """Give who has trials in hand, once two have come to something."""
        begun = list(out.glob("trials/*/*/curves.json"))
        return _holders(out, "trial") if len(begun) > 1 else set()

    def differences(self, out: Path) -> Iterator[str]:
        """Compare the tables, but for what the clock says."""
        found, expected = _table(out), _table(self.whole)
        if found.keys() != expected.keys():
            yield f"trials {sorted(found)}, expected {sorted(expected)}"
        for number in found.keys() & expected.keys():
            if found[number] != expected[number]:
                yield f"trial {number} is {found[number]}, expected {expected[number]}"


def alone(module: str, *words: str, more: Mapping[str, str] | None = None) -> None:
    """Run a command in one process, with nobody near."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            (sys.executable, "-m", module, *words),
            cwd=place,
            env=environment(Path(place)) | dict(more or {}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]


def environment(place: Path) -> dict[str, str]:
    """Give the environment of a person's machine whose home is a folder."""
    kept = ("PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "XDG_CACHE_HOME")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "HOME": str(place),
        "PREFECT_HOME": str(place / ".prefect"),
        "DO_NOT_TRACK": "true",
    }


def _store(out: Path) -> Path:
    return out / "ucf101_train.zarr"


def _holders(folder: Path, kind: str) -> set[int]:
    place = storage.at(folder)
    names = [name for name in lease.fences(place.list(lease.FOLDER)) if name.startswith(kind)]
    found = [Leases(place).holder(name) for name in names]
    return {holder.process for holder in found if holder}


def _table(out: Path) -> dict[int, object]:
    """Give what was found of each trial, without times."""
    sweep = Sweep.model_validate_json((out / "sweep.json").read_text())
    assert len({trial.number for trial in sweep.trials}) == len(sweep.trials)
    return {
        trial.number: (trial.settings, trial.state, trial.scores, trial.curve, trial.epochs)
        for trial in sweep.trials
    }
