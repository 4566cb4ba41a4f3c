"""One extraction by many workers: stores made once, and filled by whoever does a part.

Who does which clips is between the workers and the leases of the stores.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import StoreError
from polyspace.progress import Progress
from polyspace.store import lease, storage
from polyspace.store.lease import Leases
from polyspace.store.ledger import Follower, Ledger
from tasks import parts as handing
from tasks import sharing
from tasks.sharing import Job, Sight

FLOW = "extract_part"
"""Does a part."""
ITEMS_A_PART = 8
"""Work items for each of the parts, at least: who is slow, or dies, then costs little."""


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
            total=sum(len(book.layout.rows) for book in books),
            pending=sum(self._pending(book) for book in books),
            is_held=any(map(_is_held, self._leases, self._places)),
        )

    def _pending(self, book: Ledger) -> int:
        return sum(
            len({row for name in self._backbones for row in book.pending(name, item)})
            for item in book.layout.items
        )


def run(
    config: FeaturizeConfig, *, parts: int, patience_seconds: float, deployment: str
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Make the stores, hand out parts, and wait until the stores are complete; return them.

    Args:
        config: What to extract.
        parts: How many flow runs share the work.
        patience_seconds: How long to wait while nobody is at work.
        deployment: Of `extract_part`; its name.

    Raises:
        ConfigError: There is no server that knows the deployment.
        StoreError: Clips are pending, and nobody is left who could do them.
    """
    handing.refuse_unknown(f"{FLOW}/{deployment}")
    stores = yield from featurize.make(config, work_items=parts * ITEMS_A_PART)
    job = Job(
        deployment=f"{FLOW}/{deployment}",
        # What was quarantined before has been taken up again already.
        parameters={
            "config": handing.for_workers(config, retry=False),
            "stores": [str(path.absolute()) for path in stores],
        },
        about=config.dataset,
        units="clips",
        look=Watch(stores, featurize.backbone_names(config)).look,
        error=StoreError,
    )
    yield from sharing.run(job, parts=parts, patience_seconds=patience_seconds)
    return stores


def _is_held(leases: Leases, place: storage.Storage) -> bool:
    names = lease.fences(place.list(lease.FOLDER))
    return any(not leases.is_free(name) for name in names)
