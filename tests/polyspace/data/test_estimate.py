from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from polyspace.data.estimate import bytes_of, check_disk, free_bytes, in_words, nearest_folder
from polyspace.errors import StoreError
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.writer import StoreWriter

ENOUGH = 10**15
"""Clips that no disk holds."""


def spec(name, **changes):
    provenance = {"role": "teacher", "settings": {"size": [1, 2]}}
    return replace(ArraySpec(name, 4, 16, 64, views=2, provenance=provenance), **changes)


def write(path, specs, clips, per_chunk):
    header = StoreHeader("made", "train", ("one",), per_chunk, protocol={})
    names = tuple(f"v_ClassA_g01_c{number:04d}" for number in range(clips))
    rows = ClipRows(names, names, np.zeros(clips, dtype=np.int64))
    with StoreWriter.open(path, header, rows, specs) as writer:
        for item in writer.pending():
            blocks = {
                own.backbone: Block(
                    tokens=torch.ones(len(item), *own.row_shape("tokens")),
                    summary=torch.ones(len(item), *own.row_shape("summary")),
                    seconds=np.ones((len(item), *own.row_shape("time_seconds"))),
                )
                for own in specs
            }
            writer.write(item, blocks, quarantined={})


@pytest.mark.parametrize("dtype", ["float16", "float32", "scaled", "int8"])
def test_the_estimate_is_the_size_of_the_store_within_a_percent(tmp_path, dtype):
    path, specs = tmp_path / "made_train.zarr", [spec("a", dtype=dtype), spec("b", space=4)]
    write(path, specs, clips=130, per_chunk=40)
    files = {file: file.stat().st_size for file in path.rglob("*") if file.is_file()}
    size = bytes_of(specs, 130, clips_per_chunk=40)
    for own in specs:
        chunks = sum(
            bytes_ for file, bytes_ in files.items() if file.match(f"*/{own.backbone}/c.*")
        )
        assert size.features[own.backbone] == chunks
    assert size.total == pytest.approx(sum(files.values()), rel=0.01)


def test_the_last_file_is_filled_up():
    one = bytes_of([spec("a")], 40, clips_per_chunk=40).features["a"]
    assert bytes_of([spec("a")], 41, clips_per_chunk=40).features["a"] == 2 * one


def test_nothing_to_do_takes_nothing():
    assert bytes_of([spec("a")], 0, clips_per_chunk=40).total == 0


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({}, "choose --spatial 1, or another --out"),
        ({"space": 1}, "choose --storage int8, or another --out"),
        ({"space": 1, "dtype": "int8"}, "choose another --out"),
    ],
)
def test_what_the_disk_cannot_hold_is_refused_with_what_helps(tmp_path, changes, remedy):
    path = tmp_path / "not" / "there" / "made_train.zarr"
    with pytest.raises(StoreError, match=r"need .* TB, .*B are free at") as refusal:
        check_disk(path, [spec("a", **changes)], ENOUGH, clips_per_chunk=256)
    assert str(refusal.value).endswith(f"{path}: {remedy}")
    assert not (tmp_path / "not").exists()


def test_what_fits_is_not_refused(tmp_path):
    check_disk(tmp_path, [spec("a")], 1, clips_per_chunk=256)
    check_disk(tmp_path, [spec("a")], 0, clips_per_chunk=256)


def test_an_object_store_has_no_end():
    check_disk(Path("s3://bucket/features"), [spec("a")], ENOUGH, clips_per_chunk=256)
    assert free_bytes(Path("s3://bucket/features")) is None


def test_the_nearest_folder_is_the_last_one_that_is_there(tmp_path):
    assert nearest_folder(tmp_path / "a" / "b.zarr") == tmp_path
    assert nearest_folder(Path("features/not/there")).is_dir()


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (34 * 10**8, "3.4 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_bytes_are_said_as_people_say_them(size, words):
    assert in_words(size) == words
