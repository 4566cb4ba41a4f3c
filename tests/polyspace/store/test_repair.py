import os
import random
from dataclasses import replace

import numpy as np
import pytest

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store import chunks, ledger
from polyspace.store.journal import LedgerFile
from polyspace.store.layout import PARTS
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair
from polyspace.store.verification import verify
from tests.support.stages import finish


def flip(file, *bits):
    content = bytearray(file.read_bytes())
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def stamps(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}


def complete(sample, path):
    """Do again what is pending, and nothing else; give the rows of each item."""
    with sample.open(path) as writer:
        items = list(writer.claims())
        for item in items:
            writer.write(item, sample.blocks(item), sample.bad(item))
    return {item.index: (item.rows, item.backbones) for item in items}


def assert_whole(path, original):
    assert finish(verify(path)).problems == ()
    assert FeatureStore.open(path).fingerprint == original


@pytest.fixture
def original(written):
    return FeatureStore.open(written).fingerprint


def test_a_good_store_is_left_alone_and_progress_is_counted(store):
    before = stamps(store)
    seen = list(repair(store))
    assert [(step.done, step.total) for step in seen] == [(done, 6) for done in range(1, 7)]
    assert str(finish(repair(store))) == f"{store}: nothing to repair"
    assert stamps(store) == before


def test_exactly_the_damaged_clips_become_pending_and_the_others_keep_their_bytes(
    store, sample, original
):
    file, entry = store / "tokens/teacher/c.1.0.0.0.0", ledger.read(store).entries["teacher", 1]
    good = file.read_bytes()
    flip(file, 8 * (1 * 120 + 7), 8 * (3 * 120 + 7))
    repaired = finish(repair(store))
    assert repaired.clips == (sample.rows.ids[5], sample.rows.ids[7])
    assert str(repaired) == (
        f"{store}: took 0 damaged lines and 2 damaged clips out; 2 clips are to be done: run the "
        f"extraction, which does exactly these"
    )

    kept = file.read_bytes()
    assert (kept[:120], kept[240:360]) == (good[:120], good[240:360])
    assert np.isnan(np.frombuffer(kept[120:240], "<f4")).all()
    left = ledger.read(store).entries["teacher", 1]
    assert left.sha256 == (entry.sha256[0], None, entry.sha256[2], None)
    assert left.fence > entry.fence
    assert finish(verify(store)).problems == ()
    assert FeatureStore.open(store).rows(["teacher"]).tolist() == [0, 1, 2, 3, 4, 6, 8, 9]
    assert FeatureStore.open(store).rows(["student"]).tolist() == list(range(10))

    assert complete(sample, store) == {1: ((5, 7), ("teacher",))}
    assert file.read_bytes() == good
    assert_whole(store, original)


def test_damage_beside_the_clips_costs_none(store, original):
    # The item's last two rows are fill.
    flip(store / "summary/student/c.2.0.0", 8 * (3 * 8))
    repaired = finish(repair(store))
    assert repaired.clips == ()
    assert_whole(store, original)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "empty", "short", "long"])
def test_a_file_that_is_not_whole_costs_the_clips_of_its_item(
    store, sample, original, part, damage
):
    file = next((store / part / "student").glob("c.1.*"))
    good = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "short": good[:-1], "long": good + b"x"}[damage])
    assert finish(repair(store)).clips == sample.rows.ids[4:8]
    assert FeatureStore.open(store).rows(["student"]).tolist() == [0, 1, 2, 3, 8, 9]
    assert complete(sample, store) == {1: ((4, 5, 6, 7), ("student",))}
    assert_whole(store, original)


def test_quarantined_clips_stay_so_even_when_all_others_are_damaged(make_sample, path):
    sample = replace(make_sample(), quarantined={"v_Tähti_g05": "no frames"})
    original = FeatureStore.open(sample.write(path)).fingerprint
    (path / "tokens/student/c.1.0.0.0.0").unlink()
    assert finish(repair(path)).clips == tuple(sample.rows.ids[row] for row in (4, 6, 7))
    assert FeatureStore.open(path).coverage.quarantined == {"v_Tähti_g05": "no frames"}
    assert complete(sample, path) == {1: ((4, 6, 7), ("student",))}
    assert_whole(path, original)


