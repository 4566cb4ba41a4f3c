import json
import os
from dataclasses import replace

import numpy as np
import pytest
import zarr

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store import metadata
from polyspace.store.layout import PARTS, Layout


@pytest.fixture
def bare(sample, path):
    return Layout(path, sample.header, sample.rows, {})


def test_any_zarr_client_reads_header_and_columns(store, sample):
    attributes = zarr.open_group(store, mode="r").attrs
    assert attributes["schema"] == 1
    assert attributes["class_names"] == ["pan", "tilt"]
    for name, expected in (("id", "ids"), ("group", "groups"), ("label", "labels")):
        column = np.asarray(zarr.open_array(store / name, mode="r")[:])
        assert column.tolist() == list(getattr(sample.rows, expected))


def test_arrays_say_where_they_come_from_and_what_their_axes_are(store, sample):
    array = zarr.open_array(store / "tokens" / "student", mode="r")
    assert array.attrs["provenance"] == sample.specs[0].provenance
    assert array.metadata.to_dict()["dimension_names"] == ("clip", "view", "time", "space", "dim")
    assert array.chunks == (4, 1, 2, 3, 4)


def test_what_is_read_is_what_was_made(store, sample):
    layout = metadata.read(store)
    assert layout.header == sample.header
    assert layout.rows.identity == sample.rows.identity
    assert layout.specs == {spec.backbone: spec for spec in sample.specs}


def test_a_folder_without_a_store_is_an_error_that_says_what_makes_one(tmp_path):
    with pytest.raises(StoreError, match=r"no feature store at .* polyspace.data.featurize"):
        metadata.read(tmp_path)


def test_another_schema_is_refused(store):
    _edit(store / "zarr.json", lambda document: document["attributes"].update(schema=2))
    with pytest.raises(StoreError, match="schema 2, this version of polyspace reads 1"):
        metadata.read(store)


def test_a_killed_creation_leaves_no_store_and_the_next_one_completes_it(bare, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(old, new):
        if str(new) == str(bare.path / "zarr.json"):
            raise Killed
        replace_file(old, new)

    replace_file = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        with pytest.raises(Killed):
            metadata.create(bare)
    assert (bare.path / "label" / "zarr.json").is_file()
    assert not metadata.is_store(bare.path)
    metadata.create(bare)
    assert metadata.read(bare.path).rows.identity == bare.rows.identity


def test_a_half_added_backbone_is_not_there_until_it_is_added_again(bare, sample):
    metadata.create(bare)
    metadata.add_arrays(bare, sample.specs[0])
    (bare.path / "tokens" / "student" / "zarr.json").rename(bare.path / "zarr.json.1.partial")
    assert metadata.read(bare.path).specs == {}
    metadata.add_arrays(bare, sample.specs[0])
    assert set(metadata.read(bare.path).specs) == {"student"}


@pytest.mark.parametrize("name", ["id", "group", "label"])
@pytest.mark.parametrize("damage", ["missing", "short", "flipped"])
def test_a_damaged_column_is_an_error(store, name, damage):
    file = store / name / "c.0"
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(good[:-1] if damage == "short" else bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(CorruptStoreError, match=r"metadata of .* is damaged"):
        metadata.read(store)


@pytest.mark.parametrize("name", ["zarr.json", "tokens/student/zarr.json", "label/zarr.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]"])
def test_metadata_that_is_no_metadata_is_an_error(store, name, content):
    (store / name).write_bytes(content)
    with pytest.raises(CorruptStoreError, match=r"metadata of .* is damaged"):
        metadata.read(store)


def _big_endian(document):
    document["codecs"][0]["configuration"]["endian"] = "big"


def _no_checksum(document):
    document["codecs"].pop()


def _other_type(document):
    document["data_type"] = "int16"
    document["fill_value"] = 0


def _other_separator(document):
    document["chunk_key_encoding"]["configuration"]["separator"] = "/"


def _zero_fill(document):
    document["fill_value"] = 0.0


def _longer(document):
    document["shape"][0] += 1


@pytest.mark.parametrize(
    "change", [_big_endian, _no_checksum, _other_type, _other_separator, _zero_fill, _longer]
)
@pytest.mark.parametrize("part", PARTS)
def test_arrays_that_would_be_read_as_something_else_are_refused(store, part, change):
    _edit(store / part / "student" / "zarr.json", change)
    with pytest.raises(CorruptStoreError, match=f"{part}/student: .* differ"):
        metadata.read(store)


def test_attributes_that_others_add_are_welcome(store):
    def annotate(document):
        document["attributes"]["mean"] = [0.5]

    _edit(store / "tokens" / "student" / "zarr.json", annotate)
    assert set(metadata.read(store).specs) == {"student", "teacher"}


def test_provenance_that_parts_of_a_backbone_do_not_share_is_refused(store):
    def forge(document):
        document["attributes"]["provenance"] = {"weights": {"fingerprint": "60"}}

    _edit(store / "summary" / "student" / "zarr.json", forge)
    with pytest.raises(CorruptStoreError, match="summary/student: attributes differ"):
        metadata.read(store)


def test_new_arrays_touch_nothing_that_is_there(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    layout = metadata.read(store)
    metadata.add_arrays(layout, replace(layout.specs["student"], backbone="third"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(metadata.read(store).specs) == {"student", "teacher", "third"}


def _edit(file, change):
    document = json.loads(file.read_bytes())
    change(document)
    file.write_text(json.dumps(document))
