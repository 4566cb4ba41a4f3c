from pathlib import Path

import pytest

from polyspace.data.featurize import FeaturizeConfig
from polyspace.store import storage
from polyspace.store.lease import Leases
from tasks import distribution
from tasks.distribution import Sight, Watch


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


def test_parts_get_paths_that_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    config = FeaturizeConfig(
        dataset="ucf101",
        root=Path("videos"),
        out=Path("features"),
        weights=("vjepa2=weights", "vivit=random-tiny"),
        retry=True,
    )

    said = distribution._for_workers(config)

    assert (said["root"], said["out"]) == (str(tmp_path / "videos"), str(tmp_path / "features"))
    assert said["weights"] == [f"vjepa2={tmp_path / 'weights'}", "vivit=random-tiny"]
    assert said["retry"] is False
    assert FeaturizeConfig.model_validate(said).split == config.split
