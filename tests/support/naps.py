"""A flow that does nothing but note what it sees, for tests of workers."""

import os
import time
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from tasks import parts

JOB = {"working_dir": ".", "command": "python -m flows.attempt"}
"""How workers start a run, as deployments/prefect.yaml has it."""


@flow(name="nap")
def nap(folder: Path, seconds: float) -> None:
    """Sleep; note when it began and ended, and which GPUs it saw.

    Args:
        folder: Where the note goes.
        seconds: How long.
    """
    began = time.time()
    time.sleep(seconds)
    note = f"{began} {time.time()} {os.environ['CUDA_VISIBLE_DEVICES']}"
    (folder / f"{os.getpid()}.txt").write_text(note)


def scheduled(api: SyncPrefectClient, folder: Path) -> UUID:
    """Deploy the nap, once a minute as soon as somebody switches that on; give the deployment."""
    every_minute = DeploymentScheduleCreate(
        schedule=CronSchedule(cron="* * * * *"), active=False, slug="often"
    )
    return api.create_deployment(
        flow_id=api.create_flow_from_name(nap.name),
        name="local-cpu",
        work_pool_name=parts.POOLS["cpu"],
        entrypoint="tests.support.naps.nap",
        pull_steps=[],
        job_variables=JOB,
        parameters={"folder": str(folder), "seconds": 0.1},
        schedules=[every_minute],
    )


@flow(name="doze")
def doze() -> None:
    """Go on for ever, and be busy for a tenth of the time, without ever letting go of Python."""
    while True:
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            pass
        time.sleep(0.9)
