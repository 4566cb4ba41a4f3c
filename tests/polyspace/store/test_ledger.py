import json
from dataclasses import replace

import numpy as np
import pytest

from polyspace.errors import CorruptStoreError
from polyspace.store import journal, ledger, storage
from polyspace.store.journal import LedgerFile
from polyspace.store.local import LocalFolder
from polyspace.store.seal import seal, unseal
from polyspace.store.verification import verify
from tests.support.stages import finish


@pytest.fixture
def file(store):
    """The file with the lines on work items; the others vouch for small files."""
    (found,) = [f for f in store.glob("ledger/*.jsonl") if b'"item"' in f.read_bytes()]
    return found


def lines_of(file):
    return file.read_bytes().splitlines(keepends=True)


@pytest.fixture
def stopped(sample, path):
    """A store whose writer was stopped when all was written, but the column was not derived."""

    def write():
        with sample.open(path) as writer:
            for item in writer.claims():
                writer.write(item, sample.blocks(item), {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    return path


def test_one_line_for_every_item_and_backbone(store):
    book = ledger.read(store)
    assert set(book.entries) == {(n, i) for n in ("student", "teacher") for i in range(3)}
    entry = book.entries["student", 2]
    assert (entry.start, entry.stop, len(entry.sha256)) == (8, 10, 2)
    chunks = book.layout.chunks(book.layout.specs["student"], 2)
    assert entry.bytes == sum((store / chunk.key).stat().st_size for chunk in chunks)
    assert entry.files
    assert {p: f.bytes for p, f in entry.files.items()} == {
        chunk.part: (store / chunk.key).stat().st_size for chunk in chunks
    }


def test_states_of_clips_follow_from_the_lines(make_sample, path):
    sample = replace(make_sample(), quarantined={"v_Tähti_g01": "no frames"})
    sample.write(path, items=2)
    book = ledger.read(path)
    assert np.flatnonzero(book.done("student")).tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert book.quarantined("teacher") == {"v_Tähti_g01": "no frames"}
    assert book.coverage() == ledger.Coverage(10, 7, {"v_Tähti_g01": "no frames"}, 2)


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_torn_last_line_was_never_acknowledged(stopped, kept):
    (file,) = stopped.glob("ledger/*.jsonl")
    *lines, last = lines_of(file)
    file.write_bytes(b"".join(lines) + last[:kept])
    assert set(ledger.read(stopped).entries) == {
        *(("student", item) for item in range(3)),
        *(("teacher", item) for item in range(2)),
    }


def test_no_line_that_was_there_when_state_was_derived_may_get_lost(store, file):
    lines = lines_of(file)
    counted = rf"has {len(lines) - 1} lines, expected {len(lines)}: .* store repair"
    for place, line in enumerate(lines):
        file.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))
        message = counted if b'"item"' in line else "polyspace store repair"
        with pytest.raises(CorruptStoreError, match=message):
            ledger.read(store)


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(store, file):
    lines = lines_of(file)
    file.write_bytes(b"".join([lines[0], lines[1][:40], b"\n", *lines[2:]]))
    with pytest.raises(CorruptStoreError, match=r"line 2 of .*jsonl is damaged"):
        ledger.read(store)


def test_every_flipped_bit_of_a_ledger_file_is_an_error(store, file):
    good = file.read_bytes()
    for bit in range(0, 8 * len(good), 101):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bad)
        try:
            found = finish(verify(store))
            # The last line break: what it ended is half a line now.
            assert "ends in half a line" in found.problems[0].what
        except CorruptStoreError:
            continue


def append(store, entry, **changes):
    newer = LedgerFile(storage.at(store))
    newer.append(entry.model_copy(update=changes))
    newer.close()


def test_of_two_lines_of_one_lease_the_later_one_counts(store):
    entry = ledger.read(store).entries["student", 0]
    append(store, entry, written_at=journal.now(), bytes=7)
    assert ledger.read(store).entries["student", 0].bytes == 7


def test_a_line_of_a_lost_lease_does_not_count_even_if_it_comes_later(store):
    entry = ledger.read(store).entries["student", 0]
    append(store, entry, fence=entry.fence + 1, written_at=journal.now(), bytes=7)
    append(store, entry, written_at=journal.now(), bytes=8)
    assert ledger.read(store).entries["student", 0].bytes == 7


def test_files_of_several_writers_are_merged(stopped):
    (file,) = stopped.glob("ledger/*.jsonl")
    before = ledger.read(stopped).entries
    for number, line in enumerate(lines_of(file)):
        (stopped / "ledger" / f"writer{number}.jsonl").write_bytes(line)
    file.unlink()
    assert ledger.read(stopped).entries == before


def forge(file, **changes):
    """Alter the first line on a work item, and seal it again."""
    lines = lines_of(file)
    place = next(n for n, line in enumerate(lines) if b'"item"' in line)
    entry = json.loads(unseal(lines[place].removesuffix(b"\n"))) | changes
    file.write_bytes(b"".join([*lines[:place], seal(json.dumps(entry)), *lines[place + 1 :]]))


def test_lines_vouch_for_what_they_were_written_under(store, file):
    forge(file, array="0" * 64)
    with pytest.raises(CorruptStoreError, match="vouches for item 0 of student"):
        ledger.read(store)


def test_lines_of_a_backbone_whose_arrays_are_gone_are_an_error(store, file):
    forge(file, backbone="third")
    with pytest.raises(CorruptStoreError, match="of third"):
        ledger.read(store)


def test_lines_of_another_chunk_size_are_an_error(store, file):
    forge(file, stop=5)
    with pytest.raises(CorruptStoreError, match="rows 0 to 5, expected 0 to 4"):
        ledger.read(store)


def test_who_follows_a_ledger_reads_what_others_add(sample, path):
    sample.write(path, items=1)
    follower = ledger.Follower(path)
    assert len(follower.book.entries) == 2
    sample.write(path, items=1)
    assert len(follower.catch_up().entries) == 4
    assert follower.catch_up().pending("student", 1) == ()
    assert follower.catch_up().pending("student", 2) == (8, 9)


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 4, 5, 6])
def test_who_reads_while_somebody_writes_reads_a_sound_store(sample, path, monkeypatch, moment):
    def count(method):
        def counted(*arguments, **options):
            result = method(*arguments, **options)
            seen.append(method.__name__)
            if len(seen) == moment + 1:
                patch.undo()
                # Somebody adds a backbone and lines, and derives `state` anew.
                sample.write(path, items=1)
            return result

        return counted

    sample.named("student").write(path, items=1)
    seen = []
    with monkeypatch.context() as patch:
        for name in ("list", "read", "read_many"):
            patch.setattr(LocalFolder, name, count(getattr(LocalFolder, name)))
        book = ledger.read(path)
    assert len(seen) >= moment + 1
    assert set(book.entries) <= set(ledger.read(path).entries)


def test_a_ledger_file_is_made_with_its_first_line(store):
    before = set((store / "ledger").iterdir())
    LedgerFile(storage.at(store)).close()
    assert set((store / "ledger").iterdir()) == before
