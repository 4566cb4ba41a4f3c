import json
import os
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from polyspace.errors import ConfigError, CorruptStoreError, DatasetError, LabelError, StoreError
from polyspace.store import importing
from polyspace.store.exporting import export_features
from polyspace.store.importing import import_features
from polyspace.store.legacy import description
from polyspace.store.reader import FeatureStore
from polyspace.store.verification import verify
from polyspace.store.writer import StoreWriter
from tests.support.stages import finish


@dataclass
class Old:
    """Old features of some clips, which can be written in each of the old forms."""

    records: list
    dataset: str = "ucf101"
    split: str = "train"

    @property
    def stem(self):
        return f"features_{self.dataset}_{self.split}"

    @property
    def keys(self):
        return [key for key in self.records[0] if isinstance(self.records[0][key], np.ndarray)]

    def shards(self, size):
        return [self.records[start : start + size] for start in range(0, len(self.records), size)]

    def pkl(self, folder, size=3, **said):
        folder.mkdir()
        for number, records in enumerate(self.shards(size)):
            content = pickle.dumps(records)
            (folder / f"{self.stem}_shard_{number:05d}.pkl").write_bytes(content)
        return self.index(folder, size, **said)

    def npy_dir(self, folder, size=3, **said):
        for number, records in enumerate(self.shards(size)):
            shard = folder / f"{self.stem}_shard_{number:05d}"
            shard.mkdir(parents=True)
            np.save(shard / "labels.npy", [record["label"] for record in records])
            np.save(shard / "paths.npy", [record["path"] for record in records])
            for key in self.keys:
                parts = [record[key] for record in records]
                name = key.replace("/", "_")
                np.save(shard / f"{name}_concat.npy", np.concatenate(parts))
                np.save(shard / f"{name}_offs.npy", np.cumsum([0, *map(len, parts)]))
        return self.index(folder, size, **said)

    def npz(self, folder, **arrays):
        folder.mkdir()
        columns = {key: np.stack([record[key] for record in self.records]) for key in self.keys}
        said = {f"{key}s": [record[key] for record in self.records] for key in ("path", "label")}
        path = folder / f"{self.stem}.npz"
        np.savez(path, **columns, **said, **arrays, allow_pickle=False)
        return path

    def index(self, folder, size, **said):
        listed = [
            {"file": f"{path.stem}", "start": number * size, "count": len(records)}
            for number, (path, records) in enumerate(
                zip(sorted(folder.glob(f"{self.stem}_shard_*")), self.shards(size), strict=True)
            )
        ]
        text = {"dataset": self.dataset, "split": self.split, "shards": listed, **said}
        (folder / f"{self.stem}.index.json").write_text(json.dumps(text))
        return folder


def make_old(clips=8, dtype="f2", **options):
    random = np.random.default_rng(0)
    return Old(
        [
            {
                "path": f"/data/UCF101/Täty/v_Täty_g{row // 2:02d}_c{row % 2:02d}.avi",
                "label": row % 3,
                "student": random.normal(size=(6, 5)).astype(dtype),
                "MCG-NJU/videomae": random.normal(size=(4, 3)).astype(dtype),
            }
            for row in range(clips)
        ],
        **options,
    )


@pytest.fixture
def old():
    return make_old()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def imported(source, out, **options):
    return FeatureStore.open(finish(import_features(source, out, **options)))


