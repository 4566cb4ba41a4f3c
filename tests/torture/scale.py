"""Extraction and sweep on a stack of several machines, parts of which are lost in the middle."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flows.services import programs, topology
from flows.services.places import Ports
from tests.torture import jobs, machines, rigs
from tests.torture.jobs import Extraction, Job, Search
from tests.torture.machines import Machine
from tests.torture.outcome import Outcome, Scale
from tests.torture.rigs import Rig

T = TypeVar("T")
MACHINES = 3
"""Besides the worker that the stack has of its own."""
PARTS = MACHINES + 1
PATIENCE_SECONDS = 900.0
OUTAGE_SECONDS = 60.0


Disturbance = Callable[[Rig, Job, Path], str]
"""Does harm while a job is under way; says what."""


@dataclass
class _Seen:
    """What became of one disturbance."""

    failures: list[str] = field(default_factory=list[str])
    details: list[str] = field(default_factory=list[str])


def run(_: Scale, folder: Path) -> Sequence[Outcome]:
    """Do both jobs once with each disturbance, and compare with what one process made."""
    if lacks := programs.missing():
        return [Outcome("jobs spread over a stack of machines", 0, (), 0.0, "", skipped=lacks)]
    extraction, search = Extraction(folder), Search(folder)
    with tempfile.TemporaryDirectory(prefix="polyspace-scale-") as name:
        place, workplace = Path(name), folder / "stack"
        place.chmod(0o711)
        workplace.mkdir()
        ports = Ports.free(PARTS - MACHINES)
        variables = {"POLYSPACE_ACCESS_LOG": "stderr"}
        logs = folder / "logs"
        with (
            topology.running(place, logs, ports, workplace=workplace, variables=variables) as stack,
            machines.plugged_in(stack, folder / "machines", MACHINES) as plugged,
        ):
            rig = Rig(stack, folder, plugged, extraction, search)
            rig.unchain()
            return [_suffer(rig, name, disturb) for name, disturb in DISTURBANCES.items()]


def _suffer(rig: Rig, name: str, disturb: Disturbance) -> Outcome:
    """Do both jobs while something is wrong."""
    started, seen = time.monotonic(), _Seen()
    for job in (rig.extraction, rig.search):
        _do(rig, job, name, disturb, seen)
    seconds = time.monotonic() - started
    promise = f"extraction and sweep by {PARTS} workers, {name}: as one process makes them"
    return Outcome(promise, 2, tuple(seen.failures), seconds, "; ".join(seen.details))


def _do(rig: Rig, job: Job, name: str, disturb: Disturbance, seen: _Seen) -> None:
    """Start a job as a person would, disturb it, wait for its end, and look at everything."""
    since, began = int(time.time() * 1000), time.monotonic()
    before = rig.stack.log("proxy").stat().st_size
    out = rig.folder / name.replace(" ", "_") / job.name
    process = _start(rig, job, out)
    try:
        harm = disturb(rig, job, out)
        status = process.wait(PATIENCE_SECONDS)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        seen.failures.append(f"{name}, {job.name}: {error}")
        return
    finally:
        process.kill()
        process.wait()
    seconds = time.monotonic() - began
    if status:
        said = out.with_suffix(".txt").read_text()[-2000:]
        seen.failures.append(f"{name}, {job.name}: ended with {status}: {said}")
        return
    found = [*job.differences(out), *rigs.unsettled(rig, since)]
    waited = rigs.sync(rig)
    found += rigs.points(rig, job, since)
    seen.failures += [f"{name}, {job.name}: {what}" for what in found]
    ends = rigs.states(rig, since)
    calls, failed = rigs.calls(rig, before)
    seen.details.append(
        f"{job.name} {seconds:.0f} s ({harm}): flow runs {rigs.counted(ends)}; {calls:,} calls by "
        f"the proxy, of which servers failed at {rigs.counted(failed) or 'none'}; "
        f"{waited} MLflow runs waited on disk"
    )
    while len(rig.machines) < MACHINES:
        machines.add(rig.machines, rig.stack, rig.folder / "machines")


def _start(rig: Rig, job: Job, out: Path) -> subprocess.Popen[bytes]:
    """Type the command of a job on a person's machine."""
    place = rig.folder / "person"
    place.mkdir(exist_ok=True)
    out.parent.mkdir(exist_ok=True)
    with out.with_suffix(".txt").open("wb") as said:
        return subprocess.Popen(
            (sys.executable, "-m", *job.command(out, PARTS)),
            cwd=place,
            env=jobs.environment(place) | rig.stack.client(),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _nothing(_: Rig, job: Job, out: Path) -> str:
    _await(lambda: job.holders(out))
    return "left alone"


def _lose_machine(rig: Rig, job: Job, out: Path) -> str:
    """Cut the power of a machine that has some of the work in hand."""

    def victims() -> list[Machine]:
        holders = job.holders(out)
        return [machine for machine in rig.machines if machine.pids() & holders]

    victim = _await(victims)[0]
    count = len(victim.pids())
    victim.lose()
    rig.machines.remove(victim)
    machines.add(rig.machines, rig.stack, rig.folder / "machines")
    return f"{count} processes killed"


def _restarted(service: str, outage_seconds: float = 0.0) -> Disturbance:
    """Give the disturbance of a service that is down for a while."""

    def disturb(rig: Rig, job: Job, out: Path) -> str:
        _await(lambda: job.holders(out))
        began = time.monotonic()
        rig.stack.stop(service)
        time.sleep(outage_seconds)
        rig.stack.start(service)
        rig.stack.wait(service)
        return f"down for {time.monotonic() - began:.0f} s"

    return disturb


DISTURBANCES: Mapping[str, Disturbance] = {
    "nothing wrong": _nothing,
    "a machine lost": _lose_machine,
    "PostgreSQL restarted": _restarted("postgres"),
    "Prefect restarted": _restarted("prefect"),
    "MLflow down": _restarted("mlflow", OUTAGE_SECONDS),
}


def _await(look: Callable[[], T]) -> T:
    """Wait until there is something; give it.

    Raises:
        TimeoutError: There never was.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("the job never got under way")
        time.sleep(0.1)
    return found
