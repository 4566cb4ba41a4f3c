import json

import pytest
import torch

from polyspace.errors import StoreError
from polyspace.precision import resolve
from polyspace.train.provenance import check_weights, of_run
from polyspace.train.sources import StoredClips
from tests.support.stores import make_store

CPU = torch.device("cpu")


@pytest.fixture
def record(train, converter_settings, features, tmp_path):
    config = converter_settings(features, tmp_path)
    return of_run(config, train, ("stu", "flow"), resolve("bf16", CPU))


def test_a_record_says_settings_data_weights_and_types_in_json(record, train, features):
    assert json.loads(json.dumps(record)) == record
    assert record["config"]["features"] == str(features)
    assert (record["dataset"], record["split"]) == ("toy", "train")
    assert record["fingerprint"] == train.fingerprint
    assert record["class_names"] == ["c0", "c1", "c2"]
    assert record["weights"]["flow"] == {
        "source": "folder of flow",
        "fingerprint": "flow-1",
        "random": False,
    }
    assert record["precision"]["compute"] == "bf16"


def test_features_of_the_same_weights_are_taken_whatever_the_clips(record, test_clips):
    check_weights(record, test_clips, "stu", "converters")


def test_features_of_other_weights_are_refused_with_both_sources(record, tmp_path):
    path = make_store(tmp_path, "train", fingerprints={"stu": "stu-2"})
    clips = StoredClips.find(path, dataset=None, split="train", device=CPU)
    with pytest.raises(StoreError, match=r"converters were trained on stu from .* extract again"):
        check_weights(record, clips, "stu", "converters")
    check_weights(record, clips, "flow", "converters")


def test_a_backbone_that_was_not_trained_on_is_refused(record, train):
    with pytest.raises(StoreError, match="trained on stu, flow, not on look"):
        check_weights(record, train, "look", "converters")
