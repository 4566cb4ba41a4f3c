"""Converters to a fusion head: ``python -m flows.train_fusion --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.train.train_fusion import FusionConfig
from tasks import fusion, names


@flow(name="train_fusion", flow_run_name=names.of_flow("train_fusion"))
def train_fusion(config: FusionConfig) -> Path:
    """Train the fusion head over translated features; return the checkpoint of the best epoch.

    Args:
        config: Which clips, which converters, and how to train.
    """
    return fusion.train(config)


def main(config: FusionConfig) -> None:
    """Run the flow and say where its result is."""
    temporary.server()
    console.say(str(train_fusion(config)))


if __name__ == "__main__":
    console.run(FusionConfig, main)
