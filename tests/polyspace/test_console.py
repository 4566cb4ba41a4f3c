from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge
from rich.table import Table

from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError, StoppedError, StoreError


class Brew(Config):
    """How tea is made."""

    leaf: str
    """Kind of tea."""
    cup_count: Annotated[int, Ge(1)] = 1
    """Cups to fill."""
    sorts: tuple[str, ...] = ()
    """Other kinds to offer."""
    strength: Literal["weak", "strong"] = "weak"
    """How it tastes."""
    pot: Path | None = None
    """Where it draws."""


def test_options_become_a_config():
    brew = console.parse(
        Brew, ["--leaf", "oolong", "--cup-count", "2", "--sorts", "a", "b", "--pot", "/tmp/pot"]
    )
    assert brew == Brew(leaf="oolong", cup_count=2, sorts=("a", "b"), pot=Path("/tmp/pot"))


def test_hyphens_and_underscores_are_the_same():
    assert console.parse(Brew, ["--leaf", "x", "--cup_count", "3"]).cup_count == 3


@dataclass(frozen=True)
class Mistake:
    id: str
    options: tuple[str, ...]
    named: str


@pytest.mark.parametrize(
    "case",
    [
        Mistake("unknown", ("--leaf", "x", "--sugar", "1"), "--sugar"),
        Mistake("missing", (), "--leaf"),
        Mistake("no number", ("--leaf", "x", "--cup-count", "many"), "many"),
        Mistake("out of bounds", ("--leaf", "x", "--cup-count", "0"), "found 0"),
        Mistake("no such choice", ("--leaf", "x", "--strength", "mild"), "mild"),
    ],
    ids=lambda case: case.id,
)
def test_a_mistake_is_one_line_that_names_it(case):
    with pytest.raises(ConfigError) as caught:
        console.parse(Brew, case.options)
    message = str(caught.value)
    assert case.named in message
    assert not {"\n", "│", "─"} & set(message)
    assert "----" not in message
    assert "  " not in message


def _end(main, argv):
    with pytest.raises(SystemExit) as stop:
        console.run(Brew, main, argv)
    return stop.value.code


def test_a_command_that_is_done_exits_with_0(capsys):
    assert _end(lambda brew: console.say(brew.leaf), ["--leaf", "oolong"]) == 0
    assert capsys.readouterr() == ("oolong\n", "")


def test_help_exits_with_0_and_is_printed(capsys):
    assert _end(lambda brew: None, ["--help"]) == 0
    assert "Cups to fill." in capsys.readouterr().out


def test_what_the_user_can_mend_exits_with_2_and_one_line(capsys):
    def fail(brew):
        raise StoreError("no feature store at x: make one")

    assert _end(fail, ["--leaf", "x"]) == 2
    assert capsys.readouterr() == ("", "error: no feature store at x: make one\n")


def test_a_wrong_option_exits_with_2_and_one_line(capsys):
    assert _end(lambda brew: None, ["--sugar"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_a_run_that_stopped_as_it_was_told_exits_with_75(capsys):
    def stop(brew):
        raise StoppedError("stopped after cup 3 of 10: the same command goes on from there")

    assert _end(stop, ["--leaf", "x"]) == 75
    said = capsys.readouterr().err
    assert said == "stopped after cup 3 of 10: the same command goes on from there\n"


def test_an_interruption_exits_with_130(capsys):
    def interrupt(brew):
        raise KeyboardInterrupt

    assert _end(interrupt, ["--leaf", "x"]) == 130
    assert "what was finished is kept" in capsys.readouterr().err


def test_a_mistake_of_ours_is_not_hidden():
    def fail(brew):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        console.run(Brew, fail, ["--leaf", "x"])


@dataclass(frozen=True)
class Cup:
    done: int
    total: int

    def __str__(self) -> str:
        return f"cup {self.done}"


def _pour(cups: int) -> Generator[Cup, None, str]:
    for cup in range(1, cups + 1):
        yield Cup(cup, cups)
    return "poured"


def test_a_stage_is_shown_to_its_end_and_gives_what_it_returns(capsys):
    assert console.show(_pour(3), "tea") == "poured"
    said = capsys.readouterr()
    assert said.out == ""
    assert "tea" in said.err
    assert "cup 3" in said.err


def test_a_stage_without_steps_gives_what_it_returns():
    assert console.show(_pour(0), "tea") == "poured"


def test_a_table_in_a_pipe_is_as_wide_as_it_needs(capsys):
    table = Table(box=None, pad_edge=False)
    table.add_row("a" * 300, "b")
    console.present(table)
    assert capsys.readouterr().out.split() == ["a" * 300, "b"]
