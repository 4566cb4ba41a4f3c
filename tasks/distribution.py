"""One extraction by many workers: stores made once, parts handed out, an end that is checked.

Who does which clips is between the workers and the leases of the stores. Whether all are done is
asked of the stores alone, and so is whether anybody is at work: a machine that is lost can't say
so, but its leases lapse.
"""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from polyspace import console
from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import StoreError
from polyspace.progress import Progress
from polyspace.store import lease, storage
from polyspace.store.lease import Leases
from polyspace.store.ledger import Follower, Ledger
from tasks import parts as handing
from tasks.parts import Parts

FLOW = "extract_part"
"""Does a part."""
ITEMS_A_PART = 8
"""Work items for each of the parts, at least: who is slow, or dies, then costs little."""
LOOK_SECONDS = 2.0
"""Between two looks at the stores and the parts."""
FAREWELL_SECONDS = 60.0
"""How long parts may take to end when there is nothing left to do."""


@dataclass(frozen=True)
class Sight:
    """How far some stores are."""

    clips: int
    pending: int
    """Clips that some backbone has still to see."""
    is_held: bool
    """Whether anybody is writing, or may still be thought to be."""


class Watch:
    """Looks at stores that others fill."""

    def __init__(self, stores: Sequence[Path], backbones: Sequence[str]) -> None:
        """Begin with some stores, of which only some backbones matter."""
        self._followers = [Follower(path) for path in stores]
        self._leases = [Leases(storage.at(path)) for path in stores]
        self._places = [storage.at(path) for path in stores]
        self._backbones = backbones

    def look(self) -> Sight:
        """Look at all of them."""
        books = [follower.look_again() for follower in self._followers]
        return Sight(
            clips=sum(len(book.layout.rows) for book in books),
            pending=sum(self._pending(book) for book in books),
            is_held=any(map(_is_held, self._leases, self._places)),
        )

    def _pending(self, book: Ledger) -> int:
        return sum(
            len({row for name in self._backbones for row in book.pending(name, item)})
            for item in book.layout.items
        )


def run(
    config: FeaturizeConfig, *, parts: int, patience_seconds: float
) -> Generator[Progress, None, None]:
    """Make the stores, hand out parts, and wait until the stores are complete.

    Args:
        config: What to extract.
        parts: How many flow runs share the work.
        patience_seconds: How long to wait while nobody is at work.

    Raises:
        ConfigError: There is no server that knows the deployment.
        StoreError: Clips are pending, and nobody is left who could do them.
    """
    handing.refuse_unknown(FLOW)
    stores = yield from featurize.make(config, work_items=parts * ITEMS_A_PART)
    watch = Watch(stores, featurize.backbone_names(config))
    if not watch.look().pending:
        return
    said = {"config": _for_workers(config), "stores": [str(path.absolute()) for path in stores]}
    with handing.handed_out(FLOW, said, count=parts, about=config.dataset) as members:
        yield from _wait(watch, members, patience_seconds)
    for words in members.account():
        console.say(words)
    _refuse_pending(watch, members, patience_seconds)


def _wait(watch: Watch, parts: Parts, patience_seconds: float) -> Generator[Progress]:
    """Wait until the parts have ended, or nobody has been at work for too long."""
    seen: object = None
    since = time.monotonic()
    while True:
        parts.look()
        sight = watch.look()
        done = sight.clips - sight.pending
        yield Progress(done, sight.clips, f"{done}/{sight.clips} clips, {parts}")
        if parts.have_ended:
            return
        now = sight.pending, {key: state.id for key, state in parts.states.items()}
        if sight.is_held or now != seen:
            seen, since = now, time.monotonic()
        patience = patience_seconds if sight.pending else min(FAREWELL_SECONDS, patience_seconds)
        if time.monotonic() - since > patience:
            return
        time.sleep(LOOK_SECONDS)


def _refuse_pending(watch: Watch, parts: Parts, patience_seconds: float) -> None:
    """Refuse to go on with stores that are not complete.

    Raises:
        StoreError: They are not; the message says what to do.
    """
    pending = watch.look().pending
    if not pending:
        return
    if parts.have_ended:
        raise StoreError(
            f"{pending} clips are pending, and all parts have ended: mend what is said of them, "
            f"and start the same flow again; nothing that is done is lost"
        )
    gone = "no worker is left" if parts.were_taken else f"no worker of {handing.POOL} took a part"
    raise StoreError(
        f"{pending} clips are pending, and {gone} (nothing happened for {patience_seconds:g} "
        f"seconds): start a worker with {handing.remedy()}, and then the same flow again; nothing "
        f"that is done is lost"
    )


def _for_workers(config: FeaturizeConfig) -> dict[str, JsonValue]:
    """Give the settings of a part, which may run in another folder, as JSON values.

    What was quarantined before has been taken up again already.
    """
    changes: dict[str, Any] = {
        "root": config.root.absolute(),
        "out": config.out.absolute(),
        "weights": tuple(map(_absolute, config.weights)),
        "retry": False,
    }
    return config.model_copy(update=changes).model_dump(mode="json")


def _absolute(entry: str) -> str:
    """Make the folder in NAME=FOLDER absolute, if it is one."""
    name, _, folder = entry.partition("=")
    return f"{name}={Path(folder).absolute()}" if Path(folder).is_dir() else entry


def _is_held(leases: Leases, place: storage.Storage) -> bool:
    names = lease.fences(place.list(lease.FOLDER))
    return any(not leases.is_free(name) for name in names)
