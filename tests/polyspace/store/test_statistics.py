import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyspace.console import show
from polyspace.errors import CorruptStoreError, StoreError
from polyspace.models.normalizers import Standardizer
from polyspace.store import statistics
from polyspace.store.block import Block
from polyspace.store.reader import FeatureStore
from polyspace.store.statistics import JointStatistics, kept, load, measure
from polyspace.store.verification import verify

BACKBONES = ("student", "teacher")
TWICE_IN_A_ROW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def measured(path):
    return show(measure(path), "statistics")


def tokens(sample, backbone, rows):
    """What was written of some clips in all views, one token a row, in float64."""
    (spec,) = (spec for spec in sample.specs if spec.backbone == backbone)
    return sample.stacked(spec, "tokens", rows).reshape(-1, spec.dim)


def assert_equal_to_numpys(found: JointStatistics, values, *, within=1e-12):
    covariance = np.cov(values, rowvar=False, bias=True)
    std = values.std(0)
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=within)
    np.testing.assert_allclose(found.std, std, rtol=within)
    assert np.abs((found.covariance.numpy() - covariance) / np.outer(std, std)).max() < within
    assert found.count == len(values)


@pytest.fixture(scope="session")
def template(written, tmp_path_factory):
    path = shutil.copytree(written, tmp_path_factory.mktemp("measured") / written.name)
    measured(path)
    return path


@pytest.fixture
def known(template, path):
    return shutil.copytree(template, path)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_they_equal_numpys_over_all_clips_views_and_places(known, sample, backbone):
    assert_equal_to_numpys(
        load(FeatureStore.open(known), backbone), tokens(sample, backbone, range(10))
    )


@TWICE_IN_A_ROW
@given(clips_at_a_time=st.integers(1, 11))
def test_they_do_not_depend_on_how_the_clips_are_cut(store, sample, monkeypatch, clips_at_a_time):
    monkeypatch.setattr(statistics, "CLIPS_AT_A_TIME", clips_at_a_time)
    shutil.rmtree(store / "statistics", ignore_errors=True)
    measured(store)
    for backbone in BACKBONES:
        found = load(FeatureStore.open(store), backbone)
        assert_equal_to_numpys(found, tokens(sample, backbone, range(10)))


def test_only_clips_that_are_done_are_measured(path, sample):
    quarantined = replace(sample, quarantined={sample.rows.ids[1]: "no video stream"})
    quarantined.write(path, items=1)
    measured(path)
    found = load(FeatureStore.open(path), "student")
    assert_equal_to_numpys(found, tokens(sample, "student", [0, 2, 3]))


def test_any_zarr_client_reads_them_and_what_they_are_of(known):
    store = FeatureStore.open(known)
    group: Any = zarr.open_group(known, mode="r")["statistics/teacher"]
    found = load(store, "teacher")
    np.testing.assert_array_equal(group["mean"][:], found.mean)
    np.testing.assert_array_equal(group["covariance"][:], found.covariance)
    assert group.attrs.asdict() == {
        "fingerprint": store.fingerprint_of("teacher"),
        "split": "train",
        "clips": 10,
        "tokens": 10 * 2 * 3,
    }