def test_a_compressed_file_costs_the_clips_of_its_item(make_sample, path):
    sample = make_sample(compression="zstd")
    original = FeatureStore.open(sample.write(path)).fingerprint
    flip(path / "tokens/student/c.0.0.0.0.0", 99)
    assert finish(repair(path)).clips == sample.rows.ids[:4]
    assert complete(sample, path) == {0: ((0, 1, 2, 3), ("student",))}
    assert_whole(path, original)


def test_damaged_lines_are_taken_out_and_their_clips_done_again(store, sample, original):
    (file,) = store.glob("ledger/*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    bad = [n for n, line in enumerate(lines) if b'"item":1' in line]
    file.write_bytes(
        b"".join(b"\xff" + line[1:] if n in bad else line for n, line in enumerate(lines))
    )
    with pytest.raises(CorruptStoreError, match="run polyspace store repair"):
        ledger.read(store)
    repaired = finish(repair(store))
    assert (repaired.lines, repaired.pending, repaired.clips) == (2, 4, ())
    assert complete(sample, store) == {1: ((4, 5, 6, 7), ("student", "teacher"))}
    assert_whole(store, original)


@pytest.fixture
def shared(sample, path):
    """A store of two writers, the second of whom has written the last item."""
    sample.write(path, items=2)
    return sample.write(path)


def test_a_ledger_file_that_got_lost_costs_the_clips_on_which_it_had_lines(
    shared, sample, original
):
    (file,) = [f for f in shared.glob("ledger/*.jsonl") if b'"item":2' in f.read_bytes()]
    file.unlink()
    with pytest.raises(StoreError, match="run polyspace store repair"):
        FeatureStore.open(shared)
    repaired = finish(repair(shared))
    assert (repaired.lines, repaired.pending, repaired.has_changed) == (0, 2, True)
    assert FeatureStore.open(shared).rows(["student", "teacher"]).tolist() == list(range(8))
    assert complete(sample, shared) == {2: ((8, 9), ("student", "teacher"))}
    assert_whole(shared, original)


def test_where_the_lines_on_metadata_are_lost_those_on_work_items_prove_it(
    shared, sample, original
):
    (file,) = [f for f in shared.glob("ledger/*.jsonl") if b'"item":0' in f.read_bytes()]
    file.unlink()
    with pytest.raises(CorruptStoreError, match=r"the ledger has no line on .* store repair"):
        ledger.read(shared)
    finish(repair(shared))
    assert complete(sample, shared) == {
        0: ((0, 1, 2, 3), ("student", "teacher")),
        1: ((4, 5, 6, 7), ("student", "teacher")),
    }
    assert_whole(shared, original)


def test_but_not_metadata_that_says_something_else(shared):
    (file,) = [f for f in shared.glob("ledger/*.jsonl") if b'"item":0' in f.read_bytes()]
    file.unlink()
    header = shared / "zarr.json"
    header.write_text(header.read_text().replace('"tilt"', '"zoom"'))
    before = stamps(shared)
    with pytest.raises(CorruptStoreError, match="under other clips, labels, classes or weights"):
        finish(repair(shared))
    assert stamps(shared) == before


def test_nor_that_which_nothing_is_said_of_any_more(store):
    for file in store.glob("ledger/*.jsonl"):
        file.unlink()
    before = stamps(store)
    with pytest.raises(CorruptStoreError, match=r"has lost all of its lines on .*extract it again"):
        finish(repair(store))
    assert stamps(store) == before


@pytest.mark.parametrize("name", ["zarr.json", "id/c.0", "tokens/teacher/zarr.json"])
def test_damaged_metadata_has_to_come_from_a_copy(store, name):
    flip(store / name, 99)
    before = stamps(store)
    with pytest.raises(CorruptStoreError, match=f"{name}.* restore it from a copy"):
        finish(repair(store))
    assert stamps(store) == before


class Killed(BaseException):
    pass


def test_a_kill_between_a_file_and_its_line_is_noticed_and_mended(
    store, sample, original, monkeypatch
):
    def kill(self, line):
        raise Killed

    flip(store / "tokens/teacher/c.1.0.0.0.0", 8 * (2 * 120 + 7))
    with monkeypatch.context() as patch:
        patch.setattr(LedgerFile, "append", kill)
        with pytest.raises(Killed):
            finish(repair(store))
    (problem,) = finish(verify(store)).problems
    assert problem.clips == (sample.rows.ids[6],)
    assert "is replaced: the ledger has another crc32c" in problem.what
    assert finish(repair(store)).clips == (sample.rows.ids[6],)
    assert complete(sample, store) == {1: ((6,), ("teacher",))}
    assert_whole(store, original)


def test_so_is_a_kill_between_the_files_of_one_item(store, sample, original, monkeypatch):
    def publish(place, chunk, values, admit):
        if chunk.part == "time_seconds":
            raise Killed
        return published(place, chunk, values, admit)

    published = chunks.publish
    flip(store / "summary/teacher/c.1.0.0", 8 * (2 * 40 + 7))
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "publish", publish)
        with pytest.raises(Killed):
            finish(repair(store))
    assert finish(verify(store)).problems
    assert finish(repair(store)).clips == (sample.rows.ids[6],)
    assert complete(sample, store) == {1: ((6,), ("teacher",))}
    assert_whole(store, original)


