import pytest

from polyspace.errors import StoreError
from polyspace.store import ledger
from polyspace.store.reader import FeatureStore
from polyspace.store.retry import retry
from polyspace.store.verification import verify
from tests.support.stages import finish
from tests.support.stores import make_store


def test_what_was_quarantined_is_pending_and_nothing_else_changes(tmp_path):
    path = make_store(tmp_path, "train", quarantined=3)
    before = ledger.read(path)

    clips = retry(path)

    after = ledger.read(path)
    assert clips == ("train-045", "train-046", "train-047")
    assert (after.coverage().pending, after.coverage().done) == (3, 45)
    assert not after.coverage().quarantined
    for name in before.layout.specs:
        assert after.digests(name) == before.digests(name)
        assert after.pending(name, 2) == (45, 46, 47)
    assert not finish(verify(path)).problems
    assert FeatureStore.open(path).coverage.pending == 3


def test_where_nothing_was_quarantined_nothing_is_written(tmp_path):
    path = make_store(tmp_path, "train")
    before = ledger.read(path)

    assert retry(path) == ()

    assert ledger.read(path).entries == before.entries


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(StoreError):
        retry(tmp_path)
