"""A folder of videos to a table of predictions: ``python -m flows.predict --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.inference import scoring
from polyspace.inference.scoring import ScoreConfig
from tasks import predictions


@flow(name="predict", flow_run_name="predict {config.videos}")
def predict(config: ScoreConfig) -> Path:
    """Score every video of a folder by an exported model; return the table.

    Args:
        config: Which videos, which bundle, and where the table goes.
    """
    return predictions.score(config)


def main(config: ScoreConfig) -> None:
    """Run the flow, and say what came of it."""
    temporary.server()
    path = predict(config)
    console.say(str(scoring.summary(path)))
    console.say(f"wrote {path}")


if __name__ == "__main__":
    console.run(ScoreConfig, main)
