import json
from math import isnan

import numpy as np
import pytest

from polyspace.errors import RecordError
from polyspace.report.records.arrays import read_vectors
from polyspace.report.records.evaluation import read_evaluation
from polyspace.report.records.exports import read_exports
from polyspace.report.records.training import read_curves
from tests.support.records import TEACHERS, write_records


def test_every_record_reads_back(tmp_path):
    written = write_records(tmp_path)
    evaluation = read_evaluation(written.evaluation)
    vectors = read_vectors(tmp_path / "vectors.npz", evaluation)
    assert evaluation.method("fusion").kind == "method"
    assert vectors.true["motion_vectors"].shape == vectors.translated["motion_vectors"].shape
    assert [proof.kind for proof in read_exports(written.exports).proofs] == ["fp16", "int8"]


def test_a_class_without_clips_has_no_accuracy_whether_written_as_null_or_nan(evaluation):
    read = evaluation(names=("left", "right", "still"), clips=2)
    assert isnan(read.method("fusion").per_class[2])
    gates = {"a": {"mean": 0.5, "per_time": [0.5], "per_class": [0.5, float("nan"), None]}}
    assert isnan(sum(evaluation(gates=gates).gates["a"].per_class[1:]))


def test_curves_leave_out_epochs_that_lack_a_value(tmp_path):
    curves = read_curves(write_records(tmp_path).folder / "curves_fusion.json")
    assert curves.of("top1")[0][:2] == [0, 1]
    assert curves.of("loss")[0][0] == 1
    assert curves.of("nothing") == ([], [])


def test_an_unknown_method_is_an_error_that_lists_the_known_ones(evaluation):
    with pytest.raises(RecordError, match=r"no method 'magic'.* fusion, student"):
        evaluation().method("magic")


def test_a_missing_record_names_its_path_and_the_remedy(tmp_path):
    with pytest.raises(RecordError, match=r"exports\.json: No such file.*run the stage"):
        read_exports(tmp_path / "exports.json")


def test_another_schema_is_an_error_that_names_the_place(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"schema": 1}))
    with pytest.raises(RecordError, match=r"schema.*another version"):
        read_evaluation(path)


def test_text_that_is_no_json_is_an_error_of_the_whole_file(tmp_path):
    path = tmp_path / "curves.json"
    path.write_text('{"epochs": [')
    with pytest.raises(RecordError, match="the whole file: Invalid JSON"):
        read_curves(path)


@pytest.mark.parametrize("left_out", ["transnetv2", TEACHERS[0]])
def test_vectors_that_lack_one_are_an_error_that_names_it(tmp_path, evaluation, left_out):
    read = evaluation()
    with np.load(tmp_path / "vectors.npz") as file:
        kept = {name: file[name] for name in file if name != left_out}
    np.savez(tmp_path / "some.npz", **kept)
    with pytest.raises(RecordError, match=left_out):
        read_vectors(tmp_path / "some.npz", read)


def test_a_file_that_is_no_archive_of_vectors_is_an_error(tmp_path, evaluation):
    read = evaluation()
    (tmp_path / "vectors.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(RecordError, match="not the vectors"):
        read_vectors(tmp_path / "vectors.npz", read)
