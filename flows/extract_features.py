"""Videos to feature stores: ``python -m flows.extract_features --help``."""

from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import Field

from flows import temporary
from polyspace import console
from polyspace.data.featurize import FeaturizeConfig
from tasks import features, names, parts

PATIENCE_SECONDS = 300.0


class ExtractConfig(FeaturizeConfig):
    """Run every backbone once over every clip of a data set, here or on many workers.

    What is finished already is not done again: run the same command to go on after a stop, or name
    further teachers to add them.
    """

    distribute: Annotated[int, Field(ge=0)] = 0
    """Parts to hand out to workers; 0: all is done here."""
    patience_seconds: Annotated[float, Field(gt=0)] = PATIENCE_SECONDS
    """How long to wait for workers while nobody is at work."""
    deployment: str = parts.DEPLOYMENT
    """Which deployment of `extract_part` does parts: local-gpu for the workers of GPUs."""


@flow(name="extract_features", flow_run_name=names.of_flow("extract_features"))
def extract_features(
    config: FeaturizeConfig,
    distribute: Annotated[int, Field(ge=0)] = 0,
    patience_seconds: Annotated[float, Field(gt=0)] = PATIENCE_SECONDS,
    deployment: str = parts.DEPLOYMENT,
) -> Path:
    """Run every backbone over every clip of a data set; return the folder of the stores.

    Args:
        config: Which clips and backbones, and where the stores go.
        distribute: Parts to hand out to workers; 0: all is done here.
        patience_seconds: How long to wait for workers while nobody is at work.
        deployment: Which deployment of extract_part does parts: local-gpu for the workers of GPUs.
    """
    if distribute:
        return features.distribute(config, distribute, patience_seconds, deployment)
    return features.extract(config)


@flow(name="extract_part")
def extract_part(config: FeaturizeConfig, stores: list[Path]) -> None:
    """Do what is free of an extraction that several workers share.

    Args:
        config: Which clips and backbones.
        stores: The stores that `extract_features` has made for it.
    """
    features.share(config, stores)


def main(options: ExtractConfig) -> None:
    """Run the flow and say where its result is."""
    if options.distribute:
        # Before this command gets a server of its own, which no worker knows.
        parts.refuse_unreachable()
    names = FeaturizeConfig.model_fields
    config = FeaturizeConfig(**{name: getattr(options, name) for name in names})
    settings = (options.distribute, options.patience_seconds, options.deployment)
    temporary.server()
    console.say(str(extract_features(config, *settings)))


if __name__ == "__main__":
    console.run(ExtractConfig, main)
