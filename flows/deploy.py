"""Pools, queues and deployments, registered with the Prefect server: ``python -m flows.deploy``."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events import AutomationCore, DeploymentTriggerTypes
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.workers.process import ProcessWorker
from pydantic import Field, TypeAdapter

from flows import forms, projects, watching
from flows.projects import Deployment, Pool
from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import parts

FILE = Path(__file__).parents[1] / "deployments" / "prefect.yaml"
TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)


class DeployConfig(Config):
    """Register pools, queues, deployments and automations with the server at PREFECT_API_URL.

    What is registered already is brought up to date; schedules and automations stay switched on or
    off as they are.
    """

    file: Path = FILE
    """What is registered: deployments/prefect.yaml, docker.yaml or kubernetes.yaml."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs of the machine that has most; each gets a queue, gpu-0 and so on."""
    watch: bool = True
    """Have the server look after lost runs, which it notes with every sign of life: for PostgreSQL;
    a server on SQLite answers "database is locked" then, and is as lost as its one machine."""


def main(config: DeployConfig) -> None:
    """Register everything, and say how a worker is started."""
    parts.refuse_unreachable()
    project = projects.read(config.file)
    with get_client(sync_client=True) as client:
        for pool in project.pools:
            _make_pool(client, pool, config.gpus)
        for deployment in project.deployments:
            _register(client, deployment)
        for automation in watching.automations() if config.watch else ():
            keep(client, automation)
    console.say(parts.remedy(project.pools[0].name))


def _make_pool(client: SyncPrefectClient, pool: Pool, gpus: int) -> None:
    """Make a pool and its queues, where there are none of these names."""
    job = template(pool, client.read_worker_metadata)
    wanted = WorkPoolCreate(
        name=pool.name, type=pool.type, description=pool.description, base_job_template=job
    )
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(wanted)
    has_queues = pool.has_gpus and pool.type == ProcessWorker.type
    for number in range(gpus if has_queues else 0):
        with suppress(ObjectAlreadyExists):
            client.create_work_queue(
                name=parts.queue(number),
                description=f"Runs for GPU {number} and no other.",
                work_pool_name=pool.name,
            )


def template(pool: Pool, metadata: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give what the pool's kind of worker takes.

    Args:
        pool: Whose.
        metadata: Asks the server which kinds there are, where it isn't a process.

    Raises:
        ConfigError: The server knows no such kind.
    """
    if pool.type == ProcessWorker.type:
        return ProcessWorker.get_default_base_job_template()
    kinds: dict[str, Any] = {
        kind: about for package in metadata().values() for kind, about in package.items()
    }
    if pool.type not in kinds:
        raise ConfigError(f"pool {pool.name} is of type {pool.type}: expected one of {[*kinds]}")
    found = kinds[pool.type]["default_base_job_configuration"]
    if pool.limits:
        pod = found["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
        pod["containers"][0]["resources"]["limits"] |= pool.limits
    return found


def _register(client: SyncPrefectClient, deployment: Deployment) -> None:
    """Make a deployment, or bring it up to date."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(
        deployment.entrypoint, use_placeholder_flow=False
    )
    deployment_id = client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=deployment.name,
        version=deployment.version,
        description=deployment.description,
        tags=list(deployment.tags),
        work_pool_name=deployment.work_pool.name,
        work_queue_name=deployment.work_pool.work_queue_name,
        job_variables=deployment.work_pool.job_variables,
        entrypoint=deployment.entrypoint,
        pull_steps=[],
        parameters=deployment.parameters,
        parameter_openapi_schema=forms.schema(flow),
        enforce_parameter_schema=True,
        schedules=projects.schedules(deployment, _active(client, flow.name, deployment.name)),
    )
    for trigger in deployment.triggers:
        _automate(client, deployment_id, trigger)


def _active(client: SyncPrefectClient, flow: str, name: str) -> Mapping[str, bool]:
    """Say which schedules of a deployment are switched on, by slug."""
    try:
        found = client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        return {}
    return {schedule.slug: schedule.active for schedule in found.schedules if schedule.slug}


def _automate(client: SyncPrefectClient, deployment_id: UUID, words: Mapping[str, Any]) -> None:
    """Make an automation that starts a deployment, or bring it up to date."""
    trigger = TRIGGER.validate_python(words)
    trigger.set_deployment_id(deployment_id)
    keep(client, trigger.as_automation())


def keep(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Have the server do something by itself; whether it is switched on is left as it is."""
    known = client.read_automations_by_name(wanted.name)
    if not known:
        client.create_automation(wanted)
    said = wanted.model_dump(exclude={"owner_resource", "enabled"})
    for found in known:
        # One that is written anew forgets which runs it was waiting for.
        if found.model_dump(include=set(said)) != said:
            whole = {**said, "enabled": found.enabled}
            client.update_automation(found.id, AutomationCore.model_validate(whole))


if __name__ == "__main__":
    console.run(DeployConfig, main)
