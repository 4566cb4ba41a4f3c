import numpy as np
import pytest

from polyspace.errors import CorruptStoreError
from polyspace.store import chunks
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair
from polyspace.store.verification import verify


def drive(stage):
    while True:
        try:
            next(stage)
        except StopIteration as end:
            return end.value


def flip(file, byte):
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)


def test_a_good_store_is_left_alone(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    assert str(drive(repair(store))) == f"{store}: nothing to repair"
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()} == before


def test_exactly_the_damaged_clips_are_queued_and_the_others_stay_as_they_are(store, sample):
    original = FeatureStore.open(store)
    rows = np.array([4, 5, 7])
    kept = original.tokens("teacher", rows)
    digest = original.fingerprint
    # One clip of the item's four: 30 float32 a clip.
    flip(store / "tokens" / "teacher" / "c.1.0.0.0.0", 4 * 30 * 2 + 3)
    repaired = drive(repair(store))
    assert repaired.clips == (sample.rows.ids[6],)
    assert "1 damaged clips are queued again" in str(repaired)
    assert drive(verify(store)).problems == ()
    now = FeatureStore.open(store)
    assert now.coverage.pending == 1
    assert np.array_equal(now.tokens("teacher", rows).numpy(), kept.numpy())
    assert 6 in now.rows(["student"])
    sample.write(store)
    assert FeatureStore.open(store).fingerprint == digest


@pytest.mark.parametrize("damage", ["missing", "empty", "short"])
def test_of_a_file_that_is_not_whole_all_clips_are_queued(store, sample, damage):
    digest = FeatureStore.open(store).fingerprint
    file = store / "summary" / "student" / "c.0.0.0"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else file.read_bytes()[:-1])
    assert drive(repair(store)).clips == sample.rows.ids[:4]
    assert FeatureStore.open(store).coverage.pending == 4
    sample.write(store)
    assert FeatureStore.open(store).fingerprint == digest


def test_damage_beside_the_clips_costs_none_of_them(store):
    file = store / "summary" / "student" / "c.2.0.0"
    flip(file, len(file.read_bytes()) - 6)
    assert drive(verify(store)).problems
    assert drive(repair(store)).clips == ()
    assert drive(verify(store)).problems == ()
    assert FeatureStore.open(store).coverage.pending == 0


def test_a_damaged_line_is_taken_out_and_its_clips_are_queued(store, sample):
    digest = FeatureStore.open(store).fingerprint
    (file,) = [f for f in store.glob("ledger/*.jsonl") if b'"item"' in f.read_bytes()]
    lines = file.read_bytes().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if b'"item":1' in line)
    lines[place] = lines[place].replace(b'"fence"', b'"fense"')
    file.write_bytes(b"".join(lines))
    with pytest.raises(CorruptStoreError, match="polyspace store repair"):
        FeatureStore.open(store)
    repaired = drive(repair(store))
    assert repaired.lines == 1
    assert "1 damaged lines taken out" in str(repaired)
    assert FeatureStore.open(store).coverage.pending == 4
    sample.write(store)
    assert FeatureStore.open(store).fingerprint == digest


def test_a_repair_that_was_killed_before_its_line_is_mended_by_the_next_one(
    store, sample, monkeypatch
):
    digest = FeatureStore.open(store).fingerprint
    flip(store / "tokens" / "teacher" / "c.1.0.0.0.0", 5)
    publish = chunks.publish

    def killed(*args):
        publish(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            drive(repair(store))
    assert drive(verify(store)).problems
    assert drive(repair(store)).clips == (sample.rows.ids[4],)
    sample.write(store)
    assert FeatureStore.open(store).fingerprint == digest
