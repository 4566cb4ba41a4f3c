import pytest

from polyspace.report.exports import limits
from polyspace.report.records.evaluation import read_evaluation
from tests.support.exports import estimate
from tests.support.records import write_records


@pytest.fixture
def evaluation(tmp_path):
    return lambda **changes: read_evaluation(write_records(tmp_path, **changes).evaluation)


def said(*records):
    return " ".join(limits.of(*records))


def test_few_groups_make_rough_intervals(bundle, proof, evaluation):
    text = said(bundle(), proof(), evaluation())
    assert "140 clips of 8 groups: anything from 66.6 % to 80.6 %" in text
    assert "rough themselves" in text
    many = said(bundle(), proof(groups=60), None)
    assert "140 clips of 60 groups" in many
    assert "rough" not in many


def test_groups_that_no_record_counts_are_said_to_be_unknown(bundle, proof, evaluation):
    assert "is not recorded here" in said(bundle(), proof(), None)
    assert "is not recorded here" in said(bundle(), proof(fingerprint="ee" * 32), evaluation())


def test_times_are_limited_only_where_there_are_any(bundle, proof):
    assert "Times hold for a processor, 1 thread" in said(bundle(), proof(), None)
    assert "Times hold" not in said(bundle(), proof(latency=None), None)


def test_what_an_evaluation_warns_of_is_a_limit(bundle, proof, evaluation):
    shared = {"groups": 2, "ids": 0, "features": 0, "examples": []}
    assert "Leak: 2 of 8 groups" in said(bundle(), proof(), evaluation(overlap=shared))


def test_only_models_of_tokens_start_after_the_student(bundle, proof):
    assert "starts from what transnetv2 gives" in said(bundle(), proof(), None)
    assert "in none of the times" in said(bundle(), proof(), None)
    assert "in none of the times" not in said(bundle(), proof(latency=None), None)
    assert "starts from" not in said(bundle(entry="pictures"), proof(entry="pictures"), None)


def test_an_evaluation_that_found_another_accuracy_on_the_same_clips_is_doubted(
    bundle, proof, evaluation
):
    found = evaluation()
    own = found.method("fusion").top1_by_seed[0]
    near, far = (
        proof(clips=24, top1_source=estimate(own - clips / 24), top1_export=estimate(0.5))
        for clips in (1, 2)
    )
    assert "may be of another checkpoint" in said(bundle(), far, found)
    assert "may be of another checkpoint" not in said(bundle(), near, found)
    other = far.model_copy(update={"fingerprint": "ee" * 32})
    assert "may be of another checkpoint" not in said(bundle(), other, found)
