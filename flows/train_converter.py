"""Feature stores to converters: ``python -m flows.train_converter --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.train.train_converter import ConverterConfig
from tasks import converters, names


@flow(name="train_converter", flow_run_name=names.of_flow("train_converter"))
def train_converter(config: ConverterConfig) -> Path:
    """Train the converters into each teacher's space; return the checkpoint of the best epoch.

    Args:
        config: Which features, which teachers, and how to train.
    """
    return converters.train(config)


def main(config: ConverterConfig) -> None:
    """Run the flow and say where its result is."""
    temporary.server()
    console.say(str(train_converter(config)))


if __name__ == "__main__":
    console.run(ConverterConfig, main)
