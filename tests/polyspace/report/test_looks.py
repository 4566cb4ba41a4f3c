import hashlib
import json

import pytest

from polyspace.errors import RecordError
from polyspace.report.records import looks


@pytest.fixture
def evaluation(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text("{}")
    return path


def write(evaluation, **changes):
    content = {
        "tracked": True,
        "looks_model": 1,
        "looks_dataset": 3,
        "deleted": 0,
        "words": "looked at 3 times before, once of this model",
        "evaluation_sha256": hashlib.sha256(evaluation.read_bytes()).hexdigest(),
    }
    evaluation.with_name("protocol.json").write_text(json.dumps(content | changes))


def test_what_was_counted_is_read(evaluation):
    write(evaluation)
    found = looks.read(evaluation)
    assert (found.tracked, found.looks_model, found.looks_dataset) == (True, 1, 3)
    assert found.words == "looked at 3 times before, once of this model"


def test_without_the_file_nothing_was_counted_and_it_is_said(evaluation):
    found = looks.read(evaluation)
    assert (found.tracked, found.looks_dataset) == (False, None)
    assert "not counted" in found.words


def test_a_count_of_another_evaluation_is_none_of_this_one(evaluation):
    write(evaluation)
    evaluation.write_text('{"made": "again, untracked"}')
    assert not looks.read(evaluation).tracked


@pytest.mark.parametrize("text", ["", "[]", '{"tracked": 3}'])
def test_something_else_in_its_place_is_an_error_of_one_line(evaluation, text):
    evaluation.with_name("protocol.json").write_text(text)
    with pytest.raises(RecordError, match="holds no count of looks") as raised:
        looks.read(evaluation)
    assert "\n" not in str(raised.value)
