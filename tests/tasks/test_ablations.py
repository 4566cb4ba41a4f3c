"""Whole ablations of small stages: shared, stopped, killed, failed, and compared at the end."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.ablate import AblateCommand
from polyspace import console
from polyspace.errors import ConfigError, LeaseError, StoppedError, StoreError, SweepError
from polyspace.report.records.ablation import Ablation
from polyspace.store.reader import FeatureStore
from polyspace.train import ablation
from polyspace.train.fusion_training import FusionSettings
from tasks import ablation_stores, ablation_tables, ablations, names
from tasks.tracking import Tracker
from tests.support.ablations import CONVERTER, FUSION, ablation_of
from tests.support.stores import make_store

ROOT = Path(__file__).parents[2]
UNTRACKED = Tracker(enabled=False)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Stores of both splits; not to be written to."""
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=36, groups=9)
    make_store(folder, "test", clips=24, groups=6)
    return folder


@pytest.fixture(scope="module")
def done(features, tmp_path_factory):
    """An ablation that was run to its end; not to be written to."""
    config = ablation_of(features, tmp_path_factory.mktemp("done") / "out")
    measure(config)
    ablations.conclude.fn(config, UNTRACKED)
    return config


@pytest.fixture
def config(features, tmp_path):
    """The base alone, with one seed."""
    return ablation_of(features, tmp_path / "ablation", groups=("views",), seeds=1)


def measure(config, tracker=UNTRACKED):
    for variation in ablations.plan(config):
        ablations.measure.fn(config, variation, tracker)


def collect(config):
    return ablation_tables.collect(config, ablations.plan(config))


def run(config):
    measure(config)
    return collect(config)


def changed(config, **changes):
    return config.model_copy(update=changes)


def gaps(found):
    return {row.name: row.gap for row in found.rows if row.gap}


def made(config):
    """When each artefact of an ablation was finished, by its folder."""
    found = sorted(config.out.glob("*/*/receipt.json"))
    return {path.parent.relative_to(config.out): path.stat().st_mtime_ns for path in found}


def count(config, what):
    return sum(1 for folder in made(config) if folder.parts[0] == what)


def test_what_variations_have_in_common_is_made_once(done):
    # Two seeds: converters and students for all, a fusion for the base and each one without.
    assert count(done, "converters") == 2
    assert count(done, "students") == 2
    assert count(done, "fusions") == 2 * 3
    assert count(done, "scores") == 2 * (1 + 5)


def test_the_files_tell_the_same(done):
    found = Ablation.model_validate_json((done.out / "ablation.json").read_text())
    names = [row.name for row in found.rows]
    assert names[:3] == ["base", "student alone", "without flow"]
    assert all(row.top1 is not None and len(row.seeds) == 2 for row in found.rows)
    with (done.out / "ablation.csv").open() as file:
        assert [row["variation"] for row in csv.DictReader(file)] == names
    page = (done.out / "ablation.md").read_text()
    assert all(f"| {name} |" in page for name in names)
    assert found.fingerprint[:12] in page
    assert found.looks == count(done, "scores")
    assert (done.out / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_again_makes_nothing_and_says_the_same(done):
    first, before = collect(done), made(done)
    assert run(done).rows == first.rows
    assert made(done) == before


def test_what_was_measured_with_other_settings_is_no_figure(done):
    other = FUSION.model_copy(update={"rank": 3})
    with pytest.raises(SweepError, match="measured with other settings or features"):
        collect(changed(done, fusion=other))


def test_what_is_missing_is_named(done):
    found = collect(changed(done, groups=("teachers", "joins")))
    assert list(gaps(found)) == ["concatenation", "attention", "experts"]
    assert set(gaps(found).values()) == {"run the ablation again, it goes on"}


def test_a_seed_more_keeps_what_was_made(config):
    run(config)
    before = made(config)
    found = run(changed(config, seeds=2))
    assert found.seeds == (0, 1)
    after = made(config)
    assert {folder: after[folder] for folder in before} == before
    assert len(after) == 2 * len(before)


def test_other_heads_have_students_of_their_own_and_gaps_are_stated(config):
    found = run(changed(config, groups=("heads", "views"), teachers=("flow",)))
    assert gaps(found) == {"fewer views": "this store has one view of each clip"}
    assert [row.name for row in found.rows if row.is_student] == [
        "student alone",
        "student alone, linear",
        "student alone, mean_attention",
        "student alone, attentive",
    ]


def test_features_are_trained_on_in_each_type(config):
    found = run(changed(config, groups=("storage",)))
    assert list(gaps(found)) == ["float32"]
    assert "a store of float16" in gaps(found)["float32"]
    kept = {
        json.loads(path.read_text())["features"] for path in config.out.glob("scores/*/scored.json")
    }
    assert len(kept) == 3


def test_types_are_made_of_float32_where_it_is_there(config, features, tmp_path):
    make_store(tmp_path / "exact", "train", clips=36, groups=9, storage="float32")
    make_store(tmp_path / "exact", "test", clips=24, groups=6, storage="float32")
    config = changed(config, features_float32=tmp_path / "exact")
    assert ablation_stores.features(config, None) == features
    assert ablation_stores.features(config, "float32") == tmp_path / "exact"
    # Rounded once, as the store beside it was when it was written.
    half = ablation_stores.features(config, "float16")
    assert ablation_stores.fingerprints(
        changed(config, features=half)
    ) == ablation_stores.fingerprints(config)
    assert ablation_stores.features(config, "float16") == half
    coarse = FeatureStore.open(ablation_stores.features(config, "int8") / "toy_train.zarr")
    assert {spec.dtype for spec in coarse.backbones.values()} == {"int8"}


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ({"storage": "float16"}, "holds stu as float16, not as float32"),
        ({"clips": 30}, "holds other clips than"),
        ({"views": 2}, "holds 2 views of stu, not 1"),
        ({"fingerprints": {"flow": "others"}}, "holds flow of other weights"),
    ],
)
def test_a_store_of_float32_that_is_none_or_of_others_is_refused(config, tmp_path, store, said):
    for split, clips in (("train", 36), ("test", 24)):
        settings: dict[str, Any] = {"clips": clips, "storage": "float32", **store}
        make_store(tmp_path, split, **settings)
    with pytest.raises(ConfigError, match=said):
        ablations.plan(changed(config, features_float32=tmp_path))


