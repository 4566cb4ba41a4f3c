from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from polyspace.errors import ConfigError, DatasetError, LabelError
from polyspace.store.layout import ArraySpec, ClipRows, Layout, canonical
from polyspace.store.local import LocalFolder


@pytest.fixture
def layout(sample):
    specs = {spec.backbone: spec for spec in sample.specs}
    return Layout(LocalFolder(Path("motion_train.zarr")), sample.header, sample.rows, specs)


def test_chunk_file_is_named_as_zarr_names_it_and_holds_the_payload(layout):
    chunk = layout.chunk(layout.specs["student"], "tokens", 1)
    assert chunk.key == "tokens/student/c.1.0.0.0.0"
    assert chunk.shape == (4, 1, 2, 3, 4)
    assert chunk.payload_bytes == 192


def test_every_part_has_its_own_shape_and_type(layout):
    chunks = layout.chunks(layout.specs["teacher"], 0)
    assert [chunk.shape for chunk in chunks] == [(4, 2, 3, 1, 5), (4, 2, 5), (4, 2, 3, 2)]
    assert [chunk.dtype.str for chunk in chunks] == ["<f4", "<f4", "<f8"]


@pytest.mark.parametrize(
    ("dtype", "types"),
    [
        ("bfloat16", ["<u2", "<u2", "<f8"]),
        ("scaled", ["<f2", "<f4", "<f8", "<f4"]),
        ("int8", ["|i1", "<f4", "<f8", "<f4"]),
    ],
)
def test_the_storage_type_says_what_lies_on_disk(layout, dtype, types):
    spec = replace(layout.specs["teacher"], dtype=dtype)
    assert [chunk.dtype.str for chunk in layout.chunks(spec, 0)] == types
    assert [chunk.part for chunk in layout.chunks(spec, 0)] == list(spec.parts)


def test_last_work_item_ends_with_the_last_clip(layout):
    assert [layout.bounds(item) for item in layout.items] == [(0, 4), (4, 8), (8, 10)]


@dataclass(frozen=True)
class BadRows:
    id: str
    ids: tuple
    groups: tuple
    labels: int
    message: str


@pytest.mark.parametrize(
    "case",
    [
        BadRows("a group too few", ("a", "b"), ("g",), 2, "one of each per clip"),
        BadRows("nothing", (), (), 0, "one of each per clip"),
        BadRows("an id twice", ("a", "a"), ("g", "g"), 2, "'a' appears 2 times"),
        BadRows("an empty id", ("a", ""), ("g", "g"), 2, "empty id or group"),
        BadRows("an empty group", ("a", "b"), ("g", ""), 2, "empty id or group"),
    ],
    ids=lambda case: case.id,
)
def test_rows_that_name_no_clip_or_two_are_refused(case):
    with pytest.raises(DatasetError, match=case.message):
        ClipRows(case.ids, case.groups, np.zeros(case.labels, dtype=np.int64))


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_classes_are_refused(layout, label):
    rows = ClipRows(("a",), ("g",), np.array([label]))
    with pytest.raises(LabelError, match="expected 0 to 1"):
        replace(layout, rows=rows)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "."])
def test_backbone_names_that_would_leave_the_store_are_refused(name):
    with pytest.raises(ConfigError, match="use letters"):
        ArraySpec(name, time=1, space=1, dim=1)


def test_empty_axes_are_refused():
    with pytest.raises(ConfigError, match="empty axis"):
        ArraySpec("student", time=1, space=0, dim=1)


def test_fingerprints_at_any_depth_are_the_identity_and_the_rest_is_a_record():
    provenance = {
        "weights": {"fingerprint": "5e", "source": "here"},
        "settings_fingerprint": "11",
        "versions": {"torch": "2"},
    }
    spec = ArraySpec("student", time=1, space=1, dim=1, provenance=provenance)
    assert spec.identity["fingerprints"] == {
        "weights.fingerprint": "5e",
        "settings_fingerprint": "11",
    }
    provenance["versions"] = {"torch": "3"}
    assert replace(spec, provenance=provenance).identity == spec.identity


def test_equal_values_have_one_canonical_form():
    assert canonical({"b": (1, 2), "a": "é"}) == canonical({"a": "é", "b": [1, 2]})
