"""What a person types for a sweep, and what it is understood as."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from polyspace.config import Config
from polyspace.errors import ConfigError, UnknownNameError
from polyspace.train import search
from polyspace.train.search import Choices, Range


class Head(Config):
    width: Annotated[int, Field(ge=1)] = 8


class Settings(Config):
    lr: Annotated[float, Field(gt=0, lt=1)] = 0.1
    rank: Annotated[int, Field(ge=1)] = 4
    schedule: Literal["cosine", "constant"] = "cosine"
    early_stop: Annotated[int, Field(ge=1)] | None = None
    losses: tuple[str, ...] = ("l1=1",)
    bf16: bool = False
    converters: Path = Path("a.pt")
    head: Head = Head()
    seed: int = 0


FIXED = {"seed": "--seeds repeats"}


def parse(*terms):
    return search.parse(terms, Settings, FIXED)


def only(term):
    return parse(term).settings[0]


@dataclass(frozen=True)
class Listed:
    term: str
    values: tuple


@pytest.mark.parametrize(
    "case",
    [
        Listed("rank=16,64", (16, 64)),
        Listed("lr=1e-3,0.5", (0.001, 0.5)),
        Listed("schedule=constant,cosine", ("constant", "cosine")),
        Listed("early-stop=None,3", (None, 3)),
        Listed("losses=l1=1 cosine=0.5,l2=1", (("l1=1", "cosine=0.5"), ("l2=1",))),
        Listed("bf16=true,false", (True, False)),
        Listed("head.width=2,4", (2, 4)),
    ],
    ids=lambda case: case.term,
)
def test_a_list_is_read_as_the_setting_reads_it(case):
    setting = only(case.term)
    assert isinstance(setting, Choices)
    assert tuple(map(setting.value, setting.values)) == case.values
    assert only(str(setting)) == setting


def test_a_range_is_of_the_settings_own_numbers():
    assert only("lr=1e-4..1e-2:log") == Range("lr", 0.0001, 0.01, log=True)
    assert only("rank=16..256") == Range("rank", 16, 256, log=False)
    assert Range("rank", 16, 256, log=False).is_whole
    assert not Range("lr", 0.1, 0.5, log=False).is_whole
    assert only(str(only("lr=1e-4..1e-2:log"))) == only("lr=1e-4..1e-2:log")


def test_files_are_meant_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(only("converters=x.pt,y.pt")) == f"converters={tmp_path}/x.pt,{tmp_path}/y.pt"


@dataclass(frozen=True)
class Refused:
    term: str
    words: str


@pytest.mark.parametrize(
    "case",
    [
        Refused("lrr=1,2", "unknown setting 'lrr': did you mean 'lr'?.*head.width.*schedule"),
        Refused("lr=0.1,x", "'x' can't be used: Input should be a valid number"),
        Refused("lr=0.1..2.5", "'2.5' can't be used: Input should be less than 1"),
        Refused("schedule=cos", "Input should be 'cosine' or 'constant'"),
        Refused("bf16=0..1", "bf16 is no number"),
        Refused("rank=9..3", "has nothing in it: .*LOW < HIGH"),
        Refused("rank=3,03", "has 3 2 times"),
        Refused("rank", "has no values"),
        Refused("seed=1,2", "can't be searched: --seeds repeats"),
        Refused("head.depth=1", "unknown setting 'head.depth'"),
    ],
    ids=lambda case: case.term,
)
def test_what_can_not_be_searched_is_refused_in_one_line(case):
    with pytest.raises(ConfigError, match=case.words) as caught:
        only(case.term)
    assert "\n" not in str(caught.value)


def test_an_unknown_setting_is_an_unknown_name():
    with pytest.raises(UnknownNameError):
        only("lrr=1")


def test_a_setting_is_given_once():
    with pytest.raises(ConfigError, match="has rank 2 times"):
        parse("rank=1,2", "rank=3,4")
    with pytest.raises(ConfigError, match="nothing to search"):
        parse()


def test_points_are_all_combinations_in_order():
    space = parse("rank=1,2", "bf16=False,True")
    found = [tuple(point.values()) for point in space.points()]
    assert found == [("1", "False"), ("1", "True"), ("2", "False"), ("2", "True")]
    assert space.count == 4
    assert parse("rank=1..3", "bf16=False,True").count == 6
    assert parse("lr=0.1..0.2").count == inf


def test_values_are_put_where_they_belong():
    changed = search.replaced(Settings(), {"rank": 7, "head.width": 3})
    assert (changed.rank, changed.head.width, changed.lr) == (7, 3, 0.1)
    with pytest.raises(ConfigError, match="don't go together: rank Input should be greater"):
        search.replaced(Settings(), {"rank": 0})
