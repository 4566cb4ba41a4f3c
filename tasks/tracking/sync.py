"""What is left in a spool, and its way to MLflow when nobody else is sending it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace.errors import RecordError
from tasks import addresses
from tasks.tracking import spool, state
from tasks.tracking.client import asked
from tasks.tracking.lines import Begin, End
from tasks.tracking.sender import Sender
from tasks.tracking.spool import Spool


@dataclass(frozen=True)
class Left:
    """A run of which something waits."""

    run_id: str
    name: str
    experiment: str
    lines: int
    """How many lines wait."""
    has_ended: bool

    def __str__(self) -> str:
        """Say it in a line."""
        ended = "ended" if self.has_ended else "not ended"
        return f"{self.run_id}  {self.lines} lines  {ended}  {self.experiment}  {self.name}"


def left(folder: Path | None = None) -> Sequence[Left]:
    """Give the runs that aren't sent to the end, the earliest first.

    Args:
        folder: The spool; None: the one that is set now.
    """
    found = spool.found(folder or spool.folder())
    return [_left(one) for one in found if state.waiting(one)]


def sync(folder: Path | None = None) -> Sequence[Left]:
    """Send everything that waits to the MLflow that is set now; give what is left then.

    Several may do so at once: each run is sent by one of them.

    Args:
        folder: The spool; None: the one that is set now.

    Raises:
        RecordError: MLflow doesn't answer; what has arrived stays there.
    """
    place = folder or spool.folder()
    uri = addresses.tracking_uri()
    with asked(f"MLflow doesn't take what waits in {place}"):
        Sender(place, uri).send_all()
    return left(place)


def refuse_missing(folder: Path) -> None:
    """Refuse a folder that isn't there, which may be a slip.

    Raises:
        RecordError: It isn't.
    """
    if not folder.is_dir():
        raise RecordError(f"{folder} is no folder: give the spool's, or none for the usual one")


def _left(one: Spool) -> Left:
    begin, ended, lines = None, False, 0
    sent = state.read(one).sent
    for read in one.read():
        begin = read.line if isinstance(read.line, Begin) else begin
        ended = isinstance(read.line, End) or (ended and not isinstance(read.line, Begin))
        lines += read.end > sent and read.line is not None
    name, experiment = (begin.name, begin.experiment) if begin else ("begun elsewhere", "?")
    return Left(one.run_id, name, experiment, lines, ended)