@pytest.mark.parametrize("form", ["pkl", "npy_dir", "npz"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_each_form_comes_back_bit_by_bit(tmp_path, out, form, dtype):
    old = make_old(dtype=dtype)
    source = getattr(old, form)(tmp_path / "old")
    store = imported(source, out, student="vjepa2")
    assert store.path == out / "ucf101_train.zarr"
    assert not finish(verify(store.path)).problems
    names = {"student": "vjepa2", "MCG-NJU/videomae": "MCG-NJU_videomae"}
    rows = store.rows(tuple(names.values()))
    assert len(rows) == 8
    for key, name in names.items():
        found = store.stored(name, rows).numpy()
        written = np.stack([record[key] for record in old.records])
        assert found.dtype == np.dtype(dtype)
        assert found.tobytes() == written.tobytes()
        assert found.shape == (8, written.shape[1], 1, written.shape[2])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_outermost_numbers_of_a_type_are_kept(tmp_path, out, dtype):
    old, limits = make_old(dtype=dtype), np.finfo(dtype)
    extremes = [limits.max, limits.min, limits.smallest_subnormal, -0.0, limits.tiny]
    old.records[3]["student"][:] = np.array(extremes, dtype)
    store = imported(old.pkl(tmp_path / "old"), out)
    found = store.stored("student", np.array([3])).numpy()[0, :, 0]
    assert found.tobytes() == old.records[3]["student"].tobytes()


def test_a_store_says_where_its_features_come_from_and_what_is_not_known(tmp_path, out, old):
    store = imported(old.pkl(tmp_path / "old", student="vjepa2"), out)
    student, teacher = store.backbones["vjepa2"], store.backbones["MCG-NJU_videomae"]
    assert (student.role, teacher.role) == ("student", "teacher")
    assert student.provenance["weights"]["source"].endswith("features_ucf101_train.index.json")
    assert student.provenance["weights"]["random"] is False
    assert student.provenance["summary"] == "mean over tokens"
    assert student.provenance["times"] == "unknown: equal parts of a clip of unit length"
    assert student.provenance["imported_shape"] == [6, 5]
    assert "polyspace" in student.provenance["versions"]
    tokens = np.stack([record["student"] for record in old.records]).astype(np.float64)
    rows = np.arange(8)
    assert np.array_equal(store.summary("vjepa2", rows), tokens.mean(1).astype("f2"))
    spans = store.seconds("MCG-NJU_videomae", rows)[3]
    assert np.array_equal(spans, [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]])


def test_ids_groups_labels_and_classes_are_derived(tmp_path, out, old):
    store = imported(old.pkl(tmp_path / "old"), out)
    assert store.ids[:2] == ("v_Täty_g00_c00", "v_Täty_g00_c01")
    assert store.groups[:3] == ("Täty_g00", "Täty_g00", "Täty_g01")
    assert store.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert store.class_names == ("class_0", "class_1", "class_2")


def test_what_the_source_says_of_clips_and_classes_wins(tmp_path, out):
    old = make_old()
    for row, record in enumerate(old.records):
        record["group"] = f"person{row % 2}"
    store = imported(old.pkl(tmp_path / "old", class_names=["a", "b", "c", "d"]), out)
    assert store.groups == ("person0", "person1") * 4
    assert store.class_names == ("a", "b", "c", "d")


def test_clips_whose_videos_are_called_the_same_are_called_by_their_paths(tmp_path, out, old):
    for row, record in enumerate(old.records):
        record["path"] = f"/data/UAV/P{row}/take.avi"
    store = imported(old.pkl(tmp_path / "old", root="/data/UAV"), out)
    assert store.ids[:2] == store.groups[:2] == ("P0/take.avi", "P1/take.avi")


def test_two_splits_of_one_data_set_fit_together(tmp_path, out):
    train, test = make_old(), make_old(clips=3, split="test")
    train.pkl(tmp_path / "old", student="vjepa2")
    for path in test.pkl(tmp_path / "more", student="vjepa2").iterdir():
        path.rename(tmp_path / "old" / path.name)
    stores = [imported(tmp_path / "old", out, split=split) for split in ("train", "test")]
    weights = [store.backbones["vjepa2"].provenance["weights"] for store in stores]
    # What is trained on one must be usable on the other.
    assert weights[0]["fingerprint"] == weights[1]["fingerprint"]
    shards = [store.backbones["vjepa2"].provenance["shards_fingerprint"] for store in stores]
    assert shards[0] != shards[1]


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((5,), (1, 1, 1, 5)), ((4, 5), (1, 4, 1, 5)), ((4, 2, 5), (1, 4, 2, 5)), ((3, 4, 2, 5),) * 2],
)
def test_shapes_are_given_the_axes_that_they_leave_out(tmp_path, out, shape, grid):
    old = Old([{"path": f"{row}.avi", "label": 0, "student": np.ones(shape, "f2")} for row in "ab"])
    store = imported(old.pkl(tmp_path / "old"), out)
    assert store.backbones["student"].row_shape("tokens") == grid
    assert store.coverage.done == 2


def test_shapes_of_five_axes_are_refused(tmp_path, out):
    old = Old([{"path": "a.avi", "label": 0, "student": np.ones((1,) * 5, "f2")}])
    with pytest.raises(StoreError, match=r"student of shape \(1, 1, 1, 1, 1\) a clip"):
        imported(old.pkl(tmp_path / "old"), out)


