"""MLflow away before, during and after runs: what was told arrives, each point once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from mlflow import MlflowClient

from polyspace.config import Config
from polyspace.errors import RecordError
from tasks import tracking
from tasks.tracking import ALONE, sender, sync
from tests.support.faults import FaultProxy, mlflow_process
from tests.torture.outcome import Outcome, Scale

EPOCHS = 100
KEYS = tuple(f"loss/{name}" for name in "abcdef")
EPOCH_SECONDS = 0.01
RUN = "{:032x}"
"""An id, for a run that goes on."""
READY = "told"
SYNCS = 10


class Settings(Config):
    """A training that tells, and computes nothing."""

    epochs: int = EPOCHS


@dataclass
class Trial:
    """A run, and what happens to MLflow meanwhile."""

    number: int
    proxy: FaultProxy
    draw: random.Random
    longest: float = 0.0
    """Seconds that the run was held up by telling of an epoch, at most."""

    @property
    def name(self) -> str:
        """The experiment's data set."""
        return f"outage{self.number}"

    def moments(self, count: int) -> Sequence[int]:
        """Draw epochs, in their order."""
        return sorted(self.draw.sample(range(2, EPOCHS), count))

    def train(self, modes: Mapping[int, str]) -> None:
        """Tell of every epoch; MLflow changes before some of them."""
        with tracking.run("train", Settings(), self.name, ALONE) as record:
            for epoch in range(1, EPOCHS + 1):
                if epoch in modes:
                    self.proxy.become(modes[epoch])
                began = time.perf_counter()
                record.metrics(figures(epoch), step=epoch)
                self.longest = max(self.longest, time.perf_counter() - began)
                time.sleep(EPOCH_SECONDS)

    def told(self, first: int, last: int) -> "subprocess.Popen[str]":
        """Have another process tell of some epochs, and give it when it has."""
        words = (self.name, RUN.format(self.number + 1), str(first), str(last))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.outages", *words],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stdout.readline() == f"{READY}\n"
        return process


def before(trial: Trial) -> None:
    """Away when the run begins."""
    trial.proxy.become("refuse")
    (back,) = trial.moments(1)
    trial.train({back: "pass"})


def during(trial: Trial) -> None:
    """Away in the middle."""
    away, back = trial.moments(2)
    trial.train({away: "refuse", back: "pass"})


def hanging(trial: Trial) -> None:
    """There, but no answer comes."""
    away, back = trial.moments(2)
    trial.train({away: "hang", back: "pass"})


def after(trial: Trial) -> None:
    """Away when the run ends, back later."""
    (away,) = trial.moments(1)
    trial.train({away: "refuse"})


def killed(trial: Trial) -> None:
    """Away, and the run killed; it goes on from an earlier epoch."""
    trial.proxy.become("refuse")
    saved, reached = trial.moments(2)
    process = trial.told(1, reached)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    trial.proxy.become("pass")
    trial.told(saved + 1, EPOCHS).communicate()


SCENARIOS: Mapping[str, Callable[[Trial], None]] = {
    "MLflow refuses from before a run until some epoch of it": before,
    "MLflow refuses in the middle of a run": during,
    "MLflow hangs in the middle of a run": hanging,
    "MLflow refuses from the middle of a run until after its end, then `track sync`": after,
    "MLflow refuses, the run is killed (SIGKILL) and goes on from an earlier epoch": killed,
}


def figures(epoch: int) -> Mapping[str, float]:
    """Give what is told of an epoch."""
    return {key: number + 1 / epoch for number, key in enumerate(KEYS)}


def run(scale: Scale, folder: Path) -> Sequence[Outcome]:
    """Try every scenario so many times, at random moments."""
    with mlflow_process(folder) as port:
        proxy = FaultProxy(port)
        places = {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxy.port}",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
            "POLYSPACE_SPOOL": str(folder / "spool"),
        }
        # Several tries to send in each second that a run takes.
        with patch.dict(os.environ, places), patch.object(sender, "GATHER_SECONDS", 0.1):
            server = MlflowClient(f"http://127.0.0.1:{port}")
            draw = random.Random(7)
            found = [
                _scenario(place, scale.outages, proxy, server, draw)
                for place in range(len(SCENARIOS))
            ]
        proxy.close()
    return found


def _scenario(
    place: int, rounds: int, proxy: FaultProxy, server: MlflowClient, draw: random.Random
) -> Outcome:
    """Put one scenario to the test; a try is a point."""
    (promise, happen) = tuple(SCENARIOS.items())[place]
    started = time.monotonic()
    trials = [Trial(place * rounds + number, proxy, draw) for number in range(rounds)]
    failures = [failure for trial in trials for failure in _try(trial, happen, server)]
    longest = 1e3 * max(trial.longest for trial in trials)
    held_up = f"; the run held up for {longest:.0f} ms at most" if longest else ""
    return Outcome(
        f"{promise}: every point arrives once",
        rounds * EPOCHS * len(KEYS),
        tuple(failures),
        time.monotonic() - started,
        f"{rounds} runs{held_up}",
    )


def _try(trial: Trial, happen: Callable[[Trial], None], server: MlflowClient) -> Sequence[str]:
    """Let something happen, send what is left, and say what is missing or there twice."""
    trial.proxy.become("pass")
    happen(trial)
    trial.proxy.become("pass")
    _sync()
    wanted = Counter((key, step) for step in range(1, EPOCHS + 1) for key in KEYS)
    there = _points(trial, server)
    lost, doubled = wanted - there, there - wanted
    return [
        *(f"{trial.name}: {key} of epoch {step} is lost" for key, step in lost),
        *(f"{trial.name}: {key} of epoch {step} is there {there[key, step]} times or wrong"
          for key, step in doubled),
    ]  # fmt: skip


def _sync() -> None:
    """Send what is left, as a person would: again, where a busy server was too slow."""
    for _ in range(SYNCS - 1):
        with suppress(RecordError):
            sync.sync()
            return
    sync.sync()


def _points(trial: Trial, server: MlflowClient) -> Counter[tuple[str, int]]:
    """Count the points of a trial that have arrived with their values."""
    experiment = server.get_experiment_by_name(f"polyspace/{trial.name}")
    assert experiment
    runs = server.search_runs([experiment.experiment_id])
    return Counter(
        (key, point.step)
        for run in runs
        for key in KEYS
        for point in server.get_metric_history(run.info.run_id, key)
        if point.value == figures(point.step)[key]
    )


def _tell(name: str, run_id: str, first: int, last: int) -> None:
    """Tell of some epochs, say so, and end when nobody listens any more."""
    with tracking.run("train", Settings(), name, ALONE, earlier=run_id) as record:
        for epoch in range(first, last + 1):
            record.metrics(figures(epoch), step=epoch)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _tell(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
