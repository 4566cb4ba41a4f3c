"""The command line ``polyspace``.

Extraction, training and evaluation have commands of their own, ``python -m`` and the name of their
module; this one looks at what they need, and after what they left.
"""

from typing import Annotated, NoReturn

from tyro.conf import arg, subcommand

from polyspace import console
from polyspace.cli import data, doctor, estimate, predict, report, store
from polyspace.cli.data import Data
from polyspace.cli.doctor import Doctor
from polyspace.cli.estimate import Estimate
from polyspace.cli.predict import Predict
from polyspace.cli.report import Compare, Report
from polyspace.cli.store import Store
from polyspace.config import Config
from polyspace.export import select_best
from polyspace.export.select_best import SelectConfig
from polyspace.models.backbones.registry import NAMES


class Backbones(Config):
    """List the backbones that --student and --teachers take."""


class Command(Config):
    """Look at what PolySpace needs, and after what it has made."""

    command: Annotated[
        Annotated[Doctor, subcommand("doctor")]
        | Annotated[Estimate, subcommand("estimate")]
        | Annotated[Data, subcommand("data")]
        | Annotated[Store, subcommand("store")]
        | Annotated[Predict, subcommand("predict")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Compare, subcommand("compare")]
        | Annotated[SelectConfig, subcommand("select")]
        | Annotated[Backbones, subcommand("backbones")],
        arg(name=""),
    ]


def main() -> NoReturn:
    """Run the command that was typed."""
    console.run(Command, _run)


def _run(command: Command) -> None:
    match command.command:
        case Doctor() as asked:
            doctor.run(asked)
        case Estimate() as asked:
            estimate.run(asked)
        case Data() as asked:
            data.run(asked)
        case Store() as asked:
            store.run(asked)
        case Predict() as asked:
            predict.run(asked)
        case Report() as asked:
            report.write(asked)
        case Compare() as asked:
            report.compare(asked)
        case SelectConfig() as asked:
            select_best.main(asked)
        case Backbones():
            console.say("\n".join(NAMES))


if __name__ == "__main__":
    main()
