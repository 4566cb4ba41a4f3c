import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from polyspace.errors import StorageRangeError, StoreError
from polyspace.store.block import Block
from polyspace.store.layout import PARTS, ClipRows
from polyspace.store.reader import FeatureStore


@pytest.mark.parametrize("backbone", ["student", "teacher"])
@pytest.mark.parametrize("part", PARTS)
def test_a_stranger_reads_with_zarr_what_was_written(store, sample, backbone, part):
    (spec,) = sample.named(backbone).specs
    found = np.asarray(zarr.open_array(store / part / backbone, mode="r")[...])
    expected = sample.stacked(spec, part, range(10)).astype(spec.stored_type(part))
    assert found.tobytes() == expected.tobytes()


def test_work_items_cover_the_clips_and_name_the_backbones(sample, path):
    with sample.open(path) as writer:
        items = writer.pending()
    assert [item.rows for item in items] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert {item.backbones for item in items} == {("student", "teacher")}


def test_what_is_written_is_no_longer_pending_now_or_after_reopening(sample, path):
    with sample.open(path) as writer:
        first, *others = writer.pending()
        writer.write(first, sample.blocks(first), {})
        assert writer.pending() == others
    with sample.open(path) as writer:
        assert writer.pending() == others


def test_a_finished_store_is_left_alone(sample, store):
    before = _files(store)
    with sample.open(store) as writer:
        assert writer.pending() == []
    assert _files(store) == before


def test_one_backbone_of_an_item_can_be_written_before_the_other(sample, path):
    with sample.open(path) as writer:
        item = writer.pending()[0]
        writer.write(item, {"teacher": sample.blocks(item)["teacher"]}, {})
        assert writer.pending()[0].backbones == ("student",)


@pytest.mark.parametrize("damage", ["missing", "empty", "short"])
@pytest.mark.parametrize("part", PARTS)
def test_an_item_whose_file_is_not_whole_is_pending_again(sample, store, part, damage):
    original = FeatureStore.open(store).fingerprint
    file = next((store / part / "student").glob("c.1.*"))
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else good[:-1])
    with sample.open(store) as writer:
        (item,) = writer.pending()
        assert (item.index, item.backbones) == (1, ("student",))
        writer.write(item, sample.blocks(item), {})
    assert file.read_bytes() == good
    assert FeatureStore.open(store).fingerprint == original


def test_adding_a_backbone_later_touches_no_byte_that_is_there(sample, path):
    sample.named("student").write(path)
    before = _files(path)
    sample.write(path)
    after = _files(path)
    derived = {file for file in before if file.parts[0] == "state"}
    assert {file: after[file] for file in before.keys() - derived} == {
        file: before[file] for file in before.keys() - derived
    }
    assert FeatureStore.open(path).rows(["student", "teacher"]).tolist() == list(range(10))


def test_what_killed_writers_left_of_an_item_is_swept_when_the_next_one_claims_it(sample, path):
    sample.write(path, items=1)
    mine = path / "tokens" / "student" / "c.1.0.0.0.0.77.partial"
    others = path / "tokens" / "student" / "c.2.0.0.0.0.77.partial"
    for file in (mine, others):
        file.write_bytes(b"half")
    with sample.open(path) as writer:
        assert next(writer.claims()).index == 1
        assert not mine.exists()
        assert others.exists()


@pytest.mark.parametrize("value", [65520.0, -1e9, float("inf"), float("nan")])
@pytest.mark.parametrize("part", ["tokens", "summary"])
def test_values_that_float16_cannot_hold_are_refused_by_clip_and_nothing_is_written(
    sample, path, part, value
):
    with sample.open(path) as writer:
        item = writer.pending()[1]
        before = _files(path)
        blocks = sample.blocks(item)
        getattr(blocks["student"], part)[2, 0, 0] = value
        message = rf"{part} of student, clips {sample.rows.ids[6]}: .* as float32"
        with pytest.raises(StorageRangeError, match=message):
            writer.write(item, blocks, {})
        assert _files(path) == before
        assert len(writer.pending()) == 3


def test_the_largest_value_that_float16_holds_is_stored(sample, path):
    with sample.open(path) as writer:
        item = writer.pending()[0]
        blocks = sample.blocks(item)
        blocks["student"].summary[0, 0, 0] = 65504
        writer.write(item, blocks, {})
    assert FeatureStore.open(path).summary("student", np.array([0]))[0, 0] == 65504


def test_times_that_are_not_finite_are_refused(sample, path):
    with sample.open(path) as writer:
        item = writer.pending()[0]
        blocks = sample.blocks(item)
        blocks["teacher"].seconds[1, 0, 0, 0] = np.nan
        with pytest.raises(StorageRangeError, match=rf"clips {sample.rows.ids[1]}: times must"):
            writer.write(item, blocks, {})


