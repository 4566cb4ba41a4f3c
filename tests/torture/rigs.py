"""A stack with machines, and what its servers know of the jobs that they were given."""

import csv
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.events import AutomationCore
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from flows.services import programs
from flows.services.topology import Stack
from tasks.tracking import spool, state
from tests.torture import jobs
from tests.torture.jobs import Extraction, Job, Points, Search
from tests.torture.machines import Machine

CHAIN = "features finished, train converters on CPU"
SETTLED_WITHIN_SECONDS = 30.0
"""How long Prefect may take to hear of the last run's end."""


@dataclass
class Rig:
    """A stack, its machines, and the jobs that they are given."""

    stack: Stack
    folder: Path
    machines: list[Machine]
    extraction: Extraction
    search: Search

    def sql(self, database: str, query: str) -> list[list[str]]:
        """Ask a database; give the rows."""
        ask = (programs.find("psql"), "--username=postgres", f"--dbname={database}")
        done = subprocess.run(
            (*ask, "--csv", "--tuples-only", "--command", query),
            env=self.stack.database(),
            capture_output=True,
            text=True,
            check=True,
        )
        return [*csv.reader(done.stdout.splitlines())]

    def unchain(self) -> None:
        """Keep finished stores from starting trainings, which nobody asks for here."""
        with temporary_settings(self.settings), get_client(sync_client=True) as client:
            for found in client.read_automations_by_name(CHAIN):
                fields = set(AutomationCore.model_fields) - {"owner_resource"}
                said = found.model_dump(include=fields)
                changed = AutomationCore.model_validate({**said, "enabled": False})
                client.update_automation(found.id, changed)

    @property
    def settings(self) -> dict[Any, str]:
        """Give what this process needs to ask Prefect."""
        return {
            PREFECT_API_URL: f"{self.stack.prefect}/api",
            PREFECT_API_AUTH_STRING: self.stack.secret("prefect_auth"),
            PREFECT_API_SSL_CERT_FILE: str(self.stack.authority),
        }

    def places(self) -> Iterator[tuple[Path, Mapping[str, str]]]:
        """Give each folder that something may wait in for MLflow, and how to get there."""
        client = self.stack.client()
        direct = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.stack.ports.mlflow}"}
        assert self.stack.workplace
        yield self.stack.workplace, {**client, **direct}
        for place in [self.folder / "person", *(machine.workplace for machine in self.machines)]:
            yield place, client


def unsettled(rig: Rig, since: int) -> Iterator[str]:
    """Name the flow runs that are not over though the job is."""
    query = f"""SELECT name, state_name FROM flow_run WHERE created >= to_timestamp({since / 1000})
    AND state_type NOT IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"""
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while (left := rig.sql("prefect", query)) and time.monotonic() < deadline:
        time.sleep(1)
    yield from (f"flow run {' is '.join(row)}" for row in left)


def states(rig: Rig, since: int) -> Counter[str]:
    """Count the flow runs since by their states."""
    query = f"SELECT state_name FROM flow_run WHERE created >= to_timestamp({since / 1000})"
    return Counter(row[0] for row in rig.sql("prefect", query))


def sync(rig: Rig) -> int:
    """Send what still waits on any machine that is left; count the runs."""
    count = 0
    for place, access in rig.places():
        spools = [one for folder in place.glob("runs/spool/*") for one in spool.found(folder)]
        waiting = [one for one in spools if state.waiting(one)]
        count += len(waiting)
        if waiting:
            subprocess.run(
                (sys.executable, "-m", "flows.track", "sync"),
                cwd=place,
                env=jobs.environment(place) | dict(access),
                check=True,
                stdout=subprocess.DEVNULL,
            )
    return count


def points(rig: Rig, job: Job, since: int) -> Iterator[str]:
    """Say what MLflow lacks, has twice, or shows as running."""
    query = f"SELECT name, status FROM runs WHERE start_time >= {since}"
    left = [row for row in rig.sql("mlflow", query) if row[1] != "FINISHED"]
    yield from (f"MLflow run {' is '.join(row)}" for row in left)
    if not isinstance(job, Search):
        return
    nested = f"""SELECT runs.name FROM runs LEFT JOIN tags ON tags.run_uuid = runs.run_uuid
    AND tags.key = 'mlflow.parentRunId' WHERE runs.name LIKE 'trial %' AND tags.value IS NULL
    AND runs.start_time >= {since}"""
    yield from (f"MLflow run {name} nests under no other" for (name,) in rig.sql("mlflow", nested))
    rows = rig.sql("mlflow", jobs.POINTS.format(since=since))
    found: Points = Counter((name, key, int(step), float(value)) for name, key, step, value in rows)
    for what, few in (("lacks", job.points - found), ("has besides", found - job.points)):
        if few:
            yield f"MLflow {what} {few.total()} points of {job.points.total()}: {[*few][:3]}"


def calls(rig: Rig, before: int) -> tuple[int, Counter[str]]:
    """Count the calls that went by the proxy since, and those that a server failed at."""
    with rig.stack.log("proxy").open("rb") as log:
        log.seek(before)
        lines = [json.loads(line) for line in log if b'"http.log.access' in line]
    failed = Counter(str(line["status"]) for line in lines if line["status"] >= 500)
    return len(lines), failed


def counted(seen: Mapping[str, int]) -> str:
    """Say how often what was seen."""
    return ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
