import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store.layout import PARTS
from polyspace.store.reader import FeatureStore, find_store


@pytest.fixture
def opened(store):
    return FeatureStore.open(store)


def test_says_what_it_holds(opened, sample, store):
    assert (opened.path, opened.dataset, opened.split) == (store, "motion", "train")
    assert opened.class_names == ("pan", "tilt")
    assert (opened.ids, opened.groups) == (sample.rows.ids, sample.rows.groups)
    np.testing.assert_array_equal(opened.labels, sample.rows.labels)
    assert list(opened.backbones.values()) == list(sample.specs)


def test_rows_come_in_the_order_asked_for_bit_by_bit(opened, sample):
    student, _ = sample.specs
    rows = np.array([9, 0, 5, 5, 3])
    tokens = opened.tokens("student", rows)
    assert tokens.dtype == torch.float32
    assert torch.equal(
        tokens, torch.from_numpy(sample.stacked(student, "tokens", rows)[:, 0]).float()
    )
    summary = sample.stacked(student, "summary", rows)[:, 0]
    assert torch.equal(opened.summary("student", rows), torch.from_numpy(summary).float())
    seconds = sample.stacked(student, "time_seconds", rows)[:, 0]
    np.testing.assert_array_equal(opened.seconds("student", rows), seconds)


def test_views_are_read_one_at_a_time(opened, sample):
    _, teacher = sample.specs
    rows = np.array([2, 7])
    expected = torch.from_numpy(sample.stacked(teacher, "tokens", rows)).float()
    for view in (0, 1):
        assert torch.equal(opened.tokens("teacher", rows, view=view), expected[:, view])


def test_no_rows_give_an_empty_batch(opened):
    nothing = np.array([], dtype=np.int64)
    assert opened.tokens("student", nothing).shape == (0, 2, 3, 4)
    assert opened.seconds("student", nothing).shape == (0, 2, 2)


def test_equals_what_a_stranger_reads_with_zarr(opened, store):
    theirs = np.asarray(zarr.open_array(store / "tokens" / "student", mode="r")[:, 0])
    ours = opened.tokens("student", np.arange(10))
    np.testing.assert_array_equal(ours.numpy(), theirs.astype(np.float32))


@pytest.fixture
def partial(sample, path):
    """A store whose third item is pending, and whose second clip is quarantined."""
    replace(sample, quarantined={sample.rows.ids[1]: "no frames"}).write(path, items=2)
    return FeatureStore.open(path)


def test_rows_are_those_that_all_named_backbones_have_seen(partial, sample):
    with sample.named("student").open(partial.path) as writer:
        (item,) = writer.pending()
        writer.write(item, {"student": sample.block(sample.specs[0], range(8, 10))}, {})
    store = FeatureStore.open(partial.path)
    assert store.rows(["student"]).tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
    assert store.rows(["student", "teacher"]).tolist() == [0, 2, 3, 4, 5, 6, 7]


def test_coverage_counts_every_clip_once(partial, sample):
    coverage = partial.coverage
    assert (coverage.clips, coverage.done, coverage.pending) == (10, 7, 2)
    assert coverage.quarantined == {sample.rows.ids[1]: "no frames"}


@pytest.mark.parametrize(("row", "clip"), [(1, "g01"), (9, "g09")])
def test_holes_are_never_handed_out(partial, row, clip):
    with pytest.raises(StoreError, match=f"nothing of student for clips v_Tähti_{clip}, which"):
        partial.tokens("student", np.array([0, row]))


@pytest.mark.parametrize("row", [-1, 10])
def test_rows_outside_the_store_are_refused(opened, row):
    with pytest.raises(StoreError, match=rf"rows 0 to 9, not \[0, {row}\]"):
        opened.summary("student", np.array([0, row]))


def test_an_unknown_backbone_is_an_error_that_says_what_adds_it(opened):
    message = r"holds student, teacher, not vivit: .*featurize --dataset motion .*--teachers vivit"
    for ask in (
        lambda: opened.tokens("vivit", np.array([0])),
        lambda: opened.rows(["student", "vivit"]),
        lambda: opened.size_bytes("vivit"),
    ):
        with pytest.raises(StoreError, match=message):
            ask()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "empty", "short", "long"])
def test_files_that_are_not_whole_are_an_error_at_opening_that_names_the_clips(store, part, damage):
    file = next((store / part / "teacher").glob("c.2.*"))
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "short": good[:-1], "long": good + b"x"}[damage])
    with pytest.raises(CorruptStoreError, match=r"c\.2\..*\(v_Tähti_g08, v_Tähti_g09\)"):
        FeatureStore.open(store)


