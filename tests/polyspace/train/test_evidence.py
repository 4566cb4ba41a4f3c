import json
import math

import numpy as np
import pytest

from polyspace.report.records.evaluation import read_evaluation
from polyspace.train import evaluate, evidence
from polyspace.train.evaluate import EvaluateConfig
from tests.support.stages import finish
from tests.support.stores import make_store


@pytest.fixture(scope="module")
def path(converters, fusion, tmp_path_factory):
    """The record of test clips of which none is of the last class."""
    folder = tmp_path_factory.mktemp("two_of_three")
    make_store(folder, "train", clips=72, groups=18)
    make_store(folder, "test", clips=30, groups=2, random=("look",))
    config = EvaluateConfig(
        dataset="toy",
        features=folder,
        student="stu",
        teachers=("flow", "look"),
        converters=converters,
        fusion=fusion,
        out=folder / "out",
        resamples=100,
        seeds=1,
        device="cpu",
    )
    return finish(evaluate.run(config))


def test_a_class_without_clips_has_no_accuracy_rather_than_zero(path):
    method = read_evaluation(path).method("fusion")
    assert math.isnan(method.per_class[2])
    assert method.mean_class == pytest.approx(np.mean(method.per_class[:2]))
    assert method.confusion[2] == (0, 0, 0)


def test_a_class_without_clips_has_no_gate(path):
    for gate in read_evaluation(path).gates.values():
        assert math.isnan(gate.per_class[2])
        assert not math.isnan(gate.per_class[0])


def test_random_weights_are_named(path):
    assert read_evaluation(path).random_weights == ("look",)


def test_the_record_is_strict_json(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse)["schema"] == 2


def test_it_is_read_as_it_was_written(path):
    assert evidence.read(path) == json.loads(path.read_text())


def test_what_it_rests_on_is_said(path):
    found = read_evaluation(path)
    assert {"python", "polyspace", "torch", "zarr", "numpy"} <= set(found.versions)
    assert found.device.startswith("CPU")
    assert found.interval == "95 %, bootstrap over groups and seeds, 100 resamples"
    assert found.command.startswith("python -m polyspace.train.evaluate --dataset toy")
    assert found.created.tzinfo is not None
    assert found.majority == pytest.approx(0.5)


def test_arrays_are_read_without_pickle(path):
    for name in ("predictions.npz", "vectors.npz"):
        with np.load(path.parent / name, allow_pickle=False) as file:
            for key in file.files:
                assert 30 in file[key].shape[:2], key
