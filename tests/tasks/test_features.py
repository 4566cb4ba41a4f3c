import pytest

from polyspace.data import featurize
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import StoreError
from polyspace.progress import Progress
from polyspace.store.reader import FeatureStore
from tasks import features
from tasks.tracking import Tracker

UNTRACKED = Tracker(enabled=False)


@pytest.fixture
def config(feature_stores, tmp_path, monkeypatch):
    """How to extract what is there already, with an extraction that does nothing."""
    for split in ("train", "test"):
        folder = tmp_path / "videos" / split / "left"
        folder.mkdir(parents=True)
        (folder / "1.mp4").write_bytes(b"not looked into")
    for path in feature_stores.glob("*.zarr"):
        path.rename(path.with_name(path.name.replace("motion", "folder-of-classes")))

    def run(config):
        yield Progress(1, 1, "nothing to do")
        return ()

    monkeypatch.setattr(featurize, "run", run)
    return FeaturizeConfig(
        dataset="folder-of-classes", root=tmp_path / "videos", out=feature_stores
    )


def chunk(config):
    return next(config.out.glob("*_train.zarr/tokens/teacher/c.*"))


def test_extraction_gives_the_folder_of_the_stores(config):
    assert features.extract.fn(config, UNTRACKED) == config.out


def test_damaged_clips_are_queued_so_that_extraction_makes_them_again(config):
    before = chunk(config)
    content = bytearray(before.read_bytes())
    content[3] ^= 1
    before.write_bytes(content)

    features.extract.fn(config, UNTRACKED)

    store = FeatureStore.open(before.parents[2])
    assert store.coverage.pending == 1
    assert 0 not in store.rows(["teacher"])


def test_intact_chunks_stay(config):
    before = chunk(config).read_bytes()

    features.extract.fn(config, UNTRACKED)

    assert chunk(config).read_bytes() == before


def test_a_part_does_what_is_free_of_stores_that_were_made_for_it(config):
    features.share.fn(config, sorted(config.out.glob("*.zarr")))


def test_a_part_that_cannot_see_the_stores_makes_none_of_its_own(config, tmp_path):
    elsewhere = config.model_copy(update={"out": tmp_path / "elsewhere"})

    with pytest.raises(
        StoreError, match=r"a\.zarr was made for this extraction, and can't be seen"
    ):
        features.share.fn(elsewhere, [tmp_path / "elsewhere" / "a.zarr"])
    assert not elsewhere.out.exists()


def test_classes_are_counted_in_the_stores(feature_stores):
    assert features.count_classes(feature_stores) == 2


def test_sizes_are_those_of_the_files(feature_stores):
    stores = [FeatureStore.open(path) for path in feature_stores.glob("*.zarr")]
    tokens = sum(f.stat().st_size for s in stores for f in s.path.glob("*/teacher/c.*"))

    assert features.sizes_bytes(feature_stores)["teacher"] == tokens
    assert set(features.sizes_bytes(feature_stores)) == {"student", "teacher"}