def test_one_variation_that_fails_is_a_gap_with_its_reason(config, capsys, monkeypatch):
    # Batches of one clip are enough for all losses but those that compare clips.
    single = CONVERTER.model_copy(update={"batch": 1})
    monkeypatch.setattr(ablation, "LOSSES", dict.fromkeys(("info_nce", "l1")))
    found = run(changed(config, groups=("losses",), converter=single))
    assert list(gaps(found)) == ["info_nce alone"]
    assert "info_nce" in gaps(found)["info_nce alone"]
    assert "losses, info_nce alone: not measured: " in capsys.readouterr().out


def test_a_base_that_fails_ends_it(config):
    impossible = CONVERTER.model_copy(update={"losses": ("info_nce=1",), "batch": 1})
    with pytest.raises(ConfigError, match="info_nce"):
        run(changed(config, converter=impossible))
    with pytest.raises(SweepError, match="the base came to no score: run the ablation again"):
        collect(config)


def test_memory_that_is_used_up_is_a_gap(config, monkeypatch):
    def full(unit):
        if unit.variation.name != "base":
            raise torch.OutOfMemoryError("out of memory\nand much more")
        return real(unit)

    real = ablations.units.run
    monkeypatch.setattr(ablations.units, "run", full)
    found = run(changed(config, groups=("joins",)))
    assert set(gaps(found).values()) == {"out of memory"}


def test_a_store_that_is_both_splits_is_refused(config):
    with pytest.raises(StoreError, match="is given as both splits"):
        ablations.plan(changed(config, split="train"))


def test_two_at_once_are_refused(config):
    with (
        ablations.tracked(config, enabled=False),
        pytest.raises(LeaseError, match="runs an ablation in"),
        ablations.tracked(config, enabled=False),
    ):
        pass


def test_one_that_is_told_to_stop_goes_on(config, capsys):
    slow = FusionSettings(epochs=6, rank=2, device="cpu", save_every_steps=1)
    stopping = slow.model_copy(update={"max_minutes": 1e-9})
    with pytest.raises(StoppedError):
        run(changed(config, fusion=stopping))
    run(changed(config, fusion=slow))
    assert "going on after step" in capsys.readouterr().out


def test_runs_nest_and_say_what_differs(config, client):
    config = changed(config, groups=("teachers",), teachers=("flow",))
    for _ in range(2):
        with ablations.tracked(config, enabled=True) as tracker:
            measure(config, tracker)
            ablations.conclude.fn(config, tracker)
    experiment = client.get_experiment_by_name("polyspace/toy")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    named = {run.info.run_name: run for run in runs}
    parent = named[names.of("ablate", config)].info.run_id
    hidden = named["teachers, flow hidden at test"]
    assert hidden.data.tags["mlflow.parentRunId"] == parent
    assert hidden.data.tags["reused.fusion seed 0"] == named["fusion, seed 0"].info.run_id
    look = named["score, seed 0"].data.tags
    assert look["test_fingerprint"] == collect(config).fingerprint
    assert hidden.data.params == {"group": "teachers", "changed.hidden at test": "flow"}
    row = collect(config).rows[-1]
    assert row.top1 is not None
    assert row.to_base is not None
    assert hidden.data.metrics["top1"] == pytest.approx(row.top1.value)
    assert hidden.data.metrics["to_base/value"] == pytest.approx(row.to_base.value)
    inside = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == hidden.info.run_id]
    assert [run.info.run_name for run in inside] == ["score, seed 0"]
    # The base's own: converters, fusion, student and both scores; of what is a gap there is none.
    assert len(runs) == 1 + 2 + 5 + 1
    kept = {entry.path for entry in client.list_artifacts(parent)}
    assert kept == {"ablation.md", "ablation.csv", "ablation.json", "ablation.png"}


@pytest.mark.slow
def test_a_killed_ablation_goes_on_to_the_same_numbers(config, tmp_path):
    slow = FusionSettings(epochs=12, rank=2, device="cpu", save_every_steps=1)
    config = changed(config, fusion=slow)
    whole = run(changed(config, out=tmp_path / "whole"))
    options = tmp_path / "options.json"
    options.write_text(config.model_dump_json())
    victim = subprocess.Popen(
        (sys.executable, "-m", "tests.support.ablations", str(options)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    patience = time.monotonic() + 120
    while not list(config.out.glob("fusions/*/unfinished/run_*.pt")):
        assert time.monotonic() < patience
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    before = made(config)
    assert [folder.parts[0] for folder in before] == ["converters"]
    found = run(config)
    assert {folder: made(config)[folder] for folder in before} == before
    assert [row.seeds for row in found.rows] == [row.seeds for row in whole.rows]


def test_the_command_of_the_record_makes_the_same_settings(config, tmp_path):
    config = changed(config, features_float32=tmp_path, groups=("joins", "views"))
    said = console.parse(AblateCommand, ablation_tables.command(config).split()[3:])
    # How often the bootstrap draws is said with the intervals.
    expected = config.model_dump(exclude={"resamples"})
    assert said.model_dump(include=set(expected)) == expected
