"""Everything trained to one honest table: ``python -m flows.evaluate --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.train.evaluate import EvaluateConfig
from tasks import evaluation, names


@flow(name="evaluate", flow_run_name=names.of_flow("evaluate"))
def evaluate(config: EvaluateConfig) -> Path:
    """Score the fusion head and every baseline once on the test split; return the record.

    Args:
        config: Which features and checkpoints.
    """
    return evaluation.score(config)


def main(config: EvaluateConfig) -> None:
    """Run the flow and say where its result is."""
    temporary.server()
    console.say(str(evaluate(config)))


if __name__ == "__main__":
    console.run(EvaluateConfig, main)
