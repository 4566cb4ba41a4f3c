"""Whole machines lost in the middle of real work: noticed, taken up, finished, byte for byte."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client

from flows import watching
from polyspace import console
from tasks import parts
from tests.support.naps import doze
from tests.torture.outcome import Outcome, Scale
from tests.torture.site import Machine, Site, equip, site, wait_until
from tests.torture.workshop import Work, Workshop

PROMISE = (
    f"a machine lost with all it ran: noticed in {watching.NOTICED_SECONDS} s, taken up, completed "
    "as if undisturbed; no healthy run is ever taken for lost"
)
AT_ONCE = 4
"""Machines that work, and are lost, beside each other."""
LONGEST_WAIT_SECONDS = 1.0
"""Between seeing that work is done and losing the machine."""
HEALTHY = 2
PATIENCE_SECONDS = 1200.0
"""For machines that share two cores with many others."""


@dataclass
class Loss:
    """A run whose machine was lost."""

    work: Work
    run: UUID
    machine: Machine
    process: int
    """Of the run, on that machine."""
    lost_at: float
    """By this machine's clock, as the server's times are."""
    noticed_seconds: float = 0.0
    """After the loss, the run was crashed,"""
    begun_seconds: float = 0.0
    """another machine was at it,"""
    finished_seconds: float = 0.0
    """and it was complete."""


@dataclass
class Seen:
    losses: list[Loss] = field(default_factory=list[Loss])
    downs: list[float] = field(default_factory=list[float])
    """How long the server was away, in seconds."""
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Lose machines until enough of them are lost; look after runs that nothing happens to."""
    started, seen, draw = time.monotonic(), Seen(), random.Random(5)
    workshop = Workshop.open(folder)
    with site(folder / "site") as found, get_client(sync_client=True) as api:
        equip(api, HEALTHY)
        healthy = _begin_healthy(api, found)
        while len(seen.losses) < scale.losses and not seen.failures:
            first = len(seen.losses)
            numbers = range(first, min(first + AT_ONCE, scale.losses))
            batch = lose(api, found, [workshop.work(number) for number in numbers], draw)
            seen.losses += batch
            follow(api, batch, seen)
            seen.failures += [line for loss in batch for line in workshop.differences(loss.work)]
            for machine in found.machines[HEALTHY:]:
                machine.lose()
            if not first:
                seen.downs.append(_restart(found))
        if scale.losses > AT_ONCE:
            # Longer than a run may be silent: without more time after it, all would be lost.
            seen.downs.append(_restart(found, 1.5 * watching.WITHIN_SECONDS))
            time.sleep(watching.NOTICED_SECONDS)
        seen.failures += [line for run_id in healthy for line in _not_well(api, run_id)]
    return _outcome(seen, time.monotonic() - started)


def _begin_healthy(api: SyncPrefectClient, found: Site) -> list[UUID]:
    """Begin runs that go on until the end, on machines that nothing happens to."""
    deployment = api.create_deployment(
        flow_id=api.create_flow_from_name(doze.name),
        name="local-gpu",
        work_pool_name=parts.POOLS["gpu"],
        work_queue_name=parts.ANY_GPU,
        entrypoint="tests.support.naps.doze",
        pull_steps=[],
        tags=["polyspace"],
        job_variables={"working_dir": ".", "command": "python -m flows.attempt"},
    )
    for number in range(HEALTHY):
        found.machine(gpu=number)
    runs = [api.create_flow_run_from_deployment(deployment).id for _ in range(HEALTHY)]
    wait_until(
        lambda: all(names_of(api, run_id)[-1] == "Running" for run_id in runs), "the healthy"
    )
    return runs


def lose(
    api: SyncPrefectClient,
    found: Site,
    works: Sequence[Work],
    draw: random.Random,
    how: Callable[[Machine], None] = Machine.lose,
) -> list[Loss]:
    """Give work to machines, and lose each of them while it is at it; others stand ready."""
    for _ in works:
        found.machine()
    waiting = {_submit(api, work): work for work in works}
    losses = list[Loss]()

    def all_are_lost() -> bool:
        for run_id, work in list(waiting.items()):
            if work.has_begun():
                time.sleep(draw.uniform(0, LONGEST_WAIT_SECONDS))
                losses.append(_lose_one(api, found, run_id, waiting.pop(run_id), how))
                found.machine()
        return not waiting

    wait_until(all_are_lost, "work to begin", PATIENCE_SECONDS)
    return losses


