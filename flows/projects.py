"""What deployments/prefect.yaml holds: pools, and every deployment with its parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.templating import apply_values
from pydantic import Field, ValidationError

from flows import presets
from polyspace.config import Config
from polyspace.errors import ConfigError

READ = "flows.presets.read"
"""The one build step that deployments have."""


class Pool(Config):
    """A work pool; Prefect's own command makes none."""

    name: str
    type: str
    description: str
    has_gpus: bool = False
    """Each GPU gets a queue, besides the one named default."""
    limits: dict[str, str] = Field(default_factory=dict)
    """What a Kubernetes job asks for besides processors and memory: {nvidia.com/gpu: "1"}."""


class Place(Config):
    """Where a deployment's runs go."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Schedule(Config):
    """When a deployment runs by itself."""

    slug: str
    """Names it; what is switched on in the UI stays on when it is deployed again."""
    cron: str
    timezone: str
    active: bool
    parameters: dict[str, Any] = Field(default_factory=dict)


class Deployment(Config):
    """One flow with complete parameters, for the workers of a pool."""

    name: str
    """ENVIRONMENT-DEVICE."""
    entrypoint: str
    """MODULE.FLOW, because the project may lie elsewhere on each machine."""
    description: str
    version: str
    tags: tuple[str, ...]
    work_pool: Place
    parameters: dict[str, Any] = Field(default_factory=dict)
    build: tuple[dict[str, dict[str, str]], ...] = ()
    pull: tuple[()] = ()
    """No steps: workers are started in the project's folder."""
    schedules: tuple[Schedule, ...] = ()
    triggers: tuple[dict[str, Any], ...] = ()


class Project(Config):
    """A whole file."""

    name: str
    pools: tuple[Pool, ...]
    shared: dict[str, Any] = Field(default_factory=dict)
    """Anchors for the rest."""
    deployments: tuple[Deployment, ...]


def read(path: Path) -> Project:
    """Read a project's file, its templates filled in.

    Raises:
        ConfigError: It isn't there, or holds something else.
    """
    if not path.is_file():
        raise ConfigError(f"there is no {path}: give --file the path of a prefect.yaml")
    try:
        found = yaml.safe_load(path.read_text())
        found["deployments"] = [_filled(entry) for entry in found["deployments"]]
        return Project.model_validate(found)
    except (yaml.YAMLError, ValidationError, KeyError, TypeError) as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"{path} describes no deployments: {words}") from error


def schedules(deployment: Deployment, active: Mapping[str, bool]) -> list[DeploymentScheduleCreate]:
    """Give a deployment's schedules.

    Args:
        deployment: Which.
        active: Those that the server knows, by slug: whether somebody has switched them on.
    """
    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
            active=active.get(schedule.slug, schedule.active),
            parameters=schedule.parameters,
            slug=schedule.slug,
        )
        for schedule in deployment.schedules
    ]


def _filled(entry: dict[str, Any]) -> dict[str, Any]:
    """Run a deployment's build steps, and fill in what they give."""
    values: dict[str, Any] = {}
    for step in entry.get("build", ()):
        values[step[READ]["id"]] = presets.read(step[READ]["name"])
    # Those of triggers are filled in by the server, when there is an event.
    triggers = {"triggers": entry["triggers"]} if "triggers" in entry else {}
    return {**apply_values(entry, values), **triggers}
