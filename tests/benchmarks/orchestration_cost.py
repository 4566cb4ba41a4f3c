"""What Prefect and MLflow cost around a stage, measured; orchestration_document writes it down.

A stage whose length is known, bare and as a flow's task, in turns; a hundred tasks; a training as a
command of its own, bare and as a flow; from the request for a run to its state Running. Seconds on
the clock, which whatever else runs lengthens, and of processor time, which it hardly does.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import get_current_settings

from flows.distill import DistillConfig, _inputs  # pyright: ignore[reportPrivateUsage]
from polyspace.config import Config
from polyspace.console import Advance
from polyspace.engine.loop import Step
from tasks import caching, stages
from tasks.stages import Stage
from tasks.tracking import Tracker
from tests.support import services
from tests.support.stages import finish

EPOCHS = 4
DEPLOYMENT = "train_converter/local-cpu"
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Taken:
    """What something took."""

    seconds: float
    """On the clock."""
    processor_seconds: float
    """Of this process's threads, or of a command and of what it started."""


class Nap(Config):
    """A stage whose length is known."""

    seconds: float
    out: Path


def work(config: Nap) -> Generator[Advance, None, Path]:
    """Sleep as long as was asked, in epochs, and leave a megabyte."""
    config.out.mkdir(parents=True)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(config.seconds / EPOCHS)
        yield Step(epoch, epoch, EPOCHS, {"loss": 1 / epoch}, 0.1, False, {"score": 0.5})
    path = config.out / "result.bin"
    path.write_bytes(bytes(2**20))
    return path


@task(cache_policy=NO_CACHE)
def nap(config: Nap, tracker: Tracker) -> Path:
    stage = Stage("nap", config, "cost", config.out, sources=(), keep=("*.bin",))
    return stages.run(stage, work(config), tracker)


@flow(name="nap")
def napping(config: Nap, track: bool) -> Path:
    return nap(config, Tracker(enabled=track))


@flow(name="pipeline")
def pipeline(configs: Sequence[Nap], track: bool) -> list[Taken]:
    """Time each stage of several."""
    tracker = Tracker(enabled=track)
    return [measured(lambda config=config: nap(config, tracker)) for config in configs]


@task(cache_policy=NO_CACHE)
def nothing() -> None:
    pass


@flow(name="many")
def many(count: int) -> Taken:
    """Time tasks from within: a flow's own end waits for a heartbeat."""
    return measured(lambda: [nothing() for _ in range(count)])


def measured(action: Callable[[], object]) -> Taken:
    """Time something in this process."""
    began, processor = time.perf_counter(), time.process_time()
    action()
    return Taken(time.perf_counter() - began, time.process_time() - processor)


def stage_costs(rounds: int, seconds: float, folder: Path) -> dict[str, list[Taken]]:
    """Run the stage in each way, in turns; the first round of each warms up and isn't counted."""
    ways: dict[str, Callable[[Nap], Taken]] = {
        "bare": lambda config: measured(lambda: finish(work(config))),
        "in a pipeline": lambda config: pipeline([config], track=False)[0],
        "in a pipeline, tracked": lambda config: pipeline([config], track=True)[0],
        "as a flow": lambda config: measured(lambda: napping(config, track=False)),
        "as a flow, tracked": lambda config: measured(lambda: napping(config, track=True)),
    }
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            taken[name].append(way(Nap(seconds=seconds, out=folder / f"{number} {name}")))
    return {name: found[1:] for name, found in taken.items()}


def task_costs(rounds: int, count: int) -> list[Taken]:
    """Give what one of many tasks costs."""
    many(1)
    found = [many(count) for _ in range(rounds)]
    return [Taken(one.seconds / count, one.processor_seconds / count) for one in found]


def command_costs(rounds: int, features: Path, folder: Path) -> dict[str, list[Taken]]:
    """Train converters for an epoch by each command, in turns; None of a server is counted."""
    alone = {"PREFECT_HOME": str(folder / "home")}
    ways = {
        "polyspace.train.train_converter": ("polyspace.train.train_converter", {}),
        "flows.train_converter, with a server": ("flows.train_converter", _server()),
        "flows.train_converter, without": ("flows.train_converter", alone),
    }
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (module, more) in ways.items():
            words = _training(features, folder / f"{number} {name}")
            taken[name].append(_command((sys.executable, "-m", module, *words), more))
    return {name: found[1:] for name, found in taken.items()}


def trigger_costs(rounds: int, features: Path, folder: Path) -> list[Taken]:
    """Ask for a run, and wait until it is Running: seconds, and processor time of its process."""
    taken: list[Taken] = []
    with services.worker(folder), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        for number in range(rounds):
            config = _config(features, folder / f"triggered {number}")
            asked = time.time()
            run = client.create_flow_run_from_deployment(deployment.id, parameters=config)
            taken.append(_running(client, run.id, asked))
    return taken


def cached_seconds(root: Path, made: Path, folder: Path) -> tuple[float, int]:
    """Verify a pipeline of which everything is there; give the time, and the bytes read again."""
    out = Path(shutil.copytree(made, folder / "made"))
    config = DistillConfig(root=root, out=out)
    caching.forget(out)
    # Sealed as if today's code had made it: what is measured is the look at every byte.
    caching.seal(out, _inputs(config), result=out / "report.json", seconds=0)
    taken = measured(lambda: caching.verified(out, _inputs(config)))
    return taken.seconds, sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def _running(client: SyncPrefectClient, run: object, asked: float) -> Taken:
    """Wait for the state Running, then for the end; give the former."""
    processor = 0.0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = client.read_flow_run(run)  # pyright: ignore[reportArgumentType]
        processor = processor or _engine_seconds() * (found.state_name == "Running")
        if found.state and found.state.is_final():
            states = client.read_flow_run_states(run)  # pyright: ignore[reportArgumentType]
            at = next(state.timestamp for state in states if state.name == "Running")
            return Taken(at.timestamp() - asked, processor)
        time.sleep(0.1)
    raise AssertionError(f"run {run} never ended")


def _engine_seconds() -> float:
    """Give the processor time of the run's process, a grandchild of this one."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # One that has just ended.
            if process.cmdline()[1:3] == ["-m", "flows.attempt"]:
                times = process.cpu_times()
                return times.user + times.system
    return 0.0


def _command(words: Sequence[str], more: dict[str, str]) -> Taken:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env={**os.environ, **more}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(time.perf_counter() - began, processor)


def _server() -> dict[str, str]:
    return {"PREFECT_API_URL": str(get_current_settings().api.url)}


def _config(features: Path, out: Path) -> dict[str, dict[str, object]]:
    """Give the parameters of a training of one epoch."""
    return {
        "config": {
            "features": str(features),
            "dataset": "motion",
            "student": "transnetv2",
            "teachers": ["motion_vectors"],
            "epochs": 1,
            "device": "cpu",
            "save_dir": str(out),
        }
    }


def _training(features: Path, out: Path) -> list[str]:
    settings = _config(features, out)["config"]
    settings["teachers"] = "motion_vectors"
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
