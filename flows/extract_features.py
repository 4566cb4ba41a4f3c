"""Videos to feature stores: ``python -m flows.extract_features --help``."""

from pathlib import Path

from prefect import flow

from polyspace import console
from polyspace.data.featurize import FeaturizeConfig
from tasks import features


@flow(name="extract_features", flow_run_name="extract_features {config.dataset}")
def extract_features(config: FeaturizeConfig) -> Path:
    """Run every backbone over every clip of a data set; return the folder of the stores.

    Args:
        config: Which clips and backbones, and where the stores go.
    """
    return features.extract(config)


def main(config: FeaturizeConfig) -> None:
    """Run the flow and say where its result is."""
    console.say(str(extract_features(config)))


if __name__ == "__main__":
    console.run(FeaturizeConfig, main)
