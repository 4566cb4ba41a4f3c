import json
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from polyspace.errors import ConfigError, CorruptStoreError, StoreError
from polyspace.store.exporting import export_features
from polyspace.store.formats import selection
from polyspace.store.reader import FeatureStore
from tests.support.stages import finish

FORMATS = ("npz", "safetensors", "parquet")
PARTS = ("tokens", "summary", "time_seconds")


@pytest.fixture
def opened(written):
    return FeatureStore.open(written)


@pytest.fixture
def holey(make_sample, path):
    sample = make_sample()
    holes = {sample.rows.ids[2]: "no such file", sample.rows.ids[9]: "no such file"}
    return FeatureStore.open(replace(sample, quarantined=holes).write(path))


@pytest.fixture(params=[2**26, 1], ids=["whole", "clip by clip"])
def batches(request, monkeypatch):
    monkeypatch.setattr(selection, "BATCH_BYTES", request.param)


def expected(store, name, part, rows):
    views = range(store.backbones[name].views)
    return torch.stack([store.stored(name, rows, part=part, view=view) for view in views], dim=1)


def array_of(file):
    """Read a file's columns as arrays, by whatever others read it with."""
    if file.suffix == ".npz":
        return np.load(file, allow_pickle=False)
    if file.suffix == ".safetensors":
        return {name: value.numpy() for name, value in load_file(file).items()}
    table = pq.read_table(file)
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


@pytest.mark.usefixtures("batches")
@pytest.mark.parametrize("kind", FORMATS)
def test_every_value_leaves_as_it_is_stored(opened, tmp_path, kind):
    file = finish(export_features(opened, tmp_path / f"motion.{kind}", kind))
    found, rows = array_of(file), np.arange(10)
    for name in opened.backbones:
        for part in PARTS:
            stored = expected(opened, name, part, rows).numpy()
            values = found[f"{part}/{name}"]
            assert values.shape == stored.shape
            if kind == "parquet":
                values = values.astype(stored.dtype)  # Python's numbers have no type
            assert values.dtype == stored.dtype
            assert values.tobytes() == stored.tobytes()


def test_npz_says_which_clips_they_are(opened, tmp_path):
    found = np.load(finish(export_features(opened, tmp_path / "a.npz", "npz")), allow_pickle=False)
    assert tuple(found["ids"]) == opened.ids
    assert tuple(found["groups"]) == opened.groups
    assert tuple(found["class_names"]) == opened.class_names
    assert found["labels"].tolist() == opened.labels.tolist()
    facts = json.loads(str(found["metadata"]))
    assert (facts["dataset"], facts["split"]) == ("motion", "train")
    assert facts["fingerprint"] == opened.fingerprint
    assert facts["backbones"]["student"]["provenance"]["weights"]["fingerprint"] == "5e"


def test_safetensors_says_which_clips_they_are(opened, tmp_path):
    path = finish(export_features(opened, tmp_path / "a.safetensors", "safetensors"))
    with safe_open(path, "numpy") as file:
        facts = file.metadata()
        assert file.get_tensor("labels").tolist() == opened.labels.tolist()
    assert tuple(json.loads(facts["ids"])) == opened.ids
    assert tuple(json.loads(facts["groups"])) == opened.groups
    assert tuple(json.loads(facts["class_names"])) == opened.class_names
    assert (facts["dataset"], facts["split"]) == ("motion", "train")
    assert facts["fingerprint"] == opened.fingerprint
    assert json.loads(facts["backbones"])["teacher"]["dtype"] == "float32"


def test_the_bytes_of_every_tensor_are_aligned(opened, tmp_path):
    path = finish(export_features(opened, tmp_path / "a.safetensors", "safetensors"))
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert size % 8 == 0
    for name, tensor in header.items():
        if name != "__metadata__":
            width = {"F16": 2, "F32": 4}.get(tensor["dtype"], 8)
            assert tensor["data_offsets"][0] % width == 0


def test_parquet_has_a_row_for_each_clip(opened, tmp_path):
    rows = pq.read_table(
        finish(export_features(opened, tmp_path / "a.parquet", "parquet"))
    ).to_pylist()
    names = ("id", "group", "label", "class_name", "split")
    for row, found in enumerate(rows):
        label = int(opened.labels[row])
        said = (opened.ids[row], opened.groups[row], label, opened.class_names[label], "train")
        assert tuple(found[name] for name in names) == said


def test_parquet_tells_hugging_face_the_shapes(opened, tmp_path):
    path = finish(export_features(opened, tmp_path / "a.parquet", "parquet"))
    schema = pq.read_schema(path)
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    tokens = {"_type": "Array4D", "shape": [1, 2, 3, 4], "dtype": "float16"}
    assert features["tokens/student"] == tokens
    assert features["summary/teacher"] == {"_type": "Array2D", "shape": [2, 5], "dtype": "float32"}
    assert features["label"] == {"_type": "ClassLabel", "names": ["pan", "tilt"]}
    assert set(features) == set(schema.names)
    mark = schema.field("tokens/student").metadata
    assert mark[b"ARROW:extension:name"].endswith(b".Array4DExtensionType")
    assert json.loads(mark[b"ARROW:extension:metadata"]) == [[1, 2, 3, 4], "float16"]
    assert json.loads(schema.metadata[b"polyspace"])["fingerprint"] == opened.fingerprint


