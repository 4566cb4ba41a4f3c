import shlex
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from polyspace import console
from polyspace.data import featurize, prefetch
from polyspace.data.decode import decode
from polyspace.data.extraction import Setup, encode
from polyspace.data.featurize import FeaturizeConfig
from polyspace.errors import ConfigError, DatasetError, PolySpaceError, WeightsError
from polyspace.models.backbones import registry
from polyspace.precision import resolve
from polyspace.store.reader import FeatureStore
from tests.support.clips import ask
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
    """Record what is decoded in this process, as (path, frames, motion steps)."""
    calls = []

    def record(root, request):
        calls.append((request.path, request.wanted, request.motion_steps))
        return decode(root, request)

    monkeypatch.setattr(prefetch, "decode", record)
    return calls


def config(root, out, **changes):
    defaults = {"student": "transnetv2", "teachers": ("motion_vectors",)}
    settings = {"dataset": "ucf101", "frames": 4, "workers": 0, **defaults, **changes}
    return FeaturizeConfig.model_validate({"root": root, "out": out, **settings})


def extract(root, out, **changes):
    """Run to the end; give the stores and every sign of life."""
    said, stage = [], featurize.run(config(root, out, **changes))
    while True:
        try:
            said.append(next(stage))
        except StopIteration as end:
            return [FeatureStore.open(path) for path in end.value], said


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
        for row, clip in enumerate(test.ids):
            path = f"{clip[2:8]}/{clip}.avi"
            alone = encode(backbone, [decode(good, ask(path, 4, motion_steps=4))], setup)
            stored = test.tokens(name, np.array([row]))
            assert stored.numpy() == pytest.approx(alone.tokens[0].numpy(), rel=2e-3, abs=2e-3)
            assert test.seconds(name, np.array([row]))[0] == pytest.approx(alone.seconds[0, 0])


def test_a_bad_file_is_quarantined_and_costs_nothing_else(mixed, tmp_path):
    [train], said = extract(mixed, tmp_path / "out", split="train", batch=4)

    coverage = train.coverage
    assert (coverage.clips, coverage.done, coverage.pending) == (12, 11, 0)
    assert coverage.quarantined == {"v_ClassA_g03_c01": f"{BROKEN}: is empty"}
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
    assert f"quarantined {BROKEN}: is empty" in said
    assert f"next: python -m polyspace.train.train_converter --features {tmp_path}" in said
