import json

import pytest

from polyspace.models.backbones import card
from polyspace.models.backbones.class_names import digest

CARD = """---
license: cc-by-nc-4.0
base_model: MCG-NJU/videomae-base
datasets:
- org/ucf101
- hmdb51
---
# A model
"""


def test_settings_and_card_are_read(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    settings = {
        "_name_or_path": "MCG-NJU/videomae-base",
        "id2label": {"10": "zumba", "0": "Abseiling", "2": "bowling"},
    }
    found = card.read(tmp_path, settings)
    assert found == {
        "name": "MCG-NJU/videomae-base",
        "classes": {
            "count": 3,
            "first": "Abseiling",
            "sha256": digest(["bowling", "abseiling", "ZUMBA"]),
        },
        "base_model": ["MCG-NJU/videomae-base"],
        "datasets": ["org/ucf101", "hmdb51"],
        "license": "cc-by-nc-4.0",
        "card": True,
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "text", ["", "# no data", "---\nthis: [is: not yaml\n---\n", "---\n- a list\n---\n", "\x00\xff"]
)
def test_a_card_that_says_nothing_or_nonsense_is_no_error(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    assert card.read(tmp_path, {}) == {}


def test_classes_that_nobody_named_are_not_described(tmp_path):
    named = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    assert card.read(tmp_path, named) == {}
    assert card.read(tmp_path, {"id2label": {}}) == {}


def test_lists_of_classes_are_the_same_in_any_order_and_spelling():
    assert digest(["High Jump", "archery"]) == digest(["Archery", "high_jump"])
    assert digest(["ab", "c"]) != digest(["a", "bc"])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("license: other\nlicense_name: llama3", "llama3"),
        ("license: other", "other"),
        ("license_name: mine", None),
        ("tags: [a]", None),
    ],
)
def test_the_licence_is_the_cards_own_word(tmp_path, data, expected):
    (tmp_path / "README.md").write_text(f"---\n{data}\n---\n")
    assert card.read(tmp_path, {}).get("license") == expected