def test_quarantined_clips_are_stored_as_nan_and_their_rows_are_ignored(sample, path):
    bad = sample.rows.ids[1]
    with sample.open(path) as writer:
        item = writer.pending()[0]
        blocks = sample.blocks(item)
        blocks["student"].tokens[1] = float("inf")
        writer.write(item, blocks, {bad: "no frames"})
        assert len(writer.pending()) == 2
    stored = np.asarray(zarr.open_array(path / "tokens" / "student", mode="r")[:4])
    assert np.isnan(stored[1]).all()
    assert np.isfinite(stored[[0, 2, 3]]).all()
    assert FeatureStore.open(path).coverage.quarantined == {bad: "no frames"}


def test_an_item_of_nothing_but_quarantined_clips_is_finished(sample, path):
    ids = sample.rows.ids[8:]
    with sample.open(path) as writer:
        item = writer.pending()[-1]
        writer.write(item, sample.blocks(item), dict.fromkeys(ids, "no frames"))
        assert len(writer.pending()) == 2


def test_quarantined_clips_of_another_item_are_refused(sample, path):
    with sample.open(path) as writer:
        item = writer.pending()[0]
        with pytest.raises(StoreError, match=rf"{sample.rows.ids[9]}.*not among item 0"):
            writer.write(item, sample.blocks(item), {sample.rows.ids[9]: "no frames"})


def test_blocks_of_another_shape_are_refused(sample, path):
    student = sample.specs[0]
    with sample.open(path) as writer:
        item = writer.pending()[0]
        with pytest.raises(
            StoreError, match=r"tokens of student: found \(3, 1, 2, 3, 4\), expected \(4, 1, 2"
        ):
            writer.write(item, {"student": sample.block(student, range(3))}, {})


def _other_chunks(sample):
    return replace(sample, header=replace(sample.header, clips_per_chunk=5))


def _other_classes(sample):
    return replace(sample, header=replace(sample.header, class_names=("pan", "zoom")))


def _other_protocol(sample):
    return replace(sample, header=replace(sample.header, protocol={"views": 2}))


def _fewer_clips(sample):
    rows = sample.rows
    return replace(sample, rows=ClipRows(rows.ids[:9], rows.groups[:9], rows.labels[:9]))


def _other_order(sample):
    rows = sample.rows
    return replace(sample, rows=ClipRows(rows.ids[::-1], rows.groups, rows.labels))


def _other_weights(sample):
    spec = replace(sample.specs[0], provenance={"weights": {"fingerprint": "60"}})
    return replace(sample, specs=(spec,))


def _other_type(sample):
    return replace(sample, specs=(replace(sample.specs[0], dtype="float32"),))


def _other_grid(sample):
    return replace(sample, specs=(replace(sample.specs[0], space=4),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_chunks, "clips_per_chunk 4, expected 5"),
        (_other_classes, "class_names 'tilt' at place 1, expected 'zoom' at place 1"),
        (_other_protocol, r'protocol {"views":1}, expected {"views":2}'),
        (_fewer_clips, "ids of 10 entries, expected of 9 entries"),
        (_other_order, "ids 'v_Tähti_g00' at place 0, expected 'v_Tähti_g09' at place 0"),
        (_other_weights, r'student with fingerprints .*"5e"}, expected .*"60"}'),
        (_other_type, 'student with dtype "float16", expected "float32"'),
        (_other_grid, "student with shape 3 at place 2, expected 4 at place 2"),
    ],
)
def test_a_store_of_something_else_is_refused_untouched(sample, store, change, message):
    before = _everything(store)
    with pytest.raises(StoreError, match=f"{message}: give another --out folder"):
        change(sample).open(store)
    assert _everything(store) == before


def _newer(path):
    file = path / "zarr.json"
    file.write_text(file.read_text().replace('"schema": 2', '"schema": 3'))


def _foreign(path):
    shutil.rmtree(path)
    zarr.create_group(path).create_array("a", shape=(3,), dtype="f4")


def _moved_in(path):
    shutil.copytree(path / "tokens" / "student", path / "tokens" / "third")


def _file(path):
    shutil.rmtree(path)
    path.write_bytes(b"PK")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_newer, "has store schema 3, this version of polyspace reads 1 and 2: use the version"),
        (_foreign, "is a zarr group, but no feature store: .* make a store with polyspace.data"),
        (_moved_in, "the ledger has no line on tokens/third/zarr.json"),
        (_file, "can't be written .*: make room or give another folder"),
    ],
)
def test_what_is_no_store_of_ours_is_refused_untouched(sample, store, change, message):
    change(store)
    before = _everything(store.parent)
    with pytest.raises(StoreError, match=message) as caught:
        sample.open(store)
    assert "\n" not in str(caught.value)
    assert _everything(store.parent) == before


