import pytest

from polyspace.store import storage
from polyspace.store.lease import Leases
from tasks.distribution import Watch
from tasks.sharing import Sight


@pytest.fixture
def stores(feature_stores):
    """8 and 4 clips, one of which has lost a teacher's features."""
    paths = sorted(feature_stores.glob("*.zarr"))
    next(paths[0].glob("tokens/teacher/c.*")).unlink()
    return paths


def test_what_is_pending_is_counted_in_all_stores(stores):
    assert Watch(stores, ["student", "teacher"]).look() == Sight(12, 4, is_held=False)


def test_other_backbones_do_not_count(stores):
    assert Watch(stores, ["student"]).look() == Sight(12, 0, is_held=False)


def test_who_holds_a_lease_is_seen(stores):
    watch, leases = Watch(stores, ["student"]), Leases(storage.at(stores[1]))
    lease = leases.acquire("item-00000")
    assert lease

    assert watch.look().is_held
    leases.release(lease)
    assert not watch.look().is_held
    leases.close()