def test_a_kill_while_damaged_clips_are_done_again_loses_no_good_ones(
    store, sample, original, monkeypatch
):
    def kill(self, line):
        raise Killed

    flip(store / "tokens/teacher/c.1.0.0.0.0", 8 * (2 * 120 + 7))
    finish(repair(store))
    with monkeypatch.context() as patch:
        patch.setattr(LedgerFile, "append", kill)
        with pytest.raises(Killed):
            complete(sample, store)
    assert complete(sample, store) == {1: ((6,), ("teacher",))}
    assert_whole(store, original)


def test_good_clips_that_are_damaged_meanwhile_are_not_vouched_for_anew(store, sample):
    file = store / "tokens/teacher/c.1.0.0.0.0"
    flip(file, 8 * (2 * 120 + 7))
    finish(repair(store))
    flip(file, 8 * (1 * 120 + 7))
    with pytest.raises(CorruptStoreError, match=r"c\.1\.0\.0\.0\.0 is altered.*store repair"):
        complete(sample, store)
    assert finish(repair(store)).clips == (sample.rows.ids[5],)
    assert complete(sample, store) == {1: ((5, 6), ("teacher",))}
    assert finish(verify(store)).problems == ()


def test_what_somebody_does_again_while_it_is_inspected_is_not_requeued(
    store, sample, original, monkeypatch
):
    def hold(self, name, **above):
        # As if the one who had the item until now had just finished it.
        with monkeypatch.context() as patch:
            patch.setattr(repairing.Leases, "hold", held)
            complete(sample, store)
        return held(self, name, **above)

    from polyspace.store import repair as repairing

    held = repairing.Leases.hold
    (store / "tokens/teacher/c.1.0.0.0.0").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(repairing.Leases, "hold", hold)
        assert finish(repair(store)).clips == ()
    assert_whole(store, original)


def test_clips_of_several_backbones_and_files_are_put_right_together(store, sample, original):
    draw = random.Random(0)
    files = sorted(file for part in PARTS for file in (store / part).rglob("c.*"))
    for file in draw.sample(files, 9):
        flip(file, draw.randrange(8 * file.stat().st_size))
    damaged = {clip for problem in finish(verify(store)).problems for clip in problem.clips}
    repaired = finish(repair(store))
    assert set(repaired.clips) == damaged
    assert list(repaired.clips) == sorted(repaired.clips)
    complete(sample, store)
    assert_whole(store, original)


def test_no_lease_is_left(store):
    flip(store / "tokens/teacher/c.1.0.0.0.0", 99)
    finish(repair(store))
    assert os.listdir(store / "leases") == []


def test_where_there_is_no_store_nothing_is_made(tmp_path):
    with pytest.raises(StoreError, match="no feature store at"):
        finish(repair(tmp_path / "nothing.zarr"))
    assert list(tmp_path.iterdir()) == []
