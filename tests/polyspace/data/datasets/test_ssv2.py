import json

import pytest

from polyspace.data.datasets import labels, registry, ssv2
from polyspace.errors import DatasetError, LabelError
from tests.support.layouts import SSV2_TEMPLATES, make_ssv2, write, write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four classes; not to be written to."""
    return make_ssv2(tmp_path_factory.mktemp("ssv2"))


@pytest.mark.parametrize(("split", "count"), [("train", 8), ("validation", 4), ("test", 4)])
def test_every_template_is_a_class_whatever_its_brackets(folder, split, count):
    found = registry.read("ssv2", folder, split)

    assert found.class_names == labels.table("ssv2")
    assert len(found.clips) == count
    assert {found.class_names[clip.label] for clip in found.clips} == set(SSV2_TEMPLATES)


def test_a_clip_is_a_group_of_its_own(folder):
    clip = ssv2.read(folder, "validation").clips[0]

    assert (clip.id, clip.group) == ("200", "200")
    assert clip.path == "20bn-something-something-v2/200.webm"


def test_the_official_validation_split_is_taken_and_test_needs_its_answers(folder, tmp_path):
    assert registry.splits("ssv2", folder) == ("train", "validation", "test")
    make_ssv2(tmp_path, answers=False)

    assert registry.splits("ssv2", tmp_path) == ("train", "validation")
    with pytest.raises(DatasetError, match=r"test-answers\.csv is missing"):
        registry.read("ssv2", tmp_path, "test")


def test_templates_that_are_no_class_are_refused_with_their_number(tmp_path):
    make_ssv2(tmp_path)
    file = tmp_path / "labels" / "train.json"
    entries = json.loads(file.read_text())
    for entry in entries[:3]:
        entry["template"] = "Juggling [something]"
    write_json(file, entries)

    with pytest.raises(
        LabelError, match=r"3 of 8 clips of ssv2 .* first 'juggling something \(100\)'"
    ):
        ssv2.read(tmp_path, "train")


def test_a_test_clip_without_an_answer_is_refused(tmp_path):
    make_ssv2(tmp_path)
    write(tmp_path / "labels" / "test-answers.csv", "300;Closing something\n")

    with pytest.raises(LabelError, match=r"3 of 4 clips .* have no answer .* '301'"):
        ssv2.read(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labels", {"Closing something": "1"}, "a number of its own, from 0 without a gap"),
        ("labels", {"Closing something": "0", "Opening something": "0"}, "a number of its own"),
        ("labels", {"Closing something": "0", "closing something": "1"}, "a number of its own"),
        ("labels", ["Closing something"], "expected an object"),
        ("train", [{"id": "../x", "template": "Closing [something]"}], "is no id of ssv2"),
        ("train", [{"id": "100", "template": "Closing [something]"}] * 2, "1 ids more than once"),
        (
            "train",
            [{"id": "999", "template": "Closing [something]"}],
            "none of the 1 listed videos",
        ),
        ("train", [{"id": "100"}], "expected an object with id, template"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path, name, content, reason):
    make_ssv2(tmp_path)
    write_json(tmp_path / "labels" / f"{name}.json", content)

    with pytest.raises(DatasetError, match=reason):
        ssv2.read(tmp_path, "train")


def test_answers_that_are_none_are_refused(tmp_path):
    make_ssv2(tmp_path)
    write(tmp_path / "labels" / "test-answers.csv", "300,Closing something\n")

    with pytest.raises(DatasetError, match="expected lines of <id>;<template>"):
        ssv2.read(tmp_path, "test")