def test_a_standardizer_is_made_of_them(known, sample):
    standardizer = Standardizer.of(load(FeatureStore.open(known), "student"))
    values = torch.from_numpy(tokens(sample, "student", range(10))).float()
    done = standardizer(values)
    torch.testing.assert_close(done.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(done.std(0, correction=0), torch.ones(4))


def test_float16_and_float32_stores_agree_within_float16s_rounding(tmp_path, sample):
    (student,) = sample.named("student").specs
    draw = torch.Generator().manual_seed(0)
    values = 3 * torch.randn(10, *student.row_shape("tokens"), generator=draw) + 5
    found = {}
    for dtype in ("float16", "float32"):
        holds = replace(sample, specs=(replace(student, dtype=dtype),))
        path = tmp_path / f"{dtype}.zarr"
        with holds.open(path) as writer:
            for item in writer.claims():
                rows = list(item.rows)
                block = Block(
                    values[rows], values[rows].mean((2, 3)), np.zeros((len(rows), 1, 2, 2))
                )
                writer.write(item, {"student": block}, {})
        measured(path)
        found[dtype] = load(FeatureStore.open(path), "student")
    half, exact = found["float16"], found["float32"]
    rounding = 2**-11 * values.abs().max().item()
    assert 0 < (half.mean - exact.mean).abs().max() < rounding
    assert 0 < (half.std - exact.std).abs().max() < rounding


def test_another_clip_makes_them_stale_and_measuring_again_mends_it(path, sample):
    sample.write(path, items=1)
    measured(path)
    early = FeatureStore.open(path)
    assert kept(early) == BACKBONES
    sample.write(path, items=1)
    store = FeatureStore.open(path)
    assert kept(store) == ()
    with pytest.raises(StoreError, match=r"other clips .* polyspace store statistics"):
        load(store, "student")
    measured(path)
    assert load(store, "student").count == 8 * 6
    with pytest.raises(StoreError, match="other clips"):
        load(early, "student")


def test_only_what_is_missing_is_measured(path, sample):
    student, both = sample.named("student"), sample
    student.write(path)
    assert measured(path).tokens == {"student": 60}
    assert str(measured(path)).endswith("the statistics of all backbones are there already")
    both.write(path)
    again = measured(path)
    assert again.tokens == {"teacher": 60}
    assert str(again) == f"{path}: measured mean and covariance of teacher (60 tokens)"


def test_progress_counts_the_clips(store, monkeypatch):
    monkeypatch.setattr(statistics, "CLIPS_AT_A_TIME", 4)
    said = [(str(step), step.done, step.total) for step in measure(store)]
    assert said == [(name, done, 10) for name in BACKBONES for done in (4, 8, 10)]


def test_every_flipped_byte_is_noticed_and_measuring_again_mends_it(known):
    store = FeatureStore.open(known)
    folder = known / "statistics" / "student"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.relative_to(folder).as_posix() for file in files} == statistics.FILES
    draw = np.random.default_rng(0)
    for file in files:
        content = file.read_bytes()
        for place in draw.integers(len(content), size=8):
            altered = bytearray(content)
            altered[place] ^= 1 << draw.integers(8)
            file.write_bytes(altered)
            with pytest.raises(CorruptStoreError, match=r"not as they were written: .* statistics"):
                load(store, "student")
        assert kept(store) == ("teacher",)
        assert any("statistics/student" in p.what for p in show(verify(known), "").problems)
        measured(known)
        assert load(store, "student").count == 60


@pytest.mark.parametrize("file", sorted(statistics.FILES))
def test_a_missing_file_is_noticed_and_measured_again(known, file):
    (known / "statistics" / "student" / file).unlink()
    store = FeatureStore.open(known)
    with pytest.raises(StoreError, match=r"are missing: .* polyspace store statistics"):
        load(store, "student")
    assert measured(known).tokens == {"student": 60}
    assert kept(store) == BACKBONES


def test_a_store_without_them_says_how_to_get_them(store):
    opened = FeatureStore.open(store)
    assert kept(opened) == ()
    with pytest.raises(StoreError, match=f"student in .* missing: .* statistics {store}"):
        load(opened, "student")


@pytest.mark.parametrize("split", ["test", "test01", "val"])
def test_other_splits_than_training_are_refused(path, sample, split):
    replace(sample, header=replace(sample.header, split=split)).write(path)
    with pytest.raises(StoreError, match=f"the {split} split would leak into training"):
        measured(path)
    assert not (path / "statistics").exists()


def test_numbered_training_splits_are_measured(path, sample):
    replace(sample, header=replace(sample.header, split="train01")).write(path)
    assert list(measured(path).tokens) == list(BACKBONES)


def test_a_backbone_without_finished_clips_is_refused(path, sample):
    sample.named("student").write(path)
    sample.open(path).close()
    with pytest.raises(StoreError, match="no clip of teacher yet"):
        measured(path)
    assert kept(FeatureStore.open(path)) == ("student",)


def test_measuring_changes_neither_the_fingerprint_nor_what_the_store_holds(store):
    before = FeatureStore.open(store)
    measured(store)
    after = FeatureStore.open(store)
    assert after.fingerprint == before.fingerprint
    assert show(verify(store), "verify").problems == ()


def test_no_lease_is_left_behind(known):
    assert list((known / "leases").iterdir()) == []
