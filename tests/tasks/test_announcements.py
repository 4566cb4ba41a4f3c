import pytest

from polyspace.data.featurize import FeaturizeConfig
from polyspace.store.reader import FeatureStore
from tasks import announcements


@pytest.fixture
def sent(monkeypatch):
    """The events that were sent."""
    events = []
    monkeypatch.setattr(
        announcements, "emit_event", lambda name, **about: events.append((name, about))
    )
    return events


def test_each_store_is_announced_by_its_content_and_where_it_lies(
    sent, feature_stores, monkeypatch
):
    monkeypatch.chdir(feature_stores.parent)
    config = FeaturizeConfig(
        dataset="motion", root=feature_stores, student="student", teachers=("teacher",)
    )
    stores = sorted(feature_stores.relative_to(feature_stores.parent).glob("*.zarr"))
    announcements.features_finished(stores, config)

    assert [name for name, _ in sent] == ["polyspace.features.finished"] * 2
    for path, (_, about) in zip(stores, sent, strict=True):
        store = FeatureStore.open(path)
        assert about["payload"]["path"] == str(path.absolute())
        assert about["payload"]["teachers"] == ["teacher"]
        assert about["payload"]["clips"] == len(store.ids)
        identity = f"polyspace.features.{store.fingerprint}"
        assert about["resource"]["prefect.resource.id"] == identity
        assert about["resource"]["polyspace.split"] == store.split
    assert {about["payload"]["split"] for _, about in sent} == {"train", "test"}
