"""Tiny folders in the exact layout of each public data set, with files that nobody decodes.

Every file holds its own path, so that no two are the same.
"""

import csv
import json
from pathlib import Path
from typing import Any

from polyspace.data.datasets import labels

HMDB51_QUALITIES = "f_cm_np1_fr_goo"
SSV2_TEMPLATES = {
    "Closing something": "Closing [something]",
    "Poking a hole into some substance": "Poking a hole into [some substance]",
    "Putting number of something onto something": (
        "Putting [number of] [something] onto [something]"
    ),
    "Touching (without moving) part of something": (
        "Touching (without moving) [part] of [something]"
    ),
}
"""Classes as labels.json names them, and as the other lists do."""


def put(root: Path, *paths: str) -> Path:
    """Write files that hold their own paths; give the root."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    return root


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def write_json(file: Path, content: Any) -> None:
    write(file, json.dumps(content))


def write_csv(file: Path, header: str, *rows: tuple[object, ...]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([header.split(","), *rows])


def make_hmdb51(root: Path) -> Path:
    """Write HMDB51 as published: of each class, three films, of which film n is test in list n.

    The second clip of each film is in neither split.
    """
    for class_name in labels.table("hmdb51"):
        names = {
            film: [
                f"Film_{film}_of_{class_name}_{class_name}_{HMDB51_QUALITIES}_{n}.avi"
                for n in (0, 1)
            ]
            for film in (1, 2, 3)
        }
        put(root, *(f"{class_name}/{name}" for pair in names.values() for name in pair))
        for number in (1, 2, 3):
            lines = [
                f"{name} {(2 if film == number else 1) if clip == 0 else 0} \n"
                for film, pair in names.items()
                for clip, name in enumerate(pair)
            ]
            file = f"{class_name}_test_split{number}.txt"
            write(root / "testTrainMulti_7030_splits" / file, "".join(lines))
    return root


def make_hmdb51_tables(root: Path, *, numbers: bool = False) -> Path:
    """Write HMDB51 with a table for each split; train and test name the classes in other orders."""
    class_names = labels.table("hmdb51")
    orders = {
        "train": ("wave", "cartwheel", "brush_hair"),
        "validation": ("cartwheel", "wave"),
        "test": ("brush_hair", "wave", "cartwheel"),
    }
    for split, order in orders.items():
        names = {name: f"Film_{split}_{name}_{HMDB51_QUALITIES}_0.mp4" for name in order}
        put(root, *(f"{split}/{file}" for file in names.values()))
        rows = [
            (n, file, class_names.index(name) if numbers else name, split)
            for n, (name, file) in enumerate(names.items())
        ]
        write_csv(root / split / "metadata.csv", "video_id,file_name,label,split", *rows)
    return root


def make_ssv2(root: Path, *, answers: bool = True) -> Path:
    """Write Something-Something v2: of four classes, two clips to train on, one of the others."""
    folder, names = root / "labels", labels.table("ssv2")
    write_json(folder / "labels.json", {name: str(n) for n, name in enumerate(names)})
    entries = {
        split: [
            (str(100 * start + n), template)
            for n, template in enumerate([*SSV2_TEMPLATES.values()] * repeats)
        ]
        for start, split, repeats in ((1, "train", 2), (2, "validation", 1), (3, "test", 1))
    }
    for split in ("train", "validation"):
        listed = [
            {"id": clip, "label": "…", "template": template, "placeholders": []}
            for clip, template in entries[split]
        ]
        write_json(folder / f"{split}.json", listed)
    write_json(folder / "test.json", [{"id": clip} for clip, _ in entries["test"]])
    if answers:
        plain = {template: name for name, template in SSV2_TEMPLATES.items()}
        lines = [f"{clip};{plain[template]}\n" for clip, template in entries["test"]]
        write(folder / "test-answers.csv", "".join(lines))
    for clips in entries.values():
        put(root, *(f"20bn-something-something-v2/{clip}.webm" for clip, _ in clips))
    return root


def make_diving48(root: Path, *, backwards: bool = False) -> Path:
    """Write Diving48: five classes of eight videos, the lists sorted by label as the real ones.

    Args:
        root: Where to.
        backwards: Whether they are sorted the other way round.
    """
    vocabulary = [name.split("+") for name in labels.table("diving48")]
    write_json(root / "Diving48_vocab.json", vocabulary)
    for split, videos in (("train", range(8)), ("test", range(8, 11))):
        entries = [
            {
                "vid_name": f"video{video:02d}_{label:05d}",
                "label": label,
                "start_frame": 0,
                "end_frame": 60,
            }
            for label in (0, 1, 2, 31, 47)
            for video in videos
        ]
        write_json(root / f"Diving48_V2_{split}.json", entries[::-1] if backwards else entries)
        put(root, *(f"rgb/{entry['vid_name']}.mp4" for entry in entries))
    return root


def make_breakfast(root: Path) -> Path:
    """Write Breakfast: one person of every quarter, two cameras, all ten activities."""
    for person in ("P03", "P16", "P29", "P42"):
        for activity in labels.table("breakfast"):
            put(root, f"{person}/cam01/{person}_{activity}.avi")
            put(root, f"{person}/stereo/{person}_{activity}_ch0.avi")
            write(root / f"{person}/cam01/{person}_{activity}.avi.labels", "1-30 SIL\n")
    return root


def make_uav_human(root: Path) -> Path:
    """Write UAV-Human: three actions of four persons, who are trained on in every combination."""
    actions = ("drink", "eat snacks", "brush hair")
    rows = [(f"A{n:03d}", action) for n, action in enumerate(actions)]
    write_csv(root / "classes_map.csv", "id,label", *rows)
    for person in ("P000", "P001", "P002", "P003"):
        for action, _ in rows:
            name = f"{person}S01G10B00H10UC102000LC092000{action}R0_09131758.avi"
            put(root, f"all_rgb/{name}")
    return root


def make_kinetics(root: Path) -> Path:
    """Write Kinetics: train in folders of classes, the others flat; ids may begin with a dash."""
    listed = {
        "train": [("zumba", "-aaaaaaaaa1", 0), ("riding a bike", "bbbbbbbbbb2", 100)],
        "val": [("riding a bike", "cccccccccc3", 5), ("zumba", "dddddddddd4", 5)],
        "test": [("zumba", "eeeeeeeeee5", 7), ("riding a bike", "ffffffffff6", 7)],
    }
    for split, clips in listed.items():
        rows = [(label, name, start, start + 10, split) for label, name, start in clips]
        header = "label,youtube_id,time_start,time_end,split"
        write_csv(root / "annotations" / f"{split}.csv", header, *rows)
        for label, name, start in clips:
            folder = f"train/{label}" if split == "train" else split
            put(root, f"{folder}/{name}_{start:06d}_{start + 10:06d}.mp4")
    return root


def make_manifest(root: Path) -> Path:
    """Write a manifest of two classes with splits, groups and ids."""
    rows = [
        (f"{split}/{label}-{n}.mp4", label, split, f"{split}-{n}", f"{split}-{label}-{n}")
        for split in ("train", "val", "test")
        for label in ("dog", "cat")
        for n in range(2)
    ]
    write_csv(root / "manifest.csv", "path,label,split,group,id", *rows)
    return put(root, *(path for path, *_ in rows))
