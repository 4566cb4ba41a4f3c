from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import zarr

from polyspace.errors import CorruptStoreError
from polyspace.store import ledger, state
from polyspace.store.journal import LedgerFile
from polyspace.store.repair import repair


@pytest.fixture
def unfinished(sample, path):
    """A store of three items, the last of which is pending, and the first has a bad clip."""
    return replace(sample, quarantined={sample.rows.ids[1]: "no frames"}).write(path, items=2)


def column(path):
    array = zarr.open_array(path / "state", mode="r")
    return np.asarray(array[:]).tolist(), array.attrs.asdict()


def refresh(path):
    with closing(LedgerFile(ledger.read(path).layout.storage)) as file:
        state.refresh(ledger.read(path), file)


def stamps(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}


EXPECTED = ["done", "quarantined", *["done"] * 6, "pending", "pending"]


def test_every_clip_is_pending_done_or_quarantined(unfinished):
    states, _ = state.of(ledger.read(unfinished))
    assert states == EXPECTED


def test_a_clip_is_done_when_every_backbone_has_seen_it(sample, path):
    student = sample.named("student")
    student.write(path)
    assert set(state.of(ledger.read(path))[0]) == {"done"}
    sample.write(path, items=1)
    states, _ = state.of(ledger.read(path))
    assert states == ["done"] * 4 + ["pending"] * 6


def test_a_store_without_backbones_has_done_nothing(sample, path):
    sample.named().write(path)
    assert set(column(path)[0]) == {"pending"}


def test_the_attributes_say_what_was_lost(unfinished):
    _, attributes = state.of(ledger.read(unfinished))
    assert attributes["lost"]["student"]["values"] == 7 * 24
    assert attributes["lost"]["teacher"]["values"] == 7 * 30


def test_they_count_the_lines_of_each_ledger_file(unfinished, sample):
    sample.write(unfinished)
    files = list(unfinished.glob("ledger/*.jsonl"))
    lines = {file.name: len(file.read_bytes().splitlines()) for file in files}
    assert len(lines) == 2
    assert column(unfinished)[1]["ledger"] == lines


def test_any_zarr_client_reads_what_the_ledger_says(unfinished):
    states, attributes = column(unfinished)
    assert states == EXPECTED
    assert attributes["lost"] == state.of(ledger.read(unfinished))[1]["lost"]


def test_what_says_the_same_already_is_not_written_again(unfinished):
    before = stamps(unfinished)
    refresh(unfinished)
    assert stamps(unfinished) == before


def test_it_follows_the_ledger(unfinished, sample):
    sample.write(unfinished)
    assert column(unfinished)[0] == ["done", "quarantined", *["done"] * 8]


@pytest.mark.parametrize("name", ["c.0", "zarr.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "flipped"])
def test_a_damaged_one_is_derived_anew_by_repair_and_nothing_else_changes(
    sample, path, name, damage
):
    file = sample.write(path, items=1) / "state" / name
    before = {file: stamp for file, stamp in stamps(path).items() if file.parts[-2] != "state"}
    expected, good = column(path)[0], file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else good[:9] + b"\x00" + good[10:])
    with pytest.raises(CorruptStoreError, match=f"state/{name} .*: run polyspace store repair"):
        ledger.read(path)
    list(repair(path))
    assert column(path)[0] == expected
    assert ledger.read(path).coverage().done == 4
    assert {file: stamps(path)[file] for file in before} == before