def test_parquet_is_written_a_row_group_at_a_time(opened, tmp_path, monkeypatch):
    clip = sum(
        opened.stored(name, np.array([0]), part=part).nbytes * spec.views
        for name, spec in opened.backbones.items()
        for part in PARTS
    )
    monkeypatch.setattr(selection, "BATCH_BYTES", 3 * clip)
    path = finish(export_features(opened, tmp_path / "a.parquet", "parquet"))
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 3, 3, 1]


@pytest.mark.parametrize("kind", FORMATS)
def test_clips_that_some_backbone_has_not_seen_stay(holey, tmp_path, kind):
    found = array_of(finish(export_features(holey, tmp_path / f"a.{kind}", kind)))
    rows = np.array([0, 1, 3, 4, 5, 6, 7, 8])
    assert np.array_equal(
        np.asarray(found["tokens/teacher"], np.float32),
        expected(holey, "teacher", "tokens", rows).numpy(),
    )
    labels = found["label" if kind == "parquet" else "labels"]
    assert labels.tolist() == holey.labels[rows].tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_backbones_that_are_named_leave(opened, tmp_path, kind):
    found = array_of(finish(export_features(opened, tmp_path / f"a.{kind}", kind, ("teacher",))))
    assert "tokens/teacher" in found
    assert "tokens/student" not in found


@pytest.mark.parametrize("dtype", ["bfloat16", "scaled", "int8"])
@pytest.mark.parametrize("kind", FORMATS)
def test_types_that_a_format_lacks_leave_as_float32(make_sample, path, tmp_path, kind, dtype):
    sample = make_sample().named("student")
    store = FeatureStore.open(
        replace(sample, specs=(replace(sample.specs[0], dtype=dtype),)).write(path)
    )
    file = finish(export_features(store, tmp_path / f"a.{kind}", kind))
    rows = np.arange(10)
    read = {"tokens": store.tokens("student", rows), "summary": store.summary("student", rows)}
    keeps = kind == "safetensors" and dtype == "bfloat16"
    for part, values in read.items():
        if kind == "safetensors":
            found = load_file(file)[f"{part}/student"]
            assert found.dtype == (torch.bfloat16 if keeps else torch.float32)
        else:
            found = torch.from_numpy(np.asarray(array_of(file)[f"{part}/student"], np.float32))
        assert torch.equal(found[:, 0].float(), values)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_store_is_the_same_file(opened, tmp_path, kind):
    files = [finish(export_features(opened, tmp_path / f"{n}.{kind}", kind)) for n in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_signs_of_life_count_up_to_the_end(opened, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(selection, "BATCH_BYTES", 1)
    signs = list(export_features(opened, tmp_path / f"a.{kind}", kind))
    done = [sign.done for sign in signs]
    assert done == sorted(set(done))
    assert done[-1] == signs[-1].total
    assert all(str(sign) for sign in signs)


def test_a_file_that_is_there_is_never_overwritten(opened, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"mine")
    with pytest.raises(StoreError, match=r"a\.npz is there already"):
        finish(export_features(opened, tmp_path / "a.npz", "npz"))
    assert (tmp_path / "a.npz").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stopped_export_leaves_nothing(opened, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(selection, "BATCH_BYTES", 1)
    stage = export_features(opened, tmp_path / "exports" / f"a.{kind}", kind)
    next(stage)
    assert [path.suffix for path in (tmp_path / "exports").iterdir()] == [".partial"]
    stage.close()
    assert not list((tmp_path / "exports").iterdir())


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_features_never_leave(store, tmp_path, kind):
    chunk = next((store / "tokens" / "student").glob("c.*"))
    content = bytearray(chunk.read_bytes())
    content[10] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(CorruptStoreError):
        finish(export_features(FeatureStore.open(store), tmp_path / f"a.{kind}", kind))
    assert not list(tmp_path.glob("a.*"))


def test_what_the_store_does_not_hold_is_refused(opened, make_sample, path, tmp_path):
    with pytest.raises(StoreError, match="holds student, teacher, not vivit"):
        finish(export_features(opened, tmp_path / "a.npz", "npz", ("vivit",)))
    empty = FeatureStore.open(make_sample().write(path, items=0))
    with pytest.raises(StoreError, match="no clip with features of student and teacher"):
        finish(export_features(empty, tmp_path / "a.npz", "npz"))
    assert not list(tmp_path.glob("a.*"))


def test_parquet_without_pyarrow_says_what_to_install(opened, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "polyspace.store.formats.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"by pyarrow, .* pip install polyspace\[parquet\]"):
        finish(export_features(opened, tmp_path / "a.parquet", "parquet"))