def test_clips_that_can_not_be_stored_are_quarantined_with_the_reason(tmp_path, out, old):
    old.records[2]["student"] = np.ones((5, 5), "f2")
    old.records[4]["MCG-NJU/videomae"][1, 1:] = np.inf
    store = imported(old.npy_dir(tmp_path / "old"), out)
    assert store.coverage.done == 6
    reasons = store.coverage.quarantined
    assert set(reasons) == {store.ids[2], store.ids[4]}
    assert "student: its tokens have the shape (5, 5)" in reasons[store.ids[2]]
    assert "videomae: 2 values of its tokens are not finite" in reasons[store.ids[4]]


def test_shards_of_two_types_are_stored_in_the_wider_one(tmp_path, out, old):
    old.records[7]["student"] = old.records[7]["student"].astype("f4") * np.float32(np.pi)
    store = imported(old.pkl(tmp_path / "old"), out)
    assert store.backbones["student"].dtype == "float32"
    found = store.tokens("student", np.array([0, 7])).numpy()[:, :, 0]
    assert np.array_equal(found[0], old.records[0]["student"])
    assert np.array_equal(found[1], old.records[7]["student"])


def test_unlabelled_clips_have_no_row_but_are_listed(tmp_path, out, old):
    old.records[1]["label"] = old.records[5]["label"] = -1
    store = imported(old.pkl(tmp_path / "old"), out)
    assert len(store.ids) == 6
    attributes = json.loads((store.path / "zarr.json").read_text())["attributes"]
    assert attributes["protocol"]["unlabelled"] == ["v_Täty_g00_c01", "v_Täty_g02_c01"]
    assert store.unlabelled == ("v_Täty_g00_c01", "v_Täty_g02_c01")
    kept = [record for record in old.records if record["label"] >= 0]
    found = store.tokens("student", np.arange(6)).numpy()[:, :, 0]
    assert np.array_equal(found, np.stack([record["student"] for record in kept]))


def test_features_without_any_label_are_refused(tmp_path, out, old):
    for record in old.records:
        record["label"] = -1
    with pytest.raises(DatasetError, match="not one of its 8 clips has a label"):
        imported(old.pkl(tmp_path / "old"), out)
    assert not out.exists()


def test_labels_outside_the_named_classes_are_refused(tmp_path, out, old):
    with pytest.raises(LabelError, match="labels 0 to 2"):
        imported(old.pkl(tmp_path / "old", class_names=["a"]), out)


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_one_evil_shard_among_good_ones_leaves_nothing_on_disk(tmp_path, out, old):
    old.records[7]["group"] = Runs(tmp_path / "executed")
    source = old.pkl(tmp_path / "old")
    with pytest.raises(StoreError, match=r"shard_00002\.pkl asks for '\w+\.mkdir'"):
        imported(source, out)
    assert not (tmp_path / "executed").exists()
    assert not out.exists()


def test_a_shard_with_other_clips_than_its_index_says_is_damaged(tmp_path, out, old):
    source = old.pkl(tmp_path / "old")
    (source / "features_ucf101_train_shard_00001.pkl").write_bytes(pickle.dumps(old.records[:2]))
    with pytest.raises(CorruptStoreError, match=r"00001\.pkl has 2 clips where the index says 3"):
        imported(source, out)


def test_an_extraction_that_was_stopped_before_a_teacher_is_refused(tmp_path, out, old):
    del old.records[7]["MCG-NJU/videomae"]
    with pytest.raises(StoreError, match=r"shard_00002\.pkl has tokens of student of clip v_Täty"):
        imported(old.pkl(tmp_path / "old"), out)


def test_a_summary_without_tokens_is_refused(tmp_path, out, old):
    source = old.npz(tmp_path / "old", **{"summary/vivit": np.ones((8, 3), "f2")})
    with pytest.raises(StoreError, match="expected tokens of each backbone"):
        imported(source, out)


def test_a_student_has_to_be_told_from_the_teachers(tmp_path, out, old):
    for record in old.records:
        record["vjepa2"] = record.pop("student")
    source = old.pkl(tmp_path / "old")
    with pytest.raises(
        ConfigError, match="has features of MCG-NJU/videomae, vjepa2: say with --st"
    ):
        imported(source, out)
    assert imported(source, out, student="vjepa2").backbones["vjepa2"].role == "student"


