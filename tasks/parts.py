"""Parts of one job, run by whoever works for the pool: handed out, looked at, and taken back."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Cancelling
from pydantic import JsonValue

from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import addresses

POOLS: Mapping[str, str] = {"cpu": "polyspace-cpu", "gpu": "polyspace-gpu"}
"""The work pools of workers that are started by hand or by systemd, by device."""
ANY_GPU = "default"
"""Queue of the pool of GPUs whose runs go to whichever is free."""
DEPLOYMENT = "local-cpu"
"""Name of the deployment that does parts, unless another is asked for."""
GONE_WITHIN_SECONDS = 30.0
"""How long a worker may take to end a part that is taken back."""
LOOK_SECONDS = 1.0
"""Between two looks at whether it has."""


@dataclass(frozen=True)
class Part:
    """A flow run that does what is free of a job."""

    name: str
    """ "part 1 of 3"."""
    run_id: UUID


@dataclass
class Parts:
    """All parts of a job, and what was seen of them last."""

    client: SyncPrefectClient
    pool: str
    """Whose workers do them."""
    members: Sequence[Part]
    states: Mapping[UUID, State[Any]]

    def look(self) -> None:
        """Ask the server how the parts are; one that doesn't answer has nothing new to say."""
        found = FlowRunFilter(id=FlowRunFilterId(any_=[part.run_id for part in self.members]))
        with suppress(httpx.HTTPError):
            runs = self.client.read_flow_runs(flow_run_filter=found)
            self.states = {run.id: run.state for run in runs if run.state}

    @property
    def have_ended(self) -> bool:
        """Whether there is nobody to wait for."""
        return not self.unfinished

    @property
    def were_taken(self) -> bool:
        """Whether any worker has taken any of them."""
        return any(state.type != StateType.SCHEDULED for state in self.states.values())

    @property
    def unfinished(self) -> Sequence[Part]:
        """Those that have not ended."""
        ended = {run_id for run_id, state in self.states.items() if state.is_final()}
        return [part for part in self.members if part.run_id not in ended]

    def account(self) -> Sequence[str]:
        """Say of every part that did not complete what became of it."""
        words: list[str] = []
        for part in self.members:
            state = self.states.get(part.run_id)
            if state is None or not state.is_final():
                was = "unknown" if state is None else state.name
                words.append(f"{part.name} is cancelled, it was {was}")
            elif not state.is_completed():
                said = f": {state.message}" if state.message else ""
                words.append(f"{part.name} ended as {state.name}{said}")
        return words

    def __str__(self) -> str:
        """Count them by state."""
        names = [str(state.name).lower() for state in self.states.values()]
        return "parts: " + ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


@contextmanager
def handed_out(
    deployment: str, parameters: Mapping[str, Any], *, count: int, about: str
) -> Generator[Parts]:
    """Hand out parts while the block runs; those that have not ended by then are cancelled.

    Args:
        deployment: FLOW/NAME of the deployment that does a part.
        parameters: Of the flow, as JSON values; the same for each part.
        count: How many parts.
        about: What the job is about, for the runs' names.

    Raises:
        ConfigError: There is no server, or it knows no such deployment.
    """
    pool = refuse_unknown(deployment)
    with get_client(sync_client=True) as client:
        members: list[Part] = []
        parts = Parts(client, pool, members, {})
        try:
            names = (f"part {number} of {count}" for number in range(1, count + 1))
            members.extend(_submit(deployment, parameters, name, about) for name in names)
            parts.look()
            yield parts
        finally:
            _cancel(parts)


def refuse_unreachable() -> None:
    """Refuse to hand anything out where there is no server that workers could ask for it.

    Raises:
        ConfigError: The message says what to start.
    """
    api = get_current_settings().api.url
    if api is None:
        raise ConfigError(
            "PREFECT_API_URL is not set, so there is no server that hands out parts: start one "
            f"with make serve, and set PREFECT_API_URL={addresses.local(addresses.PREFECT_PORT)}"
            "/api here and for the workers"
        )
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise ConfigError(
            f"no Prefect server answers at {api} ({error}): start one with make serve, or set "
            f"PREFECT_API_URL to one that runs"
        )


def refuse_unknown(deployment: str) -> str:
    """Refuse to hand out parts that no worker could do; give the pool of those that could.

    Raises:
        ConfigError: There is no server, or it knows no such deployment, or that has no pool.
    """
    refuse_unreachable()
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise ConfigError(
                f"{get_current_settings().api.url} knows no deployment {deployment}: register it "
                f"with make deploy, as make serve does, or choose one that is registered"
            ) from error
    if found.work_pool_name is None:
        raise ConfigError(f"deployment {deployment} is of no pool: register it with make deploy")
    return found.work_pool_name


def for_workers(config: Config, **changes: object) -> dict[str, JsonValue]:
    """Give the settings of a part, which may run in another folder, as JSON values.

    Args:
        config: Its paths are made absolute, those in NAME=FOLDER and inside other configs, too.
        changes: Other values for some fields.
    """
    values = {name: getattr(config, name) for name in type(config).model_fields}
    anywhere = {name: _absolute(value) for name, value in values.items()}
    return config.model_copy(update={**anywhere, **changes}).model_dump(mode="json")


def queue(gpu: int) -> str:
    """Name the queue whose runs go to one GPU and no other."""
    return f"gpu-{gpu}"


def remedy(pool: str) -> str:
    """Say how to start a worker of a pool."""
    commands = {POOLS["cpu"]: "flows.work", POOLS["gpu"]: "flows.work --gpu 0"}
    command = commands.get(pool, f"prefect worker start --pool {pool}")
    return f"PREFECT_API_URL={get_current_settings().api.url} python -m {command}"


def _submit(deployment: str, parameters: Mapping[str, Any], name: str, about: str) -> Part:
    run = run_deployment(
        deployment,
        parameters=dict(parameters),
        flow_run_name=f"{name}, {about}",
        tags=[name],
        timeout=0,
    )
    assert isinstance(run, FlowRun), "run_deployment was called from an event loop"
    return Part(name, run.id)


def _cancel(parts: Parts) -> None:
    """Take back what has not ended: nobody may begin with it when the job is over."""
    parts.look()
    for part in parts.unfinished:
        _set(parts, part, Cancelling())
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    # A copy: what is said of parts is what they were before.
    later = replace(parts)
    later.look()
    while not later.have_ended and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        later.look()
    for part in later.unfinished:
        # Otherwise the run of a machine that is lost would be shown as "Cancelling" for ever.
        _set(parts, part, Cancelled(message="its worker is gone"))


def _set(parts: Parts, part: Part, state: State[Any]) -> None:
    """Give a part's run another state, whatever the server's rules; one that is down has none."""
    with suppress(httpx.HTTPError):
        parts.client.set_flow_run_state(part.run_id, state, force=state.is_final())


def _absolute(value: Any) -> Any:  # noqa: ANN401
    """Make a setting's paths absolute, if it has any."""
    match value:
        case Config():
            found = {name: _absolute(getattr(value, name)) for name in type(value).model_fields}
            return value.model_copy(update=found)
        case Path():
            return value.absolute()
        case tuple():
            return tuple(_entry(part) if isinstance(part, str) else part for part in value)
        case _:
            return value


def _entry(entry: str) -> str:
    """Make the folder in NAME=FOLDER absolute, if it is one."""
    name, equals, folder = entry.partition("=")
    is_folder = bool(equals and folder) and Path(folder).is_dir()
    return f"{name}={Path(folder).absolute()}" if is_folder else entry
