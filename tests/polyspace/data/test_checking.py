import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from polyspace.data.checking import Checked, check
from polyspace.data.datasets import hmdb51, labels
from polyspace.errors import DatasetError, UnknownNameError
from tests.support.layouts import (
    make_breakfast,
    make_diving48,
    make_hmdb51,
    make_hmdb51_tables,
    make_kinetics,
    make_manifest,
    make_ssv2,
    make_uav_human,
    put,
    write_csv,
    write_json,
)
from tests.support.stages import finish
from tests.support.ucf101 import make_ucf101


def checked(dataset, root) -> Checked:
    """Run a check to its end."""
    return finish(check(dataset, root))


def found(result):
    """Give the examples of every kind of finding that makes figures wrong."""
    return {finding.kind: finding.examples for finding in result.findings if finding.wrong}


SOUND = [
    ("breakfast", make_breakfast, 4 * 80),
    ("diving48", make_diving48, 40 + 15),
    ("hmdb51", make_hmdb51, 3 * 51 * 3),
    ("hmdb51", make_hmdb51_tables, 3 + 2 + 3),
    ("kinetics", make_kinetics, 6),
    ("manifest", make_manifest, 12),
    ("ssv2", make_ssv2, 16),
    ("uav-human", make_uav_human, 2 * 12),
]


@pytest.mark.parametrize(("dataset", "make", "clips"), SOUND)
def test_nothing_is_wrong_with_a_sound_folder_of_each_layout(tmp_path, dataset, make, clips):
    result = checked(dataset, make(tmp_path))

    # Tables of HMDB51 have one validation clip less than classes, which is a note.
    assert found(result) == {}
    assert not result.wrong
    assert sum(result.clips.values()) == clips
    assert str(result).endswith("nothing wrong")


def test_nothing_is_wrong_with_folders_of_classes_and_the_demo(tmp_path, tiny_motion):
    put(tmp_path, *(f"{name}/{n}.mp4" for name in ("cat", "dog") for n in range(8)))

    assert found(checked("folder-of-classes", tmp_path)) == {}
    assert found(checked("motion", tiny_motion)) == {}


def test_what_was_looked_at_is_said_in_one_line(tmp_path):
    assert str(checked("manifest", make_manifest(tmp_path))) == (
        f"manifest under {tmp_path}: 2 classes, clips in train 4, validation 4, test 4; 12 files "
        "looked at, 12 of equal size compared; labels, groups and ids compared between splits: "
        "nothing wrong"
    )


def test_classes_that_no_clip_has_are_a_note(tmp_path):
    result = checked("diving48", make_diving48(tmp_path))
    [note] = result.findings

    assert (note.kind, note.wrong) == ("no clips", False)
    assert "Forward+Dive+NoTwis+STR in train" in note.examples


def hide_and_empty(root: Path) -> Path:
    (root / "train/dog-0.mp4").unlink()
    (root / "test/cat-1.mp4").write_bytes(b"")
    return root


