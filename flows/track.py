"""What MLflow has still to be told: ``python -m flows.track list``, and ``… sync`` to send it."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from tyro.conf import arg, subcommand

from polyspace import console
from polyspace.config import Config
from polyspace.errors import RecordError
from tasks.tracking import pruning, spool, sync


class List(Config):
    """List the runs of which something waits."""

    folder: Path | None = None
    """The spool; the one of $MLFLOW_TRACKING_URI, unless given."""


class Sync(Config):
    """Send what waits to $MLFLOW_TRACKING_URI; nothing is sent to more effect than once.

    Runs that ended long ago, and that MLflow has in full, are removed from the spool then.
    """

    folder: Path | None = None
    """The spool; the one of $MLFLOW_TRACKING_URI, unless given."""
    keep_days: Annotated[float | None, Field(ge=0)] = None
    """Days for which runs are kept in the spool; $POLYSPACE_SPOOL_DAYS, or else 30."""


class TrackConfig(Config):
    """Look after what runs told while MLflow didn't answer."""

    command: Annotated[
        Annotated[List, subcommand("list")] | Annotated[Sync, subcommand("sync")],
        arg(name=""),
    ]


def main(config: TrackConfig) -> None:
    """Do what was asked of the spool."""
    folder = config.command.folder
    if folder is not None:
        sync.refuse_missing(folder)
    before = sync.left(folder)
    if isinstance(config.command, List):
        console.say("\n".join(map(str, before)) or f"nothing waits in {folder or spool.folder()}")
        return
    pruning.hold((folder or spool.folder()).absolute())
    after = sync.sync(folder)
    console.say(f"{len(before) - len(after)} of {len(before)} runs sent")
    _prune(config.command)
    if after:
        names = ", ".join(one.run_id for one in after)
        raise RecordError(
            f"{len(after)} runs are left ({names}): another process is sending them, or MLflow "
            f"refuses them for the reasons above; mend that, and sync again"
        )


def _prune(command: Sync) -> None:
    days = pruning.keep_days() if command.keep_days is None else command.keep_days
    gone = pruning.prune((command.folder or spool.folder()).absolute(), days)
    if gone is None:
        console.say("nothing was removed: another process is at work in the spool")
    elif gone:
        console.say(f"{len(gone)} runs of more than {days:g} days ago removed: MLflow has them")


if __name__ == "__main__":
    console.run(TrackConfig, main)
