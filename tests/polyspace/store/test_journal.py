import re
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store import journal
from polyspace.store.encoding import Lost
from polyspace.store.journal import Entry, JournalReader, LedgerFile, StoredFile, Vouched
from polyspace.store.layout import Chunk
from polyspace.store.local import LocalFolder
from polyspace.store.seal import seal


@pytest.fixture
def place(path):
    return LocalFolder(path)


def entry(item=0, **changes):
    said: dict[str, Any] = {
        "item": item,
        "start": 2 * item,
        "stop": 2 * item + 2,
        "backbone": "student",
        "array": "a7",
        "sha256": ("2b", None),
        "quarantined": {"v_Tähti_g01": "no frames"},
        "bytes": 364,
        "written_at": journal.now(),
        "fence": 3,
        "files": {"tokens": StoredFile(bytes=364, crc32c="0badcafe")},
        "lost": Lost(values=4, largest=2.5),
    }
    return Entry(**(said | changes))


def write(place, *lines):
    """Let one writer write some lines; give the key of its file."""
    before = set(place.list())
    with closing(LedgerFile(place)) as file:
        for line in lines:
            file.append(line)
    (key,) = set(place.list()) - before
    return key


def read(place):
    return JournalReader(place).lines(place.list())


def test_lines_are_read_as_they_were_written(place):
    first, second = entry(0), entry(1, fence=0, files=None)
    key = write(place, first, Vouched(vouched={"zarr.json": "5e"}, present=("zarr.json",)), second)
    lines = read(place)
    assert lines.entries == {key.removeprefix("ledger/"): (first, second)}
    assert lines.vouched == {"zarr.json": {"5e"}}
    assert lines.present == {"zarr.json"}


def test_every_writer_has_a_file_of_its_own(place):
    keys = {write(place, entry(item)) for item in range(4)}
    assert len(keys) == 4
    assert sum(map(len, read(place).entries.values())) == 4


def test_a_small_file_may_be_all_that_any_line_says(place):
    write(place, Vouched(vouched={"state/c.0": "01", "id/c.0": "02"}))
    write(place, Vouched(vouched={"state/c.0": "03"}))
    lines = read(place)
    assert lines.vouched == {"state/c.0": {"01", "03"}, "id/c.0": {"02"}}
    assert lines.present == set()


def test_lines_of_schema_1_are_understood(place):
    line = (
        '{"item":1,"start":2,"stop":4,"backbone":"student","array":"a7","sha256":["2b",null],'
        '"quarantined":{},"bytes":364,"written_at":"2026-11-21T04:36:12.123456+00:00"}'
    )
    place.publish("ledger/old.jsonl", [seal(line)])
    (found,) = read(place).entries["old.jsonl"]
    assert (found.fence, found.files, found.lost) == (0, None, Lost())
    # Nothing is said of sizes, so they are those of the layout: values and checksum.
    assert found.size(Chunk("tokens", "", (2, 3), np.dtype("<f2"), "none")) == 2 * 3 * 2 + 4


def test_a_line_says_how_large_its_files_are_and_which_are_not_there():
    tokens = Chunk("tokens", "", (2, 3), np.dtype("<f2"), "none")
    summary = Chunk("summary", "", (2, 3), np.dtype("<f2"), "none")
    assert entry().size(tokens) == 364
    assert entry().size(summary) is None
    assert entry(files={}).size(tokens) is None


class Watched(LocalFolder):
    """A folder that remembers what was read."""

    def read_many(self, starts):
        self.asked = dict(starts)
        return super().read_many(starts)


def test_who_asks_again_reads_only_what_was_added(path):
    place = Watched(path)
    with closing(LedgerFile(place)) as file:
        file.append(entry(0))
        (key,) = place.list()
        size = place.list()[key]
        reader = JournalReader(place)
        reader.lines(place.list())
        assert place.asked == {key: 0}
        file.append(entry(1))
        other = write(place, entry(2))
        found = reader.lines(place.list())
        assert place.asked == {key: size, other: 0}
    assert sorted(e.item for file in found.entries.values() for e in file) == [0, 1, 2]
    reader.lines(place.list())
    assert place.asked == {}


def test_half_a_line_is_read_when_it_is_whole(place):
    key = write(place, entry(0))
    whole = place.read(key)
    line = seal(entry(1).model_dump_json())
    place.publish(key, [whole, line[:40]])
    reader = JournalReader(place)
    assert [e.item for e in reader.lines(place.list()).entries[key.removeprefix("ledger/")]] == [0]
    assert reader.torn(place.list()) == {key: len(whole)}
    place.publish(key, [whole, line])
    found = reader.lines(place.list())
    assert [e.item for e in found.entries[key.removeprefix("ledger/")]] == [0, 1]
    assert reader.torn(place.list()) == {}


def add(place, line):
    """Write two sound lines and another one behind them; give their file's key."""
    key = write(place, entry(0))
    reader = JournalReader(place)
    reader.lines(place.list())
    place.publish(key, [place.read(key), seal(entry(1).model_dump_json()), line, b"\n"])
    return key, reader


@pytest.mark.parametrize("bad", [b"", b"{}", b"\xff\xfe", seal('{"item":1}')[1:-1]])
def test_a_damaged_line_is_an_error_that_names_it_and_says_what_helps(place, bad):
    key, reader = add(place, bad)
    name = re.escape(f"line 3 of {place.path / key} is damaged")
    with pytest.raises(CorruptStoreError, match=rf"^{name} \(its crc32c differs\): run .* repair"):
        reader.lines(place.list())


@pytest.mark.parametrize("text", ['{"item":1}', '{"vouched":[]}', '{"vouched":{},"surprise":1}'])
def test_a_whole_line_of_a_newer_version_is_no_damage(place, text):
    key, reader = add(place, seal(text)[:-1])
    with pytest.raises(StoreError, match=r"line 3 of .* is whole, .*: use the version that wrote"):
        reader.lines(place.list())
    before = place.read(key)
    assert journal.mend(place) == 0
    assert place.read(key) == before


def test_mending_takes_damaged_lines_out_and_nothing_else(place):
    sound, torn = write(place, entry(0)), write(place, entry(1), entry(2), entry(3))
    first, _, last = place.read(torn).splitlines(keepends=True)
    place.publish(torn, [first, b"\xff\n", last])
    place.publish("ledger/notes.txt", [b"ours\n"])
    before = (place.path / sound).stat()
    assert journal.mend(place) == 1
    assert place.read(torn) == first + last
    assert (place.path / sound).stat() == before
    assert place.read("ledger/notes.txt") == b"ours\n"
    assert journal.mend(place) == 0


def test_a_disk_that_fills_up_in_a_line_leaves_no_half_of_it(place, room_for):
    with closing(LedgerFile(place)) as file:
        file.append(entry(0))
        (size,) = place.list().values()
        with room_for(size + 100), pytest.raises(StoreError, match="make room"):
            file.append(entry(1))
        file.append(entry(2))
    assert [e.item for file in read(place).entries.values() for e in file] == [0, 2]