def _lose_one(
    api: SyncPrefectClient, found: Site, run_id: UUID, work: Work, how: Callable[[Machine], None]
) -> Loss:
    process = int(str(api.read_flow_run(run_id).infrastructure_pid))
    machine = next(machine for machine in found.machines if machine.has(process))
    how(machine)
    return Loss(work, run_id, machine, process, time.time())


def _submit(api: SyncPrefectClient, work: Work) -> UUID:
    deployment = api.read_deployment_by_name(work.deployment).id
    values = {"config": work.config.model_dump(mode="json")}
    return api.create_flow_run_from_deployment(deployment, parameters=values).id


def follow(api: SyncPrefectClient, batch: Sequence[Loss], seen: Seen) -> None:
    """Wait until lost runs are complete, and look at what became of each."""

    def all_have_ended() -> bool:
        names = [names_of(api, loss.run) for loss in batch]
        return all(said[-1] in ("Completed", "Failed") for said in names)

    wait_until(all_have_ended, "lost runs to be completed", PATIENCE_SECONDS)
    for loss in batch:
        states = api.read_flow_run_states(loss.run)
        after = {state.name: state.timestamp.timestamp() - loss.lost_at for state in states}
        said = " > ".join(state.name or "" for state in states)
        loss.noticed_seconds = after.get("Crashed", 0.0)
        loss.begun_seconds, loss.finished_seconds = after["Running"], after.get("Completed", 0.0)
        console.say(f"{loss.work.deployment}: lost, then {said}; {_in_words(loss)}")
        if not 0 < loss.noticed_seconds <= watching.NOTICED_SECONDS:
            seen.failures.append(f"noticed after {loss.noticed_seconds:.0f} s: {said}")
        if said.count("Crashed") != 1 or not said.endswith("Completed"):
            seen.failures.append(f"{loss.work.folder.parent.name} went {said}")


def _in_words(loss: Loss) -> str:
    seconds = (loss.noticed_seconds, loss.begun_seconds, loss.finished_seconds)
    return "crashed, running, completed after {:.1f}, {:.1f}, {:.1f} s".format(*seconds)


def _restart(found: Site, seconds: float = 0.0) -> float:
    """Kill the server, and start it again after a time; give how long it was away."""
    begun = time.monotonic()
    found.kill_server()
    time.sleep(seconds)
    found.start_server()
    return time.monotonic() - begun


def names_of(api: SyncPrefectClient, run_id: UUID) -> list[str]:
    return [state.name or "" for state in api.read_flow_run_states(run_id)]


def _not_well(api: SyncPrefectClient, run_id: UUID) -> Iterator[str]:
    names = names_of(api, run_id)
    if names[-1] != "Running" or names.count("Running") != 1 or "Crashed" in names:
        yield f"a healthy run went {' > '.join(names)}"


def _outcome(seen: Seen, seconds: float) -> Outcome:
    losses = seen.losses

    def spread(values: Iterable[float]) -> str:
        found = sorted(values)
        return f"{median(found):.0f} s (median), {found[-1]:.0f} s (longest)"

    trained = sum(loss.work.is_training for loss in losses)
    details = (
        f"{trained} trainings and {len(losses) - trained} extractions, {AT_ONCE} at once; crashed "
        f"{spread(loss.noticed_seconds for loss in losses)} after the loss, at work again after "
        f"{spread(loss.begun_seconds for loss in losses)}, complete after "
        f"{spread(loss.finished_seconds for loss in losses)}; {HEALTHY} healthy runs beside, all "
        f"{seconds:.0f} s; the server was killed and away for "
        f"{' and '.join(f'{down:.0f} s' for down in seen.downs)}"
    )
    return Outcome(PROMISE, len(losses), tuple(seen.failures), seconds, details)
