from dataclasses import replace

import numpy as np
import pytest

from polyspace.errors import CorruptStoreError
from polyspace.store import ledger, metadata
from polyspace.store.layout import ClipRows


@pytest.fixture
def layout(store):
    return metadata.read(store)


@pytest.fixture
def file(layout):
    (found,) = layout.ledger.glob("*.jsonl")
    return found


def test_one_line_for_every_item_and_backbone(layout):
    book = ledger.read(layout)
    assert set(book.entries) == {(n, i) for n in ("student", "teacher") for i in range(3)}
    entry = book.entries["student", 2]
    assert (entry.start, entry.stop, len(entry.sha256)) == (8, 10, 2)
    assert entry.bytes == sum(
        chunk.path.stat().st_size for chunk in layout.chunks(layout.specs["student"], 2)
    )


def test_states_of_clips_follow_from_the_lines(make_sample, path):
    sample = replace(make_sample(), quarantined={"v_Tähti_g01": "no frames"})
    sample.write(path, items=2)
    book = ledger.read(metadata.read(path))
    assert np.flatnonzero(book.done("student")).tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert book.quarantined("teacher") == {"v_Tähti_g01": "no frames"}
    assert book.coverage() == ledger.Coverage(10, 7, {"v_Tähti_g01": "no frames"}, 2)


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_torn_last_line_is_ignored(layout, file, kept):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    assert len(ledger.read(layout).entries) == len(lines) - 1


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(layout, file):
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], lines[1][:40], b"\n", *lines[2:]]))
    with pytest.raises(CorruptStoreError, match=r"line 2 of .*jsonl is damaged"):
        ledger.read(layout)


def test_every_flipped_bit_of_a_line_is_an_error(layout, file):
    good = file.read_bytes()
    start, stop = good.index(b"\n") + 1, good.index(b"\n", good.index(b"\n") + 1)
    for bit in range(8 * start, 8 * stop, 13):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bad)
        with pytest.raises(CorruptStoreError):
            ledger.read(layout)


def test_of_two_lines_the_later_one_counts_in_whatever_file_it_is(layout, file):
    lines = file.read_bytes().splitlines(keepends=True)
    entry = ledger.read(layout).entries["student", 0]
    newer = ledger.LedgerFile(layout.ledger)
    newer.append(entry.model_copy(update={"written_at": ledger.now(), "bytes": 7}))
    newer.close()
    # The newer file sorts first by name, and must win all the same.
    (second,) = set(layout.ledger.glob("*.jsonl")) - {file}
    second.rename(layout.ledger / "0.jsonl")
    assert len(lines) == 6
    assert ledger.read(layout).entries["student", 0].bytes == 7


def test_files_of_several_writers_are_merged(layout, file):
    before = ledger.read(layout).entries
    lines = file.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        (layout.ledger / f"writer{number}.jsonl").write_bytes(line)
    file.unlink()
    assert ledger.read(layout).entries == before


def test_lines_vouch_for_the_labels_they_were_written_under(layout):
    rows = ClipRows(layout.rows.ids, layout.rows.groups, 1 - layout.rows.labels)
    with pytest.raises(CorruptStoreError, match="vouches for item 0"):
        ledger.read(replace(layout, rows=rows))


def test_lines_of_a_backbone_whose_arrays_are_gone_are_an_error(layout):
    with pytest.raises(CorruptStoreError, match="of teacher"):
        ledger.read(replace(layout, specs={"student": layout.specs["student"]}))


def test_lines_of_another_chunk_size_are_an_error(layout):
    header = replace(layout.header, clips_per_chunk=5)
    with pytest.raises(CorruptStoreError, match="rows 0 to 4, expected 0 to 5"):
        ledger.read(replace(layout, header=header))


def test_a_ledger_file_is_made_with_its_first_line(layout):
    before = set(layout.ledger.iterdir())
    ledger.LedgerFile(layout.ledger).close()
    assert set(layout.ledger.iterdir()) == before