@pytest.mark.parametrize("backbone", ["student", "teacher"])
def test_altered_bytes_are_an_error_that_names_the_clips_of_the_file(store, backbone):
    file = next((store / "tokens" / backbone).glob("c.1.*"))
    content = bytearray(file.read_bytes())
    content[9] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="clips v_Tähti_g04, v_Tähti_g05, v_Tähti_g06, v_"):
        FeatureStore.open(store).tokens(backbone, np.array([9]))


def test_files_that_were_checked_are_checked_again_when_they_change(store, opened):
    rows = np.array([5])
    before = opened.tokens("student", rows)
    assert torch.equal(FeatureStore.open(store).tokens("student", rows), before)
    file = store / "tokens" / "student" / "c.1.0.0.0.0"
    stamp = file.stat()
    content = bytearray(file.read_bytes())
    content[9] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(CorruptStoreError):
        FeatureStore.open(store).tokens("student", rows)


def test_opening_and_reading_writes_nothing_into_the_store(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    FeatureStore.open(store).tokens("student", np.array([5]))
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_buffer_can_be_used_again(opened):
    rows = np.array([5, 2])
    out = opened.stored("student", rows)
    assert opened.stored("student", rows[::-1].copy(), out=out) is out
    assert torch.equal(out.float(), opened.tokens("student", rows[::-1].copy()))


def test_repr_is_one_line_of_facts(partial):
    assert repr(partial) == (
        "FeatureStore(motion train, 2 classes, 10 clips: 7 done, 1 quarantined, 2 pending; "
        f"student [1, 2, 3, 4] float16, teacher [2, 3, 1, 5] float32; {partial.path})"
    )


def test_size_is_that_of_the_files(opened, store):
    files = [file for part in PARTS for file in (store / part / "student").glob("c.*")]
    assert opened.size_bytes("student") == sum(file.stat().st_size for file in files)


def test_one_clip_can_be_looked_at(partial, sample):
    clip = partial.clip(sample.rows.ids[2])
    assert (clip.group, clip.label, clip.class_name) == ("g1", 0, "pan")
    student, teacher = sample.specs
    assert clip.tokens["student"].dtype == torch.float16
    assert clip.tokens["teacher"].tolist() == sample.values(teacher, "tokens", 2).tolist()
    assert clip.summary["student"].tolist() == sample.values(student, "summary", 2).tolist()
    assert clip.seconds["student"].tolist() == sample.values(student, "time_seconds", 2).tolist()


def test_a_clip_that_is_not_there_is_an_error(opened):
    with pytest.raises(StoreError, match="no clip 'nobody': its ids are like 'v_Tähti_g00'"):
        opened.clip("nobody")


def test_a_store_is_found_by_itself_and_in_its_folder(store):
    assert find_store(store, None, "train") == store
    assert find_store(store.parent, None, "train") == store
    assert find_store(store.parent, "motion", "train") == store


@pytest.mark.parametrize(("dataset", "split"), [(None, "test"), ("ucf101", "train")])
def test_one_split_is_never_taken_for_another(store, dataset, split):
    with pytest.raises(StoreError, match="is the train split of motion, expected the"):
        find_store(store, dataset, split)
    with pytest.raises(StoreError, match=rf"no feature store .*it holds {store.name}"):
        find_store(store.parent, dataset, split)


def test_of_several_stores_one_must_be_named(store, sample):
    sample.write(store.parent / "ucf101_train.zarr", items=0)
    with pytest.raises(StoreError, match=r"motion_train\.zarr, ucf101_train\.zarr: say which one"):
        find_store(store.parent, None, "train")


def test_a_missing_folder_is_said_to_be_missing(tmp_path):
    with pytest.raises(StoreError, match="nothing is there; mend the path"):
        find_store(tmp_path / "nowhere", "motion", "train")


@pytest.mark.parametrize(
    "name", ["features_ucf101_train_shard_00000.pkl", "features_ucf101_train.index.json"]
)
def test_the_old_pickled_format_is_recognised_and_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(StoreError, match="turn them into a store with polyspace store import"):
        find_store(tmp_path, "ucf101", "train")


def test_a_store_opens_by_its_paths_text_too(store):
    assert FeatureStore.open(str(store)).fingerprint == FeatureStore.open(store).fingerprint