def test_two_backbones_of_one_name_are_refused(tmp_path, out, old):
    with pytest.raises(ConfigError, match="MCG-NJU_videomae, MCG-NJU_videomae: give another"):
        imported(old.pkl(tmp_path / "old"), out, student="MCG-NJU.videomae".replace(".", "/"))


def test_an_index_can_not_lead_out_of_the_folder(tmp_path, out, old):
    source = old.pkl(tmp_path / "old")
    path = source / "features_ucf101_train.index.json"
    path.write_text(path.read_text().replace('"dataset": "ucf101"', '"dataset": "../../ucf101"'))
    with pytest.raises(ConfigError, match="no store can be called"):
        imported(source, out)


def test_a_stopped_import_goes_on_where_it_was(tmp_path, out, old, monkeypatch):
    monkeypatch.setattr(description, "CLIPS_PER_CHUNK", 3)
    source = old.npy_dir(tmp_path / "old")
    whole = imported(source, tmp_path / "whole").fingerprint
    stage = import_features(source, out)
    words = ""
    while "of 8 clips" not in words:
        words = str(next(stage))
    stage.close()
    assert FeatureStore.open(out / "ucf101_train.zarr").coverage.pending == 5
    written = []
    write = StoreWriter.write
    monkeypatch.setattr(
        StoreWriter,
        "write",
        lambda self, item, *rest: written.append(item.index) or write(self, item, *rest),
    )
    store = imported(source, out)
    assert written == [1, 2]
    assert store.coverage.done == 8
    assert store.fingerprint == whole


def test_other_shards_are_never_mixed_into_a_store(tmp_path, out, old):
    imported(old.pkl(tmp_path / "old"), out)
    old.records[0]["student"][0, 0] += 1
    with pytest.raises(StoreError, match="holds student with fingerprints"):
        imported(old.pkl(tmp_path / "new"), out)


def test_chunks_are_even_and_bounded_by_clips_and_by_bytes(tmp_path, monkeypatch, old):
    source = old.pkl(tmp_path / "old")
    monkeypatch.setattr(description, "CLIPS_PER_CHUNK", 5)
    assert imported(source, tmp_path / "a").clips_per_chunk == 4
    # 168 bytes a clip as float32: 6 x 5 of the student and 4 x 3 of the teacher.
    monkeypatch.setattr(description, "CHUNK_BYTES", 2 * 168)
    assert imported(source, tmp_path / "b").clips_per_chunk == 2
    monkeypatch.setattr(description, "CHUNK_BYTES", 1)
    assert imported(source, tmp_path / "c").clips_per_chunk == 1


def test_a_shard_is_let_go_before_the_next_is_read(tmp_path, out, old, monkeypatch):
    shelves = []
    read = importing.shards.read
    shelf = importing._Shelf
    monkeypatch.setattr(
        importing, "_Shelf", lambda paths: shelves.append(shelf(paths)) or shelves[0]
    )

    def watched(path):
        assert not shelves or shelves[0]._clips == ()
        return read(path)

    monkeypatch.setattr(importing.shards, "read", watched)
    assert imported(old.pkl(tmp_path / "old"), out).coverage.done == 8
    assert len(shelves[0]._clips) == 2


def test_what_was_exported_as_npz_comes_back(tmp_path, out, written):
    store = FeatureStore.open(written)
    path = finish(export_features(store, tmp_path / "motion.npz", "npz"))
    again = imported(path, out, dataset="motion", split="train", student="student")
    assert (again.ids, again.groups, again.class_names) == (
        store.ids,
        store.groups,
        store.class_names,
    )
    assert again.labels.tolist() == store.labels.tolist()
    rows = np.arange(len(store.ids))
    for name, spec in store.backbones.items():
        assert again.backbones[name].row_shape("tokens") == spec.row_shape("tokens")
        assert again.backbones[name].provenance["summary"] == "imported"
        for view in range(spec.views):
            for part in ("tokens", "summary", "time_seconds"):
                found = again.stored(name, rows, part=part, view=view)
                assert found.dtype == store.stored(name, rows, part=part, view=view).dtype
                assert found.equal(store.stored(name, rows, part=part, view=view))
