"""One job by many workers: parts handed out, and an end that is checked where the work lies.

Who does what is between the workers and their leases. Whether all is done is asked of the work's
own records, and so is whether anybody is at work: a machine that is lost can't say so, but its
leases lapse.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from polyspace import console
from polyspace.errors import PolySpaceError
from polyspace.progress import Progress
from tasks import parts as handing
from tasks.parts import Parts

LOOK_SECONDS = 2.0
"""Between two looks at the work and the parts."""
FAREWELL_SECONDS = 60.0
"""How long parts may take to end when there is nothing left to do."""


@dataclass(frozen=True)
class Sight:
    """How far some work is."""

    total: int
    pending: int
    """Of these, how many have still to be done."""
    is_held: bool
    """Whether anybody is at work, or may still be thought to be."""


@dataclass(frozen=True)
class Job:
    """Work that parts share."""

    deployment: str
    """FLOW/NAME; does a part."""
    parameters: Mapping[str, Any]
    """Of the flow, as JSON values."""
    about: str
    """What the job is about, for the runs' names."""
    units: str
    """What is counted: "clips"."""
    look: Callable[[], Sight]
    error: type[PolySpaceError]
    """Raised when units are pending and nobody is left."""


def run(job: Job, *, parts: int, patience_seconds: float) -> Generator[Progress, None, None]:
    """Hand out parts, and wait until nothing is pending.

    Args:
        job: What to do.
        parts: How many flow runs share it.
        patience_seconds: How long to wait while nobody is at work.

    Raises:
        PolySpaceError: The job's own: units are pending, and nobody is left who could do them.
    """
    if not job.look().pending:
        return
    with handing.handed_out(
        job.deployment, job.parameters, count=parts, about=job.about
    ) as members:
        yield from _wait(job, members, patience_seconds)
    for words in members.account():
        console.say(words)
    _refuse_pending(job, members, patience_seconds)


def _wait(job: Job, parts: Parts, patience_seconds: float) -> Generator[Progress]:
    """Wait until the parts have ended, or nobody has been at work for too long."""
    seen: object = None
    since = time.monotonic()
    while True:
        parts.look()
        sight = job.look()
        done = sight.total - sight.pending
        yield Progress(done, sight.total, f"{done}/{sight.total} {job.units}, {parts}")
        if parts.have_ended:
            return
        now = sight.pending, {key: state.id for key, state in parts.states.items()}
        if sight.is_held or now != seen:
            seen, since = now, time.monotonic()
        patience = patience_seconds if sight.pending else min(FAREWELL_SECONDS, patience_seconds)
        if time.monotonic() - since > patience:
            return
        time.sleep(LOOK_SECONDS)


def _refuse_pending(job: Job, members: Parts, patience_seconds: float) -> None:
    """Refuse to go on with work that is not complete; the message says what to do."""
    pending = job.look().pending
    if not pending:
        return
    if members.have_ended:
        raise job.error(
            f"{pending} {job.units} are pending, and all parts have ended: mend what is said of "
            f"them, and start the same flow again; nothing that is done is lost"
        )
    gone = "no worker is left" if members.were_taken else f"no worker of {members.pool} took a part"
    raise job.error(
        f"{pending} {job.units} are pending, and {gone} (nothing happened for "
        f"{patience_seconds:g} seconds): start a worker with {handing.remedy(members.pool)}, and "
        f"then the same flow again; nothing that is done is lost"
    )
