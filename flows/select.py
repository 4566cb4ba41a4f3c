"""The best of several MLflow runs: ``python -m flows.select --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from tasks import names, selections
from tasks.selections import SelectRunsConfig


@flow(name="select", flow_run_name=names.of_flow("select"))
def select(config: SelectRunsConfig) -> Path:
    """Choose the best checkpoint of several runs; return its folder.

    Args:
        config: Which runs, and what is wanted.
    """
    return selections.choose(config)


def main(config: SelectRunsConfig) -> None:
    """Run the flow and say where its result is."""
    temporary.server()
    console.say(f"wrote {select(config)}")


if __name__ == "__main__":
    console.run(SelectRunsConfig, main)