def copy(source: str, target: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        shutil.copy(root / source, root / target)
        return root

    return change


def rewrite(old: str, new: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        file = root / "manifest.csv"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return root

    return change


@dataclass(frozen=True)
class Spoilt:
    id: str
    change: Callable[[Path], Path]
    findings: dict[str, tuple[str, ...]]


SPOILT = [
    Spoilt(
        "files", hide_and_empty, {"missing": ("train/dog-0.mp4",), "empty": ("test/cat-1.mp4",)}
    ),
    Spoilt(
        "across splits",
        copy("train/dog-0.mp4", "test/dog-1.mp4"),
        {"identical across splits": ("test/dog-1.mp4 = train/dog-0.mp4",)},
    ),
    Spoilt(
        "across classes",
        copy("train/dog-0.mp4", "train/cat-0.mp4"),
        {"identical across classes": ("train/cat-0.mp4 = train/dog-0.mp4",)},
    ),
    Spoilt(
        "one file in two splits",
        rewrite("test/dog-0.mp4,", "train/dog-0.mp4,"),
        {"identical across splits": ("train/dog-0.mp4",)},
    ),
    Spoilt("group", rewrite(",test-0,", ",train-0,"), {"group": ("train-0",)}),
    Spoilt("id", rewrite(",test-dog-0", ",train-dog-0"), {"id": ("train-dog-0",)}),
    Spoilt(
        "tested and not trained on",
        rewrite("dog-0.mp4,dog,test", "dog-0.mp4,emu,test"),
        {"no clips": ("emu in train",)},
    ),
]


@pytest.mark.parametrize("case", SPOILT, ids=lambda case: case.id)
def test_what_makes_figures_wrong_is_found_and_named(tmp_path, case):
    result = checked("manifest", case.change(make_manifest(tmp_path)))

    assert found(result) == case.findings
    assert result.wrong
    assert str(result).endswith(f"{len(case.findings)} wrong")


def test_a_copy_within_split_and_class_is_a_note(tmp_path):
    result = checked(
        "manifest", copy("train/dog-0.mp4", "train/dog-1.mp4")(make_manifest(tmp_path))
    )
    [note] = result.findings

    assert not result.wrong
    assert str(note) == (
        "note: identical files that count more than once: 1 (train/dog-0.mp4 = train/dog-1.mp4)"
    )


def test_a_clip_in_the_folder_of_another_class_is_found(tmp_path):
    root = make_kinetics(tmp_path)
    clip = root / "train/zumba/-aaaaaaaaa1_000000_000010.mp4"
    (root / "train/Riding_a_bike").mkdir()
    clip.rename(root / "train/Riding_a_bike" / clip.name)

    assert found(checked("kinetics", root)) == {
        "folder": (f"train/Riding_a_bike/{clip.name} labelled 'zumba'",)
    }


def test_classes_in_another_order_than_the_official_one_are_found(tmp_path):
    names = list(labels.table("ssv2"))
    names[0], names[1] = names[1], names[0]
    root = make_ssv2(tmp_path)
    write_json(root / "labels/labels.json", {name: str(n) for n, name in enumerate(names)})

    [first, second] = found(checked("ssv2", root))["class order"]

    assert first.startswith("0 is 'Attaching something to something', not 'Approaching")
    assert second.startswith("1 is ")


def test_whatever_else_has_the_layout_of_ucf101_has_other_classes(tmp_path):
    findings = found(checked("ucf101", make_ucf101(tmp_path, groups=4, clips=1)))

    assert len(findings["class order"]) == 101
    assert findings["class order"][0] == "0 is 'ClassA', not 'ApplyEyeMakeup'"
    assert findings["class order"][100] == "100 is none, not 'YoYo'"


def test_train_of_one_way_and_test_of_another_may_share_clips(tmp_path):
    """Every film of the fixture is tested on in one of the three lists."""
    result = checked("hmdb51", make_hmdb51(tmp_path))

    assert list(result.clips) == ["train01", "test01", "train02", "test02", "train03", "test03"]
    assert not result.wrong


def test_a_film_in_the_lists_of_two_classes_is_found(tmp_path):
    root = make_hmdb51(tmp_path)
    for name, film in (("wave", 1), ("walk", 2)):
        file = root / hmdb51.LISTS / f"{name}_test_split1.txt"
        file.write_text(file.read_text().replace(f"Film_{film}_of_{name}", "Film_of_both"))

    assert found(checked("hmdb51", root))["group"] == ("Film_of_both",)


def test_a_split_that_cannot_be_read_is_found_beside_the_others(tmp_path):
    root = make_diving48(tmp_path)
    entries = json.loads((root / "Diving48_V2_test.json").read_text())
    write_json(root / "Diving48_V2_test.json", [{**entry, "label": 48} for entry in entries])

    [example] = found(checked("diving48", root))["unreadable"]

    assert example.startswith("test (15 of 15 clips in")


def test_a_folder_of_which_no_split_can_be_read_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Diving48_vocab\.json is missing"):
        checked("diving48", tmp_path)
    with pytest.raises(UnknownNameError, match="data set 'diving'"):
        checked("diving", tmp_path)


def test_numbers_that_are_classes_are_not_looked_for_in_folders(tmp_path):
    write_csv(
        tmp_path / "manifest.csv",
        "path,label,split",
        ("1/a.mp4", "0", "train"),
        ("0/b.mp4", "1", "train"),
    )
    put(tmp_path, "1/a.mp4", "0/b.mp4")

    assert found(checked("manifest", tmp_path)) == {}
