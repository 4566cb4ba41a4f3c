"""Several evaluations side by side: ``python -m flows.compare --help``."""

from pathlib import Path
from typing import Annotated

import tyro
from prefect import flow
from pydantic import Field

from flows import temporary
from polyspace import console
from polyspace.config import Config
from tasks import names, runs


class CompareConfig(Config):
    """Compare the fusions of several evaluations on the clips that they share."""

    runs: Annotated[tyro.conf.Positional[tuple[str, ...]], Field(min_length=2)]
    """Folders of evaluations, or ids of their MLflow runs; all are compared with the first."""
    out: Path = Path("runs/comparison")
    """Folder for compare.html, compare.md, compare.csv and compare.json."""


@flow(name="compare", flow_run_name=names.of_flow("compare"))
def compare(config: CompareConfig) -> Path:
    """Compare several evaluations; return the report.

    Args:
        config: Which, and where the report goes.
    """
    return runs.write(config.runs, config.out)


def main(config: CompareConfig) -> None:
    """Run the flow and say where the report is."""
    temporary.server()
    console.say(f"wrote {compare(config)}")


if __name__ == "__main__":
    console.run(CompareConfig, main)
