"""One setting, and everything of it changed one at a time: ``python -m flows.ablate --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.train.ablation import AblationConfig
from tasks import ablations, names


class AblateCommand(AblationConfig):
    """Change everything of one setting, one at a time, and say what each change does to accuracy.

    Every variation is trained with every seed and scored once on the test split, beside the
    student alone under the same classifier and seed. What is done already is not done again.

    python -m flows.ablate --dataset motion --features runs/demo/features --student transnetv2
    --teachers motion_vectors efficientnet_lite0 --seeds 3 --out runs/ablation
    """

    table_only: bool = False
    """Make table and picture again of what was measured, and train nothing."""
    track: bool = True
    """Record the runs in MLflow; the results are the same without."""


@flow(name="ablate", flow_run_name=names.of_flow("ablate"))
def ablate(config: AblationConfig, table_only: bool = False, track: bool = True) -> Path:
    """Measure the base and every variation of it; return the table that compares them.

    Args:
        config: What the base is, what is changed of it, and where everything goes.
        table_only: Make the table of what was measured, and train nothing.
        track: Whether the runs are recorded in MLflow.
    """
    with ablations.tracked(config, enabled=track) as tracker:
        for variation in () if table_only else ablations.plan(config):
            ablations.measure(config, variation, tracker)
        return ablations.conclude(config, tracker)


def main(options: AblateCommand) -> None:
    """Refuse what can't be measured, and run the flow."""
    config = AblationConfig(
        **{name: getattr(options, name) for name in AblationConfig.model_fields}
    )
    ablations.plan(config)
    temporary.server()
    ablate(config, options.table_only, options.track)


if __name__ == "__main__":
    console.run(AblateCommand, main)
