import random
from dataclasses import replace

import pytest

from polyspace.errors import StoreError
from polyspace.store import ledger
from polyspace.store.layout import PARTS
from polyspace.store.reader import FeatureStore
from polyspace.store.verification import inspect, verify
from tests.support.stages import follow


def test_a_good_store_has_no_problems_and_progress_is_counted(store):
    seen, found = follow(FeatureStore.open(store).verify())
    assert [(step.done, step.total) for step in seen] == [(done, 6) for done in range(1, 7)]
    assert str(seen[-1]) == "teacher, 0 problems"
    assert found.problems == ()
    chunks = [file for part in PARTS for file in (store / part).rglob("c.*")]
    assert found.bytes == sum(file.stat().st_size for file in chunks)
    assert str(found).startswith(f"{store}: every byte is as it was written (6 work items")


def test_every_flipped_bit_in_a_chunk_is_found(store):
    draw = random.Random(0)
    files = sorted(file for part in PARTS for file in (store / part).rglob("c.*"))
    good = {file: file.read_bytes() for file in files}
    for _ in range(12):
        for file, content in good.items():
            file.write_bytes(content)
            _flip(file, draw.randrange(8 * len(content)))
        _, found = follow(verify(store))
        named = " ".join(problem.what for problem in found.problems)
        assert [file for file in files if str(file) not in named] == []
    assert 12 * len(files) > 200


def test_every_flipped_bit_anywhere_in_a_store_is_noticed(store):
    draw = random.Random(0)
    files = sorted(file for file in store.rglob("*") if file.is_file())
    for file in [*files, *draw.choices(files, k=200 - len(files))]:
        good = file.read_bytes()
        bit = draw.randrange(8 * len(good))
        _flip(file, bit)
        assert _is_noticed(store), (file, bit)
        file.write_bytes(good)
    assert not _is_noticed(store)


@pytest.mark.parametrize("kept", [None, 0, 0.5, -1])
def test_every_file_that_is_missing_or_cut_short_is_noticed(store, kept):
    for file in sorted(file for file in store.rglob("*") if file.is_file()):
        good = file.read_bytes()
        if kept is None:
            file.unlink()
        else:
            file.write_bytes(good[: int(kept * len(good)) if kept >= 0 else kept])
        assert _is_noticed(store), file
        file.write_bytes(good)
    assert not _is_noticed(store)


def test_verifying_changes_nothing(store):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    follow(verify(store))
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_store_that_is_being_written_meanwhile_has_no_problems(sample, path):
    sample.write(path, items=1)
    stage = verify(path)
    next(stage)
    sample.write(path)
    assert follow(stage)[1].problems == ()


def test_damage_is_pinned_to_the_clip(store, sample):
    file = store / "tokens" / "teacher" / "c.1.0.0.0.0"
    _flip(file, 8 * (2 * 120 + 7))
    (problem,) = follow(verify(store))[1].problems
    assert problem.clips == (sample.rows.ids[6],)
    assert problem.what == f"{file} is altered: its crc32c differs"
    assert (problem.backbone, problem.item) == ("teacher", 1)


def test_damage_outside_of_the_clips_is_reported_and_is_no_clips(store):
    file = store / "summary" / "student" / "c.2.0.0"
    # The item's last two rows are fill.
    _flip(file, 8 * (3 * 8))
    (problem,) = follow(verify(store))[1].problems
    assert problem.clips == ()
    assert str(file) in problem.what


def test_a_chunk_replaced_by_a_sound_one_with_other_values_is_found(store, sample):
    files = sorted((store / "tokens" / "student").glob("c.*"))
    files[0].write_bytes(files[1].read_bytes())
    (problem,) = follow(verify(store))[1].problems
    assert problem.clips == sample.rows.ids[:4]
    assert "is replaced: the ledger has another crc32c" in problem.what


def test_so_is_one_that_an_older_version_wrote_whose_lines_know_no_files(store, sample):
    files = sorted((store / "tokens" / "student").glob("c.*"))
    files[0].write_bytes(files[1].read_bytes())
    book = ledger.read(store)
    entry = book.entries["student", 0].model_copy(update={"files": None})
    found = inspect(book, entry)
    assert found.bad == (0, 1, 2, 3)
    assert found.what == "item 0 of student is replaced: its sha256 differs"


@pytest.mark.parametrize("damage", ["missing", "empty", "short"])
def test_files_that_are_not_whole_are_found(store, sample, damage):
    file = store / "time_seconds" / "student" / "c.0.0.0.0"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else file.read_bytes()[:-1])
    _, found = follow(verify(store))
    assert found.problems[0].clips == sample.rows.ids[:4]
    assert str(file) in found.problems[0].what
    assert str(found).startswith(f"{store}: 4 clips are damaged")


def test_deleting_what_is_damaged_and_writing_again_mends_the_store(store, sample):
    original = FeatureStore.open(store).fingerprint
    file = store / "tokens" / "student" / "c.1.0.0.0.0"
    _flip(file, 100)
    file.unlink()
    sample.write(store)
    assert follow(verify(store))[1].problems == ()
    assert FeatureStore.open(store).fingerprint == original


def test_quarantined_and_pending_clips_are_no_problem(sample, path):
    replace(sample, quarantined={sample.rows.ids[0]: "no frames"}).write(path, items=1)
    _, found = follow(verify(path))
    assert (found.items, found.problems) == (2, ())


def _flip(file, bit):
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def _is_noticed(path):
    """Tell whether opening or verifying a store finds something wrong with it."""
    try:
        return bool(follow(verify(path))[1].problems)
    except StoreError:
        return True
