import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from polyspace import console
from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, PolySpaceError, StoreError
from polyspace.report.records.arrays import read_vectors
from polyspace.report.records.evaluation import read_evaluation
from polyspace.report.records.training import read_curves
from polyspace.train import evaluate, probes, train_converter, train_fusion
from polyspace.train.evaluate import EvaluateConfig
from tests.support.stages import follow
from tests.support.stores import make_store

METHODS = {
    "fusion",
    "student",
    "equal_parameters",
    "mean_predictor",
    "untrained_converters",
    "translated:flow",
    "teacher:flow",
    "translated:look",
    "teacher:look",
    "true_teachers",
    "concatenated_teachers",
    "ridge_converters",
    "procrustes_converters",
    "attentive:stu",
    *(f"{probe}:{name}" for probe in ("knn", "linear") for name in ("stu", "flow", "look")),
}


@pytest.fixture(scope="module")
def settings(features, converters, fusion):
    def make(out, **changes):
        given = {
            "dataset": "toy",
            "features": features,
            "student": "stu",
            "teachers": ("flow", "look"),
            "converters": converters,
            "fusion": fusion,
            "out": out,
            "resamples": 200,
            "seeds": 1,
            "device": "cpu",
        }
        return EvaluateConfig.model_validate(given | changes)

    return make


@pytest.fixture(scope="module")
def written(settings, tmp_path_factory):
    """An evaluation of the untouched stores; what it yielded is in its folder's progress."""
    return follow(evaluate.run(settings(tmp_path_factory.mktemp("evaluation"))))


@pytest.fixture(scope="module")
def record(written):
    return read_evaluation(written[1])


