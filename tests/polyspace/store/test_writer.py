import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from polyspace.errors import LeaseError, StorageRangeError, StoreError
from polyspace.store import ledger
from polyspace.store.block import Block
from polyspace.store.layout import PARTS, ClipRows
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair


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


def test_two_writers_share_a_store_and_no_item_is_written_twice(sample, make_sample, tmp_path):
    path = tmp_path / "shared.zarr"
    with sample.open(path) as first, sample.open(path) as second:
        mine, theirs = next(first.claims()), next(second.claims())
        assert (mine.index, theirs.index) == (0, 1)
        with pytest.raises(LeaseError, match=r"item-00001 of .* is being written"):
            first.write(theirs, sample.blocks(theirs), {})
        first.write(mine, sample.blocks(mine), {})
        second.write(theirs, sample.blocks(theirs), {})
        with pytest.raises(LeaseError, match="was just finished"):
            second.write(mine, sample.blocks(mine), {})
        (rest,) = second.claims()
        assert list(first.claims()) == []
        second.write(rest, sample.blocks(rest), {})
        assert not first.awaits_work()
    alone = FeatureStore.open(sample.write(tmp_path / "alone.zarr"))
    assert FeatureStore.open(path).fingerprint == alone.fingerprint
    assert os.listdir(path / "leases") == []


def test_a_writer_whose_item_was_taken_over_can_no_longer_publish(sample, path):
    with sample.open(path) as slow, sample.open(path) as fast:
        item = next(slow.claims())
        # As if nobody had heard of the first writer for a term.
        next(path.glob("leases/item-*")).unlink()
        taken = next(fast.claims())
        assert taken == item
        with pytest.raises(LeaseError, match="was taken over"):
            slow.write(item, sample.blocks(item), {})
        assert ledger.read(path).entries == {}
        fast.write(taken, sample.blocks(taken), {})
        assert len(ledger.read(path).entries) == 2


def test_clips_that_were_damaged_are_done_again_beside_the_good_ones(sample, store):
    original = FeatureStore.open(store).fingerprint
    file = store / "tokens" / "teacher" / "c.1.0.0.0.0"
    content = bytearray(file.read_bytes())
    content[2 * 120 + 7] ^= 1
    file.write_bytes(content)
    repaired = drive(repair(store))
    assert repaired.clips == (sample.rows.ids[6],)
    with sample.open(store) as writer:
        (item,) = writer.claims()
        assert (item.rows, item.backbones) == ((6,), ("teacher",))
        writer.write(item, sample.blocks(item), {})
    assert FeatureStore.open(store).fingerprint == original


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
    before = _files(store)
    with pytest.raises(StoreError, match=f"{message}: give another --out folder"):
        change(sample).open(store)
    assert _files(store) == before


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

    # The first two lines vouch for the store, the next two for its arrays, the last two for state.
    lines = [i for i, event in enumerate(events) if event[1].suffix == ".jsonl"][4:-2]
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


def test_a_writer_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing(
    make_sample, script, tmp_path
):
    slow = make_sample(clips=80)
    path = tmp_path / "killed.zarr"
    acknowledged = set()
    for wait in (0.0, 0.007, 0.013):
        acknowledged |= _run_and_kill(script, path, lines=3, wait_seconds=wait)
        with slow.open(path) as writer:
            pending = {item.index for item in writer.pending()}
        assert pending
        assert not acknowledged & pending
    slow.write(path)
    whole = slow.write(tmp_path / "whole.zarr")
    assert not list(path.rglob("*.partial"))
    assert FeatureStore.open(path).fingerprint == FeatureStore.open(whole).fingerprint
    assert _chunks(path) == _chunks(whole)


def _run_and_kill(script, path, *, lines, wait_seconds):
    """Start a writer, let it acknowledge some items, and kill it at a moment of its own."""
    command = [sys.executable, str(script), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout
        seen = {int(child.stdout.readline()) for _ in range(lines)}
        time.sleep(wait_seconds)
        child.send_signal(signal.SIGKILL)
        child.wait()
        # What the pipe still holds was acknowledged before the kill; its last line may be torn.
        rest = child.stdout.read()
        seen |= {int(line) for line in rest.split("\n")[:-1]}
    assert child.returncode == -signal.SIGKILL
    return seen


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


def _chunks(store):
    files = (file for part in PARTS for file in (store / part).rglob("c.*"))
    return {file.relative_to(store): file.read_bytes() for file in files}


def drive(stage):
    while True:
        try:
            next(stage)
        except StopIteration as end:
            return end.value
