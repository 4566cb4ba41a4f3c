import json
import re
from pathlib import Path

import pytest
import yaml

from polyspace.errors import ConfigError
from polyspace.export.selection import phrases
from polyspace.export.selection.policy import Bound, Policy, Term, Tie


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("top1", Term(metric="top1")),
        ("top1=2", Term(metric="top1", weight=2)),
        ("r2/flow = 0.5", Term(metric="r2/flow", weight=0.5)),
        ("top1/rate 1 decay 0.05=3", Term(metric="top1/rate 1 decay 0.05", weight=3)),
    ],
)
def test_terms_are_read(text, expected):
    assert phrases.term(text, "up") == expected


@pytest.mark.parametrize("text", ["top1=much", "top1=-1", "top1=nan"])
def test_a_weight_that_is_no_number_of_0_or_more_is_refused(text):
    with pytest.raises(ConfigError, match="expected a number of 0 or more") as refused:
        phrases.term(text, "up")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "metric", "op", "limit"),
    [
        ("ece<=0.1", "ece", "<=", 0.1),
        (" ece < 1e-2 ", "ece", "<", 0.01),
        ("log_likelihood>=-2", "log_likelihood", ">=", -2.0),
        ("top1/rate 1 decay 0.05>0.3", "top1/rate 1 decay 0.05", ">", 0.3),
    ],
)
def test_conditions_are_read(text, metric, op, limit):
    assert phrases.bound(text) == Bound(metric=metric, op=op, limit=limit)


@pytest.mark.parametrize(
    "text", ["ece", "ece=0.1", "<0.1", "ece<=", "ece<=low", "ece<nan", "a<b<1"]
)
def test_what_is_no_condition_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="is no condition") as refused:
        phrases.bound(text)
    assert "\n" not in str(refused.value)


def test_ties_are_read():
    assert phrases.tie("ece:down") == Tie(metric="ece", direction="down")
    assert phrases.tie("log_likelihood") == Tie(metric="log_likelihood")
    assert phrases.tie("a:b") == Tie(metric="a:b")


@pytest.mark.parametrize(("ending", "write"), [("json", json.dumps), ("yaml", yaml.safe_dump)])
def test_a_policy_file_is_read(tmp_path, ending, write):
    given = {
        "objective": [{"metric": "top1"}, {"metric": "ece", "direction": "down", "weight": 0.5}],
        "constraints": [{"metric": "ece", "op": "<=", "limit": 0.1}],
        "on_none_pass": "least_violation",
    }
    path = tmp_path / f"calm.{ending}"
    path.write_text(write(given))
    assert phrases.read(path) == Policy.model_validate({"name": "calm", **given})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "neither JSON nor YAML"),
        ("- a list", "neither JSON nor YAML"),
        ("", "neither JSON nor YAML"),
        ("objective: []", "objective"),
        ("objective: [{metric: top1, heft: 2}]", "heft"),
        ("objective: [{metric: top1}, {metric: top1}]", "2 times"),
        ("!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path, text, match):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as refused:
        phrases.read(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="No such file"):
        phrases.read(tmp_path / "none.yaml")


def test_the_documents_policy_is_one(tmp_path):
    text = (Path(__file__).parents[4] / "docs" / "selection.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "policy.yaml").write_text(example)
    assert phrases.read(tmp_path / "policy.yaml").name == "calm"
