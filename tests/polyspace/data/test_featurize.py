import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyspace import console
from polyspace.data import estimate, featurize, pipeline
from polyspace.data.decode import decode
from polyspace.data.encode import Setup, encode, feed
from polyspace.data.featurize import FeaturizeConfig
from polyspace.data.prefetch import decode_all
from polyspace.errors import ConfigError, DatasetError, PolySpaceError, StoreError, WeightsError
from polyspace.models.backbones import registry
from polyspace.precision import resolve
from polyspace.store.difference import compare
from polyspace.store.reader import FeatureStore
from tests.support.clips import ask
from tests.support.stages import follow
from tests.support.ucf101 import make_ucf101
from tests.support.videos import write_audio

BROKEN = "ClassA/v_ClassA_g03_c01.avi"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """12 clips to train on, 4 to test on; not to be written to."""
    return make_ucf101(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The same, with an empty file in the middle of the training list."""
    root = make_ucf101(tmp_path_factory.mktemp("mixed"))
    (root / BROKEN).write_bytes(b"")
    return root


@pytest.fixture
def decoded(monkeypatch):
    """Record what is decoded, as (path, frames, motion steps)."""
    calls = []

    def record(root, requests, **settings):
        def noted():
            for request in requests:
                calls.append((request.path, request.wanted, request.motion_steps))
                yield request

        return decode_all(root, noted(), **settings)

    monkeypatch.setattr(pipeline, "decode_all", record)
    return calls


def config(root, out, **changes):
    defaults = {"student": "transnetv2", "teachers": ("motion_vectors",)}
    settings = {"dataset": "ucf101", "frames": 4, "workers": 0, **defaults, **changes}
    return FeaturizeConfig.model_validate({"root": root, "out": out, **settings})


def extract(root, out, **changes) -> tuple[list[FeatureStore], list[Any]]:
    """Run to the end; give the stores and every sign of life."""
    said, paths = follow(featurize.run(config(root, out, **changes)))
    return [FeatureStore.open(path) for path in paths], said


def chunk_ages(out):
    return {file: file.stat().st_mtime_ns for file in out.glob("*.zarr/*/*/c.*")}


def test_both_splits_are_extracted_with_their_labels_and_groups(good, tmp_path):
    (train, test), said = extract(good, tmp_path / "out")

    assert [train.path.name, test.path.name] == ["ucf101_train.zarr", "ucf101_test.zarr"]
    assert (train.dataset, train.split, len(train.ids)) == ("ucf101", "train", 12)
    assert (test.split, sorted(test.groups)) == ("test", ["ClassA_g01"] * 2 + ["ClassB_g01"] * 2)
    assert test.labels.tolist() == [name.startswith("v_ClassB") for name in test.ids]
    assert train.coverage.done == 12
    assert str(said[-1]).startswith("test 4/4 clips, ")


def test_what_is_stored_is_what_the_backbone_saw(good, tmp_path):
    [test], _ = extract(good, tmp_path / "out", split="test", batch=3, workers=2)
    cpu = torch.device("cpu")
    setup = Setup(cpu, resolve("fp32", cpu), "2", 1, 0)

    for name in ("transnetv2", "motion_vectors"):
        backbone = registry.load(name, weights={}, frames=4, device=cpu)
        for row, clip_id in enumerate(test.ids):
            clip = decode(good, ask(f"{clip_id[2:8]}/{clip_id}.avi", 4, motion_steps=4))
            alone = encode(backbone, feed(backbone, [clip]), setup)
            stored = test.tokens(name, np.array([row]))
            assert stored.numpy() == pytest.approx(alone.tokens[0].numpy(), rel=2e-3, abs=2e-3)
            assert test.seconds(name, np.array([row]))[0] == pytest.approx(alone.seconds[0, 0])


def test_a_bad_file_is_quarantined_and_costs_nothing_else(mixed, tmp_path):
    [train], said = extract(mixed, tmp_path / "out", split="train", batch=4)

    coverage = train.coverage
    assert (coverage.clips, coverage.done, coverage.pending) == (12, 11, 0)
    assert coverage.quarantined == {"v_ClassA_g03_c01": f"missing: {BROKEN}: is empty"}
    rows = train.rows(["transnetv2", "motion_vectors"])
    assert train.ids.index("v_ClassA_g03_c01") not in rows
    assert torch.isfinite(train.tokens("transnetv2", rows)).all()
    assert str(said[-1]).endswith("1 quarantined")


def test_each_clip_is_decoded_once_for_all_backbones(good, tmp_path, decoded):
    extract(good, tmp_path / "out", teachers=("motion_vectors", "efficientnet_lite0"), split="test")

    assert len(decoded) == len({path for path, _, _ in decoded}) == 4
    assert {(wanted, steps) for _, wanted, steps in decoded} == {((1, 4), 4)}


def test_an_extraction_that_was_stopped_goes_on_after_the_last_chunk(good, tmp_path, decoded):
    changes = {"split": "train", "shard_size": 4, "batch": 2}
    stage = featurize.run(config(good, tmp_path / "out", **changes))
    # Two batches fill the first chunk; the third is under way when the run stops.
    for _ in range(3):
        next(stage)
    stage.close()
    decoded.clear()
    kept = chunk_ages(tmp_path / "out")

    [resumed], said = extract(good, tmp_path / "out", **changes)
    [whole], _ = extract(good, tmp_path / "other", **changes)

    assert len(kept) == 2 * 3
    assert kept.items() <= chunk_ages(tmp_path / "out").items()
    assert len(decoded) == 8 + 12
    assert (said[0].done, said[-1].done, said[-1].fresh) == (6, 12, 8)
    assert resumed.fingerprint == whole.fingerprint


def test_a_data_set_that_has_grown_costs_its_new_clips_alone(tmp_path, decoded, capsys):
    root, changes = make_ucf101(tmp_path / "videos"), {"split": "train", "shard_size": 4}
    listed = root / "ucfTrainTestlist" / "trainlist01.txt"
    lines = listed.read_bytes().splitlines(keepends=True)
    listed.write_bytes(b"".join(line for line in lines if b"_g03_" not in line))
    [before], _ = extract(root, tmp_path / "out", **changes)
    listed.write_bytes(b"".join(lines))
    decoded.clear()
    capsys.readouterr()

    [grown], said = extract(root, tmp_path / "out", **changes)
    [whole], _ = extract(root, tmp_path / "other", **changes)

    assert len(before.ids) == 8
    assert grown.ids[:8] == before.ids
    assert (said[-1].done, said[-1].fresh) == (12, 4)
    assert len(decoded) == 4 + 12
    assert compare(grown.path, whole.path).lines == ()
    assert "4 new clips after 8" in capsys.readouterr().out
    assert extract(root, tmp_path / "out", **changes)[0][0].fingerprint == grown.fingerprint


def test_clips_that_are_gone_are_still_refused(good, tmp_path):
    root = Path(shutil.copytree(good, tmp_path / "videos"))
    extract(root, tmp_path / "out", split="train")
    listed = root / "ucfTrainTestlist" / "trainlist01.txt"
    listed.write_bytes(b"".join(listed.read_bytes().splitlines(keepends=True)[1:]))
    words = r"holds 1 clips that are not in ucf101 train any more, first 'v_ClassA_g02_c01'"
    with pytest.raises(StoreError, match=words):
        extract(root, tmp_path / "out", split="train")


def test_stores_that_are_made_ahead_are_cut_for_many_and_hold_the_same(good, tmp_path):
    stage = featurize.make(config(good, tmp_path / "out", batch=2), work_items=5)
    with pytest.raises(StopIteration) as made:
        next(stage)
    before = [FeatureStore.open(path) for path in made.value.value]
    assert [store.clips_per_chunk for store in before] == [2, 2]
    assert [store.coverage.pending for store in before] == [12, 4]

    filled, _ = extract(good, tmp_path / "out", batch=2)
    whole, _ = extract(good, tmp_path / "other", batch=2)

    assert [store.fingerprint for store in filled] == [store.fingerprint for store in whole]


def test_running_again_decodes_nothing(good, tmp_path, decoded):
    extract(good, tmp_path / "out", split="test")
    decoded.clear()

    _, said = extract(good, tmp_path / "out", split="test")

    assert decoded == []
    assert said == []


def test_a_teacher_that_is_added_later_rewrites_nothing(good, tmp_path, decoded):
    extract(good, tmp_path / "out", split="test", teachers=())
    kept = chunk_ages(tmp_path / "out")
    decoded.clear()

    [store], _ = extract(good, tmp_path / "out", split="test")

    assert set(store.backbones) == {"transnetv2", "motion_vectors"}
    assert kept.items() <= chunk_ages(tmp_path / "out").items()
    assert {(wanted, steps) for _, wanted, steps in decoded} == {((), 4)}


def test_other_settings_than_the_store_was_made_with_are_refused(good, tmp_path):
    extract(good, tmp_path / "out", split="test", teachers=())

    with pytest.raises(PolySpaceError, match="holds transnetv2 with"):
        extract(good, tmp_path / "out", split="test", teachers=(), use_bf16=True)


def test_validation_gets_a_store_of_its_own(good, tmp_path):
    names = {"student": "motion_vectors", "teachers": ()}
    [store], _ = extract(good, tmp_path / "out", split="validation", **names)

    assert store.path.name == "ucf101_validation.zarr"
    assert 0 < len(store.ids) < 12


def test_a_random_backbone_is_recorded_as_random(good, tmp_path):
    weights = ("videomae=random-tiny", "vjepa2=random-tiny")
    names = {"student": "vjepa2", "teachers": ("videomae",), "weights": weights}
    [store], _ = extract(good, tmp_path / "out", split="test", **names)

    for spec in store.backbones.values():
        assert spec.provenance["weights"]["random"]
        assert spec.space == 4
    assert store.coverage.done == 4


def test_nothing_but_bad_files_is_an_error_with_the_commonest_reason(tmp_path):
    root = make_ucf101(tmp_path / "root", classes=1, groups=2)
    for file in (root / "ClassA").iterdir():
        write_audio(file.with_suffix(".mp4")).rename(file)

    with pytest.raises(
        DatasetError, match=r"not one of the 2 clips .* 2 of them because the file "
    ):
        extract(root, tmp_path / "out")


def test_the_demo_data_set_is_read_where_it_is_already_rendered(tiny_motion, tmp_path):
    stores, _ = extract(
        tiny_motion, tmp_path / "out", dataset="motion", student="motion_vectors", teachers=()
    )

    assert [(store.split, len(store.ids)) for store in stores] == [("train", 20), ("test", 20)]


@dataclass(frozen=True)
class Wrong:
    id: str
    reason: str
    changes: dict[str, object] = field(default_factory=dict)
    error: type[PolySpaceError] = ConfigError


WRONG = [
    Wrong("backbone", "unknown backbone 'videmae': did you", {"teachers": ("videmae",)}),
    Wrong("data set", "unknown data set 'ucf'", {"dataset": "ucf"}),
    Wrong("split", "unknown split of ucf101 'val'", {"split": "val"}),
    Wrong("twice", "named twice", {"teachers": ("transnetv2",)}),
    Wrong("weights", "--weights vjepa2: expected NAME=FOLDER", {"weights": ("vjepa2",)}),
    Wrong("storage", "keep one", {"fp16": True, "storage": "float32"}),
    Wrong("types", "both --use-amp", {"use_amp": True, "use_bf16": True}, PolySpaceError),
    Wrong("no weights", "/gone", {"weights": ("transnetv2=/gone",)}, WeightsError),
    Wrong("crops", "see the whole picture", {"crops": 3}),
    Wrong("same views", "give --window_seconds", {"train_views": 2}),
    Wrong("flips", "only drawn views are flipped", {"flips": True}),
    Wrong("nothing to do", "without --teachers", {"teachers_only": True, "teachers": ()}),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.id)
def test_a_wrong_option_is_refused_before_anything_is_written(good, tmp_path, case):
    with pytest.raises(case.error, match=case.reason):
        extract(good, tmp_path / "out", **case.changes)

    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="doesn't exist: check --root"):
        extract(tmp_path / "gone", tmp_path / "out")


COMMANDS = {
    "seed 000": """--dataset ucf101 --root /path/to/UCF101 --student vjepa2
        --teachers videomae timesformer --out ./features --shard_size 1000 --fp16""",
    "seed 001": """--dataset ucf101 --root /path/to/UCF101 --split train --student vjepa2
        --teachers videomae timesformer vivit --out ./features/ucf101 --batch 8 --workers 4
        --frames 16 --shard_size 1000 --fp16""",
    "no teachers": "--dataset motion --root runs/motion --teachers --use-bf16",
    "weights": "--dataset motion --root m --weights vjepa2=/a --weights vivit=random-tiny",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_documented_commands_are_understood(command):
    assert console.parse(FeaturizeConfig, shlex.split(command)).root


def test_every_weights_option_counts():
    parsed = console.parse(FeaturizeConfig, shlex.split(COMMANDS["weights"]))

    assert parsed.weights == ("vjepa2=/a", "vivit=random-tiny")


def test_the_command_ends_with_what_was_stored_and_what_to_do_next(
    mixed, tmp_path, monkeypatch, capsys
):
    options = f"--dataset ucf101 --root {mixed} --student motion_vectors --teachers transnetv2"
    more = f"--out {tmp_path} --frames 4 --workers 0 --split train --fp16"
    monkeypatch.setattr(sys, "argv", ["featurize", *shlex.split(f"{options} {more}")])

    with pytest.raises(SystemExit) as end:
        featurize.main()

    said = capsys.readouterr().out
    assert end.value.code == 0
    assert "--fp16: features are stored as float16 anyway" in said
    assert f"{tmp_path}/ucf101_train.zarr: 11 of 12 clips (91.7%) seen by" in said
    assert f"quarantined missing: {BROKEN}: is empty" in said
    assert f"next: python -m polyspace.train.train_converter --features {tmp_path}" in said


SETTINGS = [
    {"batch": 1},
    {"batch": 3, "workers": 2},
    {"batch": 12, "shard_size": 5},
]


def test_neither_batches_nor_workers_nor_neighbours_change_what_a_clip_looks_like(good, tmp_path):
    names = {"teachers": ("motion_vectors", "efficientnet_lite0"), "split": "train"}
    stores = [
        extract(good, tmp_path / str(number), **names, **settings)[0][0]
        for number, settings in enumerate(SETTINGS)
    ]

    for name in stores[0].backbones:
        rows = stores[0].rows([name])
        first, *others = [store.tokens(name, rows).numpy() for store in stores]
        for other in others:
            assert np.abs(other - first).max() <= 1e-3 * np.abs(first).max()


def test_views_are_an_axis_of_the_store(good, tmp_path):
    views = {"teachers": (), "segments": 2, "window_seconds": 0.2}
    [test], _ = extract(good, tmp_path / "out", split="test", **views)
    [whole], _ = extract(good, tmp_path / "whole", split="test", teachers=())

    rows = test.rows(["transnetv2"])
    first, second = (test.tokens("transnetv2", rows, view=view) for view in range(2))
    assert test.backbones["transnetv2"].views == 2
    assert first.shape == second.shape == whole.tokens("transnetv2", rows).shape
    assert not torch.equal(first, second)
    seconds = test.seconds("transnetv2", rows)
    assert (seconds[:, 0] < seconds[:, 1]).all()


def test_drawn_views_are_of_training_clips_alone(good, tmp_path):
    views = {"teachers": (), "train_views": 2, "window_seconds": 0.2, "flips": True}
    train, test = extract(good, tmp_path / "out", **views)[0]

    assert train.backbones["transnetv2"].views == 2
    assert test.backbones["transnetv2"].views == 1


def test_teachers_alone_complete_a_store_that_the_student_began(good, tmp_path, decoded):
    both, _ = extract(good, tmp_path / "both", split="test")
    extract(good, tmp_path / "out", split="test", teachers=())
    [store], _ = extract(good, tmp_path / "out", split="test", teachers_only=True)

    assert store.fingerprint == both[0].fingerprint
    assert {s.role for s in store.backbones.values()} == {"student", "teacher"}


def test_several_splits_go_through_in_one_pass(good, tmp_path):
    names = {"student": "motion_vectors", "teachers": ()}
    stores, _ = extract(good, tmp_path / "out", split=("test", "train02"), **names)

    assert [store.split for store in stores] == ["test", "train02"]


def test_what_was_quarantined_is_tried_again_when_asked_for(tmp_path):
    root = make_ucf101(tmp_path / "root")
    whole = (root / BROKEN).read_bytes()
    (root / BROKEN).write_bytes(b"")
    extract(root, tmp_path / "out", split="train")
    (root / BROKEN).write_bytes(whole)

    [still], said = extract(root, tmp_path / "out", split="train")
    assert (said, len(still.coverage.quarantined)) == ([], 1)

    [mended], said = extract(root, tmp_path / "out", split="train", retry=True)
    [fresh], _ = extract(root, tmp_path / "fresh", split="train")
    assert (said[-1].fresh, mended.coverage.done) == (1, 12)
    assert not mended.coverage.quarantined
    for name, seen in mended.backbones.items():
        rows = mended.rows([name])
        assert seen.identity == fresh.backbones[name].identity
        assert torch.allclose(mended.tokens(name, rows), fresh.tokens(name, rows), atol=1e-3)


def test_what_is_still_bad_is_quarantined_again(mixed, tmp_path):
    extract(mixed, tmp_path / "out", split="train")

    [train], _ = extract(mixed, tmp_path / "out", split="train", retry=True)

    assert list(train.coverage.quarantined) == ["v_ClassA_g03_c01"]


def test_a_stage_says_where_its_time_went(good, tmp_path):
    _, said = extract(good, tmp_path / "out", split="test")

    shares = said[-1].effort.shares
    assert set(shares) == {"decode", "preprocess", "backbone", "write"}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert "bottleneck: " in str(said[-1].effort)


def test_damaged_clips_are_taken_and_counted_where_that_is_allowed(tmp_path):
    root = make_ucf101(tmp_path / "root")
    (root / BROKEN).write_bytes((root / BROKEN).read_bytes()[:-1500])

    [strict], _ = extract(root, tmp_path / "strict", split="train", teachers=())
    [lenient], said = extract(
        root, tmp_path / "lenient", split="train", teachers=(), allow_damaged=True
    )

    assert list(strict.coverage.quarantined) == ["v_ClassA_g03_c01"]
    assert lenient.coverage.done == 12
    assert (said[-1].damaged, said[-1].quarantined) == (1, 0)
    assert "1 damaged" in str(said[-1])


def test_a_disk_that_is_too_small_is_refused_before_the_first_clip(
    good, tmp_path, decoded, monkeypatch
):
    monkeypatch.setattr(estimate, "free_bytes", lambda path: 1000)
    with pytest.raises(StoreError, match=r"12 clips of transnetv2, motion_vectors need .* kB"):
        extract(good, tmp_path)
    assert not decoded
    monkeypatch.undo()
    (train, _), _ = extract(good, tmp_path)
    assert train.coverage.done == 12


def test_only_what_is_missing_has_to_fit(good, tmp_path, monkeypatch):
    extract(good, tmp_path, teachers=())
    monkeypatch.setattr(estimate, "free_bytes", lambda path: 1000)
    extract(good, tmp_path, teachers=())
    with pytest.raises(StoreError, match="12 clips of motion_vectors need"):
        extract(good, tmp_path)
