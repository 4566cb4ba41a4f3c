"""Events that automations of a Prefect server may wait for."""

from collections.abc import Sequence
from pathlib import Path

from prefect.events import emit_event

from polyspace.data.featurize import FeaturizeConfig
from polyspace.store import storage
from polyspace.store.reader import FeatureStore

FEATURES_FINISHED = "polyspace.features.finished"
"""All clips of a feature store have been seen, or are quarantined."""


def features_finished(stores: Sequence[Path], config: FeaturizeConfig) -> None:
    """Announce the stores that an extraction has just finished, each by an event of its own.

    Prefect adds which flow run it was. Nobody waits at a server that a command has of its own,
    and a server that doesn't answer costs a warning.

    Args:
        stores: One for each split.
        config: How they were made.
    """
    for path in stores:
        store = FeatureStore.open(path)
        place = str(_anywhere(path))
        emit_event(
            FEATURES_FINISHED,
            resource={
                "prefect.resource.id": f"polyspace.features.{store.fingerprint}",
                "prefect.resource.name": path.name,
                "polyspace.dataset": store.dataset,
                "polyspace.split": store.split,
            },
            payload={
                "path": place,
                "fingerprint": store.fingerprint,
                "dataset": store.dataset,
                "split": store.split,
                "student": config.student,
                "teachers": list(config.teachers),
                "clips": len(store.ids),
            },
        )


def _anywhere(path: Path) -> Path:
    """Give a path that leads there from any folder; an address in an object store does so."""
    return path if storage.at(path).folder is None else path.absolute()
