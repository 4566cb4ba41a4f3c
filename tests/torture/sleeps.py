"""Machines that sleep until another one has done their run, and wake up: they must do no harm."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client

from flows import watching
from tests.torture.losses import Loss, Seen, follow, lose, names_of
from tests.torture.outcome import Outcome, Scale
from tests.torture.site import equip, site, wait_until
from tests.torture.workshop import Workshop

PROMISE = (
    "a machine stopped (SIGSTOP) at work until another has completed its run, then let go on: its "
    "process ends by itself, the run stays as it is, the result is as if undisturbed"
)


def run(scale: Scale, folder: Path) -> Outcome:
    """Stop machines, let others do their work, and wake them."""
    started, seen, draw = time.monotonic(), Seen(), random.Random(6)
    workshop = Workshop.open(folder)
    with site(folder / "site") as found, get_client(sync_client=True) as api:
        equip(api)
        works = [workshop.work(number) for number in range(scale.sleeps)]
        seen.losses = lose(api, found, works, draw, lambda m: m.signal(signal.SIGSTOP))
        follow(api, seen.losses, seen)
        seconds = [_wake(loss) for loss in seen.losses]
        # Whatever they might still say would have been said by then.
        time.sleep(watching.HEARTBEAT_SECONDS)
        for loss in seen.losses:
            seen.failures += [*_harm(api, loss), *workshop.differences(loss.work)]
    details = f"gone {max(seconds):.1f} s after waking up, at the latest"
    return Outcome(PROMISE, scale.sleeps, tuple(seen.failures), time.monotonic() - started, details)


def _wake(loss: Loss) -> float:
    """Let a machine go on; give the seconds until the process of its run is gone."""
    begun = time.monotonic()
    loss.machine.signal(signal.SIGCONT)
    wait_until(lambda: _is_gone(loss.process), "the run's process to end")
    return time.monotonic() - begun


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def _harm(api: SyncPrefectClient, loss: Loss) -> Iterator[str]:
    names = names_of(api, loss.run)
    if names[-1] != "Completed" or names.count("Completed") != 1:
        yield f"{loss.work.folder.parent.name} went {' > '.join(names)}"
