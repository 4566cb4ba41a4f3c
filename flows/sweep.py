"""Many settings of one stage, compared in one table: ``python -m flows.sweep --help``."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows import temporary
from polyspace import console
from polyspace.train.sweep import SweepConfig
from tasks import names, parts, sweeps
from tasks.tracking import Tracker

PATIENCE_SECONDS = 300.0


class SweepCommand(SweepConfig):
    """Train one stage with many settings, and compare them on held-out groups of its split.

    --search takes what is tried, written as NAME=A,B,C or NAME=LOW..HIGH (LOW..HIGH:log for
    magnitudes); after the name of the stage come its own options, which all trials share:

    python -m flows.sweep --search lr=1e-4..1e-2:log rank=16,64,256 fusion --dataset ucf101 …

    The same command goes on after a stop; typed in several terminals it is shared by all of them.
    """

    distribute: Annotated[int, Field(ge=0)] = 0
    """Parts to hand out to workers; 0: trials run here."""
    patience_seconds: Annotated[float, Field(gt=0)] = PATIENCE_SECONDS
    """How long to wait for workers while nobody is at work."""
    deployment: str = parts.DEPLOYMENT
    """Which deployment of `sweep_part` does parts: local-gpu for the workers of GPUs."""
    track: bool = True
    """Record the runs in MLflow; the results are the same without."""


@flow(name="sweep", flow_run_name=names.of_flow("sweep"))
def sweep(
    config: SweepConfig,
    distribute: Annotated[int, Field(ge=0)] = 0,
    patience_seconds: Annotated[float, Field(gt=0)] = PATIENCE_SECONDS,
    deployment: str = parts.DEPLOYMENT,
    track: bool = True,
) -> Path:
    """Train a stage with many settings; return the table that compares them.

    Args:
        config: Which stage, what is searched, and how.
        distribute: Parts to hand out to workers; 0: trials run here.
        patience_seconds: How long to wait for workers while nobody is at work.
        deployment: Which deployment of sweep_part does parts: local-gpu for the workers of GPUs.
        track: Whether the runs are recorded in MLflow.
    """
    with sweeps.tracked(config, enabled=track) as tracker:
        if distribute:
            sweeps.distribute(config, distribute, patience_seconds, deployment, tracker)
        else:
            sweeps.run(config, tracker)
        return sweeps.conclude(config, tracker)


@flow(name="sweep_part")
def sweep_part(config: SweepConfig, track: bool = True, parent_id: str | None = None) -> None:
    """Run what is free of a sweep that several workers share.

    Args:
        config: The sweep.
        track: Whether the runs are recorded in MLflow.
        parent_id: The MLflow run that they nest under.
    """
    sweeps.share(config, Tracker(track, parent_id))


def main(options: SweepCommand) -> None:
    """Refuse what can't be searched, and run the flow."""
    config = SweepConfig(**{name: getattr(options, name) for name in SweepConfig.model_fields})
    sweeps.identity(config)
    if options.distribute:
        # Before this command gets a server of its own, which no worker knows.
        parts.refuse_unreachable()
    settings = (options.distribute, options.patience_seconds, options.deployment)
    temporary.server()
    sweep(config, *settings, options.track)


if __name__ == "__main__":
    console.run(SweepCommand, main)