def test_a_disk_that_is_full_or_read_only_is_an_error_and_what_was_finished_is_kept(
    sample, path, room_for
):
    sample.write(path, items=1)
    before = _everything(path)
    with room_for(20), pytest.raises(StoreError, match=r"can't be written .*: make room or give"):
        sample.open(path)
    assert _everything(path) == before


@pytest.mark.parametrize(("file", "room"), [("c", 0), ("c", 300), ("l", 0), ("l", 99), ("l", 1999)])
def test_an_extraction_that_a_full_disk_stops_is_resumed_to_the_same_store(
    sample, path, written, file, room, room_for
):
    acknowledged = []

    def write():
        with sample.open(path) as writer:
            (ledger,) = path.glob("ledger/*.jsonl")
            # Chunk files are shorter than the ledger, which is what fills up second.
            size = room if file == "c" else ledger.stat().st_size + room
            for item in writer.claims():
                with room_for(size):
                    writer.write(item, sample.blocks(item), {})
                acknowledged.append(item.index)

    with pytest.raises(StoreError, match="make room"):
        write()
    assert not list(path.rglob("*.partial"))
    with sample.open(path) as writer:
        assert not set(acknowledged) & {item.index for item in writer.pending()}
    sample.write(path)
    assert FeatureStore.open(path).fingerprint == FeatureStore.open(written).fingerprint


def test_what_one_writer_could_not_write_it_can_write_when_there_is_room(
    sample, path, written, room_for
):
    with sample.open(path) as writer:
        for item in writer.claims():
            with room_for(200), pytest.raises(StoreError, match="make room"):
                writer.write(item, sample.blocks(item), {})
            writer.write(item, sample.blocks(item), {})
        assert writer.pending() == []
    assert FeatureStore.open(path).fingerprint == FeatureStore.open(written).fingerprint


def test_every_line_of_the_ledger_follows_the_fsync_of_its_files_and_their_folders(
    sample, path, monkeypatch
):
    events = []
    sync, rename = os.fsync, os.replace

    def note_sync(handle):
        events.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    def note_rename(old, new):
        events.append(("rename", Path(old), Path(new)))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    sample.named("student").write(path)

    places = [i for i, event in enumerate(events) if event[1].suffix == ".jsonl"]
    (file,) = path.glob("ledger/*.jsonl")
    said = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len(said) == len(places)
    lines = [place for place, line in zip(places, said, strict=True) if "item" in line]
    assert len(lines) == 3
    for index, line in enumerate(lines):
        for part in PARTS:
            file = next((path / part / "student").glob(f"c.{index}.*"))
            renamed = next(i for i, event in enumerate(events) if event[2:] == (file,))
            assert events.index(("sync", events[renamed][1])) < renamed
            assert ("sync", file.parent) in events[renamed:line]
    # The folders' own entries, and the ledger file's, are durable too.
    for part in PARTS:
        assert ("sync", path / part) in events[: lines[0]]
    for folder in (path.parent, path, path / "ledger"):
        assert ("sync", folder) in events[: lines[0]]
    # Small files appear after the line that says what they will be, and before the one that says
    # that they are there.
    for place, line in zip(places, said, strict=True):
        for key in line.get("present", ()):
            renamed = next(i for i, event in enumerate(events) if event[2:] == (path / key,))
            assert events.index(("sync", events[renamed][1])) < renamed
            assert ("sync", (path / key).parent) in events[renamed:place]
        for key in line.get("vouched", ()):
            later = [i for i, event in enumerate(events) if event[2:] == (path / key,)]
            assert max(later) > place
    keys = {key for line in said for key in line.get("vouched", ())}
    assert keys == {
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.is_file() and "item-" not in file.name and file.suffix != ".jsonl"
    } - {file.relative_to(path).as_posix() for part in PARTS for file in (path / part).rglob("c.*")}


def test_blocks_may_carry_gradients(sample, path):
    with sample.named("student").open(path) as writer:
        item = writer.pending()[0]
        block = sample.blocks(item)["student"]
        tracked = Block(block.tokens.requires_grad_(), block.summary, block.seconds)
        writer.write(item, {"student": tracked}, {})
    assert torch.equal(
        FeatureStore.open(path).tokens("student", np.array([3]))[0], block.tokens[3, 0].detach()
    )


def _files(store):
    return {
        file.relative_to(store): (file.stat().st_mtime_ns, file.read_bytes())
        for file in store.rglob("*")
        if file.is_file()
    }


def _everything(folder):
    """Files with their content and time, and folders."""
    names = {path.relative_to(folder) for path in folder.rglob("*")}
    return names, _files(folder)
