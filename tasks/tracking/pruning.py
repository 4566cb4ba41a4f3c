"""What of a spool is given up: runs that have ended, that MLflow has in full, and that are old.

Whoever writes to a spool holds its lock, shared, for as long as the process lives; to prune takes
the lock alone. So nobody can add a line to a file that is about to go, and where others are at work
nothing is pruned: the next who begins alone does it. What MLflow refused a part of stays for people
to look at. The way from MLflow's ids to ours (`known`) stays, too, and a run that is gone from here
is found in MLflow by its tag, like one of another machine.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from polyspace.errors import ConfigError
from polyspace.store.seal import unseal
from tasks.tracking import lines, state
from tasks.tracking import spool as spools
from tasks.tracking.lines import End
from tasks.tracking.spool import Spool

LOCK = "in-use.lock"
SWITCH = "POLYSPACE_SPOOL_DAYS"
"""Environment variable; days for which a run is kept after its last line."""
KEEP_DAYS = 30.0
MOST = 200
"""Runs pruned when a process begins: it waits for that."""
LAST = 65_536
"""Bytes at the end of a file that surely hold its last line, if that is an end."""

_held: dict[Path, int] = {}
"""Handles of the locks that this process holds."""


def enter(folder: Path) -> None:
    """Say that this process writes to a spool from now on; prune it first, if nobody else does.

    A disk that can't lock costs no run; nothing is pruned there.

    Raises:
        ConfigError: $POLYSPACE_SPOOL_DAYS is no number of days.
    """
    if folder not in _held:
        _hold(folder, keep_days())


def hold(folder: Path) -> None:
    """Say that this process writes to a spool from now on, and prune nothing."""
    if folder not in _held:
        _hold(folder, None)


def prune(folder: Path, days: float) -> Sequence[str] | None:
    """Prune a spool at once, in a process that writes nothing itself.

    Args:
        folder: The spool.
        days: How old a run's last line must be.

    Returns:
        The runs that are gone; None: somebody else is at work there.
    """
    hold(folder)
    handle = _held.get(folder)
    if handle is None or not _is_mine_alone(handle):
        return None
    try:
        return _prune(folder, days, None)
    finally:
        fcntl.flock(handle, fcntl.LOCK_SH)


def keep_days() -> float:
    """Give for how many days runs are kept: $POLYSPACE_SPOOL_DAYS, or else 30.

    Raises:
        ConfigError: It is no number of days.
    """
    said = os.environ.get(SWITCH) or str(KEEP_DAYS)
    try:
        days = float(said)
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise ConfigError(f"${SWITCH} is {said!r}: give a number of days, such as 30")
    return days


def _hold(folder: Path, days: float | None) -> None:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _held[folder] = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        if days is not None and _is_mine_alone(handle):
            _prune(folder, days, MOST)
        fcntl.flock(handle, fcntl.LOCK_SH)


def _is_mine_alone(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _prune(folder: Path, days: float, most: int | None) -> Sequence[str]:
    before = time.time() - days * 86_400
    gone: list[str] = []
    for spool in spools.found(folder):
        if len(gone) == most:
            break
        with suppress(OSError):
            if spool.path.stat().st_mtime <= before and _is_done(spool):
                # In this order: without the note of what was sent, all is sent again, to no effect.
                state.forget(spool)
                spool.path.unlink()
                gone.append(spool.run_id)
    return gone


def _is_done(spool: Spool) -> bool:
    """Say whether MLflow has confirmed everything, and the run has ended."""
    known = state.read(spool)
    if known.mlflow_id is None or known.refused or known.sent < spool.path.stat().st_size:
        return False
    with spool.path.open("rb") as file:
        file.seek(max(0, known.sent - LAST))
        text = file.read().removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        return isinstance(lines.read(unseal(text)), End)
    except ValueError:
        return False
