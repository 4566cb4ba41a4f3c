import json

from pydantic import JsonValue

from tasks import figures


def test_nested_settings_get_dotted_names():
    value: JsonValue = {"out": "runs", "fusion": {"epochs": 5, "teachers": ["a", "b"]}}

    assert figures.flatten(value, ".") == {
        "out": "runs",
        "fusion.epochs": 5,
        "fusion.teachers": ["a", "b"],
    }


def test_numbers_of_a_record_go_by_the_names_in_its_lists(tmp_path):
    path = tmp_path / "evaluation.json"
    record = {
        "chance": 0.1,
        "created": "today",
        "ok": True,
        "methods": [
            {"name": "fusion", "top1": {"value": 0.8, "low": 0.7}, "per_class": [0.5, 1.0]},
            {"name": "student", "top1": {"value": 0.6, "low": 0.5}, "per_class": [0.5, 0.7]},
        ],
    }
    path.write_text(json.dumps(record))

    assert figures.of_record(path) == {
        "chance": 0.1,
        "methods/fusion/top1/value": 0.8,
        "methods/fusion/top1/low": 0.7,
        "methods/student/top1/value": 0.6,
        "methods/student/top1/low": 0.5,
    }