def logits(path):
    with np.load(path.parent / "predictions.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith("logits/")}


def test_the_record_is_complete_and_every_method_is_in_it(record):
    assert {method.name for method in record.methods} >= METHODS
    assert record.methods[0].name == "fusion"
    assert len({method.name for method in record.methods}) == len(record.methods)


def test_progress_counts_up_to_its_total(written):
    yielded, _ = written
    assert [advance.done for advance in yielded] == list(range(len(yielded)))
    assert yielded[-1].done == yielded[-1].total
    assert "fitting student" in {str(advance) for advance in yielded}


def test_what_it_was_evaluated_on_is_said(record, train, test_clips):
    data = record.dataset
    assert (data.name, data.split, data.clips, data.groups) == ("toy", "test", 36, 9)
    assert data.class_names == ("c0", "c1", "c2")
    assert data.fingerprint == test_clips.fingerprint
    assert data.train_fingerprint == train.fingerprint
    assert (record.student, record.teachers) == ("stu", ("flow", "look"))
    assert record.chance == pytest.approx(1 / 3)
    assert record.random_weights == ()


def test_the_scores_are_those_of_the_predictions_beside_them(record, written):
    path = written[1]
    with np.load(path.parent / "predictions.npz", allow_pickle=False) as file:
        labels = file["labels"]
        for method in record.methods:
            (logits,) = file[f"logits/{method.name}"]
            said = logits.argmax(1)
            assert method.top1.value == pytest.approx((said == labels).mean())
            assert sum(map(sum, method.confusion)) == len(labels)
            assert method.log_loss == pytest.approx(
                log_loss(labels, softmax(logits.astype(float), axis=1), labels=[0, 1, 2])
            )
            assert method.confusion[0][0] == ((said == 0) & (labels == 0)).sum()
        assert file["ids"].tolist() == [f"test-{row:03d}" for row in range(36)]
        assert set(file["groups"]) == {f"test-g{number:02d}" for number in range(9)}


def test_labels_that_depend_on_the_features_are_learned_from_all_of_them(record):
    for method in record.methods:
        if method.kind != "upper bound" and ":" not in method.name:
            assert method.top1.value > 0.9, method.name
        assert 0 <= method.top1.low <= method.top1.value <= method.top1.high <= 1


def test_the_difference_is_that_of_fusion_and_student(record):
    fusion, student = (record.method(name).top1.value for name in ("fusion", "student"))
    comparison = record.comparison
    assert (comparison.method, comparison.baseline) == ("fusion", "student")
    assert comparison.difference.value == pytest.approx(fusion - student)
    assert 0 <= comparison.mcnemar_p <= 1


def test_translations_stand_beside_the_closed_form_ones(record):
    for teacher in ("flow", "look"):
        found = record.translation[teacher]
        assert set(found) == {"mean", "procrustes", "ridge", "residual_mlp"}
        assert found["mean"].r2 < found["procrustes"].r2 < found["ridge"].r2
    assert record.translation["flow"]["ridge"].r2 > 0.9999


def test_several_seeds_are_several_trainings_and_the_first_is_the_checkpoint(
    settings, written, tmp_path
):
    _, path = follow(evaluate.run(settings(tmp_path, seeds=2)))
    once, twice = logits(written[1]), logits(path)
    for name, values in twice.items():
        assert np.array_equal(values[0], once[name][0]), name
    assert {name for name, values in twice.items() if len(values) == 1} >= {
        "logits/teacher:flow",
        "logits/knn:stu",
    }
    for name in ("fusion", "student", "ridge_converters"):
        first, second = twice[f"logits/{name}"]
        assert not np.array_equal(first, second), name
    found = read_evaluation(path)
    assert (found.seeds, found.method("fusion").seeds) == ((0, 1), 2)
    assert found.method("student").top1.value == pytest.approx(
        np.mean(found.method("student").top1_by_seed)
    )


def test_every_comparison_is_with_something_that_runs_without_teachers(record):
    kinds = {method.name: method.kind for method in record.methods}
    compared = [comparison.baseline for comparison in record.comparisons]
    assert compared[0] == "student"
    assert set(compared) == {n for n, kind in kinds.items() if kind in ("baseline", "control")}
    for comparison in record.comparisons:
        assert comparison.p <= comparison.adjusted_p <= 1


def test_too_few_clips_for_a_probe_are_a_gap_with_its_reason(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "NEIGHBOURS", 1000)
    _, path = follow(evaluate.run(settings(tmp_path)))
    found = read_evaluation(path)
    assert {name for name in found.gaps if name.startswith("knn:")} == {
        "knn:stu",
        "knn:flow",
        "knn:look",
    }
    assert "1000 nearest neighbours vote" in found.gaps["knn:stu"]
    assert "knn:stu" not in {method.name for method in found.methods}


def test_the_curves_of_what_was_trained_lie_beside_the_record(written):
    folder = written[1].parent
    assert read_curves(folder / "curves_converters.json").epochs
    assert read_curves(folder / "curves_fusion.json").epochs


def test_gates_are_said_over_time_and_class(record):
    for gate in record.gates.values():
        assert 0 < gate.mean < 1
        assert (len(gate.per_time), len(gate.per_class)) == (4, 3)
        assert np.mean(gate.per_time) == pytest.approx(gate.mean, abs=1e-6)


def test_vectors_are_there_for_the_pictures(written, record):
    found = read_vectors(written[1].parent / "vectors.npz", record)
    assert len(found.student) == len(found.labels) == 36
    assert found.translated["look"].shape == found.true["look"].shape


def test_equal_seeds_give_equal_records(settings, written, tmp_path):
    _, path = follow(evaluate.run(settings(tmp_path)))
    first, second = (json.loads(p.read_text()) for p in (written[1], path))
    for key in ("created", "seconds", "command", "cost"):
        assert first.pop(key) is not None
        assert second.pop(key) is not None
    assert first == second
    for name, values in logits(written[1]).items():
        assert np.array_equal(values, logits(path)[name]), name


def test_silent_error_14_nothing_is_fitted_or_selected_on_the_test_split(
    settings, written, features, tmp_path
):
    """With all test labels wrong, every method says exactly what it said."""
    folder = tmp_path / "features"
    make_store(folder, "train", clips=72, groups=18)
    make_store(folder, "test", clips=36, groups=9, labels_moved=1)
    _, path = follow(evaluate.run(settings(tmp_path / "out", features=folder)))
    for name, values in logits(written[1]).items():
        assert np.array_equal(values, logits(path)[name]), name
    assert read_evaluation(path).method("student").top1.value < 0.1


def test_quarantined_clips_count_as_wrong_in_the_covered_accuracy(settings, tmp_path):
    folder = tmp_path / "features"
    make_store(folder, "train", clips=72, groups=18)
    make_store(folder, "test", clips=36, groups=9, quarantined=9)
    _, path = follow(evaluate.run(settings(tmp_path / "out", features=folder)))
    found = read_evaluation(path)
    assert (found.coverage.clips, found.coverage.evaluated) == (36, 27)
    assert found.coverage.share == pytest.approx(0.75)
    assert found.coverage.quarantined["test-035"] == "no frame can be decoded"
    for method in found.methods:
        assert method.covered_top1 == pytest.approx(method.top1.value * 0.75)


def test_views_of_a_clip_count_as_one_answer(settings, tmp_path):
    folder = tmp_path / "features"
    make_store(folder, "train", clips=72, groups=18, views=2)
    make_store(folder, "test", clips=36, groups=9, views=3, quarantined=4)
    _, path = follow(evaluate.run(settings(tmp_path / "out", features=folder)))

    found = read_evaluation(path)
    assert (found.views, found.dataset.clips, found.coverage.evaluated) == (3, 32, 32)
    for name, values in logits(path).items():
        assert values.shape == (1, 32, 3), name
        np.testing.assert_allclose(np.exp(values).sum(-1), 1, rtol=1e-4)


def refused(config, error, message):
    with pytest.raises(error, match=message) as raised:
        next(evaluate.run(config))
    assert "\n" not in str(raised.value)


def test_a_missing_fusion_is_named(settings, tmp_path):
    refused(
        settings(tmp_path, fusion="/nowhere.pt"), CheckpointError, "no fusion checkpoint at /nowh"
    )


def test_checkpoints_in_each_others_place_are_refused(settings, fusion, tmp_path):
    refused(settings(tmp_path, converters=fusion), CheckpointError, "holds fusion, expected conv")


def test_a_split_that_was_not_extracted_is_named(settings, tmp_path):
    refused(settings(tmp_path, split="validation"), StoreError, "no feature store toy_validation")


def test_test_features_of_other_weights_are_refused(settings, tmp_path):
    folder = tmp_path / "features"
    make_store(folder, "train", clips=72, groups=18)
    make_store(folder, "test", fingerprints={"look": "look-2"})
    refused(settings(tmp_path, features=folder), StoreError, "converters were trained on look")


def test_fewer_teachers_than_were_fused_are_refused(settings, tmp_path):
    refused(settings(tmp_path, teachers=("flow",)), PolySpaceError, "look")


def test_converters_that_the_fusion_was_not_trained_on_are_refused(
    settings, features, converter_settings, tmp_path, finish
):
    other = converter_settings(features, tmp_path / "other", kind="mean")
    path = finish(train_converter.run(other))
    refused(settings(tmp_path, converters=path), PolySpaceError, "converters")


def test_test_labels_outside_the_fusions_classes_are_refused(
    settings, fusion_settings, converters, tmp_path, finish
):
    few = tmp_path / "few"
    make_store(few, "train", clips=72, groups=18, classes=2)
    trained = fusion_settings(few, converters, tmp_path / "fusion", classes=2, epochs=1)
    path = finish(train_fusion.run(trained))
    assert checkpoint.load(path, "fusion")["spec"]["class_names"] == ["c0", "c1"]
    make_store(few, "test", clips=36, groups=9, classes=3)
    config = settings(tmp_path / "out", features=few, fusion=path)
    with pytest.raises(PolySpaceError, match="label"):
        follow(evaluate.run(config))


@pytest.mark.parametrize(
    "seed",
    [
        0,
        1,
    ],
    ids=["the fusion's seed", "another seed"],
)
def test_closed_form_translations_are_those_that_training_started_from(
    settings, features, converter_settings, fusion_settings, tmp_path, finish, seed
):
    config = converter_settings(features, tmp_path, kind="linear", epochs=1, seed=seed)
    start = finish(train_converter.run(config)).with_name("converters_ep0.pt")
    fused = finish(train_fusion.run(fusion_settings(features, start, tmp_path / "f", epochs=1)))
    _, path = follow(evaluate.run(settings(tmp_path / "out", converters=start, fusion=fused)))
    found = read_evaluation(path).translation["look"]
    assert found["ridge"].r2 == pytest.approx(found["linear"].r2, abs=1e-9)


def test_the_command_line_prints_a_line_a_method(settings, tmp_path, capsys, features):
    config = settings(tmp_path)
    options = (
        f"--dataset toy --features {features} --student stu --teachers flow look "
        f"--converters {config.converters} --fusion {config.fusion} --out {tmp_path} "
        f"--resamples 100"
    )
    with pytest.raises(SystemExit) as stop:
        console.run(EvaluateConfig, evaluate.main, options.split())
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in METHODS)
