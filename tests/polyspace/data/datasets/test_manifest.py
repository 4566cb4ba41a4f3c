import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from polyspace.data.datasets import manifest, registry
from polyspace.errors import ConfigError, DatasetError, LabelError
from tests.support.layouts import make_manifest, put, write_csv


def table(root, header, *rows):
    """Write a manifest and the files that it names."""
    write_csv(root / "manifest.csv", header, *rows)
    return put(root, *(row[0] for row in rows))


def test_columns_say_split_group_and_id(tmp_path):
    make_manifest(tmp_path)
    found = registry.read("manifest", tmp_path, "validation")

    assert registry.splits("manifest", tmp_path) == ("train", "validation", "test")
    assert found.class_names == ("cat", "dog")
    assert [(c.id, c.path, c.label, c.group) for c in found.clips] == [
        ("val-dog-0", "val/dog-0.mp4", 1, "val-0"),
        ("val-dog-1", "val/dog-1.mp4", 1, "val-1"),
        ("val-cat-0", "val/cat-0.mp4", 0, "val-0"),
        ("val-cat-1", "val/cat-1.mp4", 0, "val-1"),
    ]


def test_without_splits_a_quarter_of_the_groups_of_each_class_is_tested_on(tmp_path):
    rows = [(f"{n}.mp4", "ab"[n % 2], f"video{n // 2}") for n in range(16)]
    table(tmp_path, "path,label,group", *rows)

    train, test = (registry.read("manifest", tmp_path, s).clips for s in ("train", "test"))

    assert (len(train), len(test)) == (12, 4)
    assert not {clip.group for clip in train} & {clip.group for clip in test}


def test_without_more_columns_a_path_is_the_id_and_the_group(tmp_path):
    table(tmp_path, "path,label", ("a/b.mp4", "x"), ("c.mp4", "x"))

    clips = registry.read("manifest", tmp_path, "train").clips

    assert all(clip.id == clip.path == clip.group for clip in clips)


def test_labels_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path):
    table(tmp_path, "path,label,split", *((f"{n}.mp4", n, "train") for n in (10, 9, 2)))

    found = registry.read("manifest", tmp_path, "train")

    assert found.class_names == ("2", "9", "10")
    assert [clip.label for clip in found.clips] == [2, 1, 0]


def test_labels_are_numbered_over_the_whole_table(tmp_path):
    rows = [("a.mp4", "emu", "train"), ("b.mp4", "cat", "test"), ("c.mp4", "emu", "test")]
    table(tmp_path, "path,label,split", *rows)

    assert [c.label for c in registry.read("manifest", tmp_path, "train").clips] == [1]
    assert [c.label for c in registry.read("manifest", tmp_path, "test").clips] == [0, 1]


def test_a_parquet_file_says_the_same(tmp_path):
    make_manifest(tmp_path / "a")
    make_manifest(tmp_path / "b")
    (tmp_path / "b" / "manifest.csv").unlink()
    rows = manifest.annotations.rows(tmp_path / "a" / "manifest.csv", ("path",))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "b" / "manifest.parquet")

    for split in ("train", "validation", "test"):
        said, same = (registry.read("manifest", tmp_path / name, split) for name in "ab")
        assert (said.clips, said.class_names) == (same.clips, same.class_names)


def test_numbers_in_a_parquet_file_are_labels_and_nothing_is_none(tmp_path):
    put(tmp_path, "a.mp4", "b.mp4")
    columns = {"path": ["a.mp4", "b.mp4"], "label": [10, 9], "split": ["train", "train"]}
    parquet.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    assert registry.read("manifest", tmp_path, "train").class_names == ("9", "10")

    parquet.write_table(pa.table({**columns, "label": [10, None]}), tmp_path / "manifest.parquet")
    with pytest.raises(LabelError, match=r"1 of 2 clips .* have no label, first 'b\.mp4'"):
        registry.read("manifest", tmp_path, "train")


def test_a_parquet_file_needs_a_package(tmp_path, monkeypatch):
    put(tmp_path, "manifest.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(ConfigError, match=r"isn't installed: pip install polyspace\[parquet\]"):
        manifest.read(tmp_path, "train")


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    put(tmp_path, "manifest.parquet")

    with pytest.raises(DatasetError, match=r"manifest\.parquet is no parquet file"):
        manifest.read(tmp_path, "train")


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("path,label", ("/etc/passwd", "x"), "row 1: the path '/etc/passwd' is absolute"),
        ("path,label", ("../a.mp4", "x"), "leads out of its folder"),
        ("path,label", ("https://host/a.mp4", "x"), "is an address"),
        ("path,label", ("a.mp4", ""), "1 of 1 clips .* have no label"),
        ("path,label,split", ("a.mp4", "x", "dev"), "has the split 'dev': expected one of train"),
        ("path,label,group", ("a.mp4", "x", ""), "the group of 'a.mp4' is empty"),
        ("path,label,id", ("a.mp4", "x", ""), "the id of 'a.mp4' is empty"),
        ("path,label,groups", ("a.mp4", "x", "g"), "the column 'groups', which means nothing"),
        ("path", ("a.mp4",), "among them path, label"),
        ("path,label", ("gone.mp4", "x"), "none of the 1 files"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_in_one_line(tmp_path, header, row, reason):
    write_csv(tmp_path / "manifest.csv", header, row)
    put(tmp_path, "a.mp4")

    with pytest.raises(DatasetError, match=reason) as refusal:
        registry.read("manifest", tmp_path, "train")

    assert "\n" not in str(refusal.value)


def test_a_missing_file_among_others_stays_listed_for_the_quarantine(tmp_path):
    table(tmp_path, "path,label,split", ("a.mp4", "x", "train"), ("b.mp4", "x", "train"))
    (tmp_path / "b.mp4").unlink()

    assert len(registry.read("manifest", tmp_path, "train").clips) == 2


def test_a_table_without_rows_no_table_and_two_tables_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"has neither manifest\.csv and manifest\.parquet"):
        manifest.read(tmp_path, "train")
    write_csv(tmp_path / "manifest.csv", "path,label")
    with pytest.raises(DatasetError, match="lists no clips"):
        manifest.read(tmp_path, "train")
    put(tmp_path, "manifest.parquet")
    with pytest.raises(DatasetError, match="has both"):
        manifest.read(tmp_path, "train")
