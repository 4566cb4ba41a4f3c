import json
import os
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zarr

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store import ledger, metadata, storage
from polyspace.store.journal import LedgerFile
from polyspace.store.layout import Layout


@pytest.fixture
def bare(sample, path):
    return Layout(storage.at(path), sample.header, sample.rows, {})


@pytest.fixture
def file(bare):
    with closing(LedgerFile(bare.storage)) as file:
        yield file


def test_any_zarr_client_reads_header_and_columns(store, sample):
    attributes = zarr.open_group(store, mode="r").attrs
    assert attributes["schema"] == 2
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
    layout = ledger.read(store).layout
    assert layout.header == sample.header
    assert layout.rows.identity == sample.rows.identity
    assert layout.specs == {spec.backbone: spec for spec in sample.specs}


@pytest.mark.parametrize("kind", ["folder", "nothing"])
def test_where_there_is_no_store_an_error_says_what_makes_one(tmp_path, kind):
    path = tmp_path / ("." if kind == "folder" else "nothing")
    with pytest.raises(StoreError, match=r"no feature store at .* polyspace.data.featurize"):
        ledger.read(path)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match=r"it is a file; give the folder that ends in \.zarr"):
        ledger.read(tmp_path / "x.npz")


def test_a_newer_schema_is_refused_and_nothing_changes(store):
    _edit(store / "zarr.json", lambda document: document["attributes"].update(schema=3))
    before = _files(store)
    with pytest.raises(StoreError, match="schema 3, this version of polyspace reads 1 and 2"):
        ledger.read(store)
    assert _files(store) == before


def test_somebody_elses_zarr_is_refused_and_nothing_changes(tmp_path):
    zarr.create_group(tmp_path / "x.zarr").create_array("a", shape=(3,), dtype="f4")
    before = _files(tmp_path)
    with pytest.raises(StoreError, match="is a zarr group, but no feature store"):
        ledger.read(tmp_path / "x.zarr")
    assert _files(tmp_path) == before


def test_arrays_that_were_moved_in_are_refused(store):
    other = store / "tokens" / "third"
    other.mkdir()
    (other / "zarr.json").write_bytes((store / "tokens" / "student" / "zarr.json").read_bytes())
    with pytest.raises(CorruptStoreError, match=r"no line on tokens/third/zarr.json"):
        ledger.read(store)


def test_files_of_others_beside_ours_are_left_alone(store):
    (store / "README.txt").write_text("ours")
    zarr.create_group(store / "embeddings")
    assert set(ledger.read(store).layout.specs) == {"student", "teacher"}


def test_a_killed_creation_leaves_no_store_and_the_next_one_completes_it(bare, file, monkeypatch):
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
            metadata.create(bare, file)
    assert (bare.path / "label" / "zarr.json").is_file()
    assert not metadata.is_store(bare.path)
    metadata.create(bare, file)
    assert ledger.read(bare.path).layout.rows.identity == bare.rows.identity


def test_a_half_added_backbone_is_not_there_until_it_is_added_again(
    bare, file, sample, monkeypatch
):
    class Killed(BaseException):
        pass

    def kill(old, new):
        if str(new).endswith("tokens/student/zarr.json"):
            raise Killed
        replace_file(old, new)

    metadata.create(bare, file)
    replace_file = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        with pytest.raises(Killed):
            metadata.add_arrays(bare, sample.specs[0], file)
    assert ledger.read(bare.path).layout.specs == {}
    metadata.add_arrays(bare, sample.specs[0], file)
    assert set(ledger.read(bare.path).layout.specs) == {"student"}


SMALL_FILES = [
    "zarr.json",
    "tokens/zarr.json",
    "tokens/student/zarr.json",
    "time_seconds/teacher/zarr.json",
    "id/c.0",
    "group/zarr.json",
    "label/c.0",
    "state/c.0",
]


@pytest.mark.parametrize("name", SMALL_FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "short", "flipped"])
def test_a_damaged_small_file_is_an_error(store, name, damage):
    file = store / name
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        bad = {"empty": b"", "short": good[:-1], "flipped": good[:9] + bytes([good[9] ^ 1])}
        file.write_bytes(bad[damage] + (good[10:] if damage == "flipped" else b""))
    with pytest.raises(StoreError, match=r"metadata of .* is damaged|no feature store"):
        ledger.read(store)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"attributes": []}'])
def test_metadata_that_is_no_metadata_is_an_error(store, content):
    (store / "zarr.json").write_bytes(content)
    with pytest.raises(CorruptStoreError, match=r"metadata of .* is damaged"):
        ledger.read(store)


def test_a_change_that_somebody_made_on_purpose_is_noticed(store):
    def forge(document):
        document["attributes"]["provenance"] = {"weights": {"fingerprint": "60"}}

    _edit(store / "summary" / "student" / "zarr.json", forge)
    with pytest.raises(CorruptStoreError, match=r"summary/student/zarr\.json is not as it was"):
        ledger.read(store)


def test_new_arrays_touch_nothing_that_is_there(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    layout = ledger.read(store).layout
    third = replace(layout.specs["student"], backbone="third", dtype="int8")
    with closing(LedgerFile(layout.storage)) as file:
        metadata.add_arrays(layout, third, file)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(ledger.read(store).layout.specs) == {"student", "teacher", "third"}


def test_every_clips_state_is_there_for_those_who_read_zarr_alone(make_sample, path):
    sample = replace(make_sample(), quarantined={"v_Tähti_g01": "no frames"})
    sample.write(path, items=2)
    column = zarr.open_array(path / "state", mode="r")
    expected = ["done", "quarantined", *["done"] * 6, *["pending"] * 2]
    assert np.asarray(column[:]).tolist() == expected
    attributes: Any = column.attrs.asdict()
    assert attributes["lost"]["student"]["values"] == 7 * 24


def _files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _edit(file, change):
    document = json.loads(file.read_bytes())
    change(document)
    file.write_text(json.dumps(document))
