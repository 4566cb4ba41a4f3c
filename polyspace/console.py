"""How PolySpace talks to people in a terminal: options in, progress and one-line errors out."""

import io
import re
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn, Protocol, TypeVar

import tyro
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from polyspace.config import Config
from polyspace.errors import ConfigError, PolySpaceError, StoppedError
from polyspace.ranks import launched

NARROWEST, WIDEST = 120, 10_000
"""Columns of what is printed into a file or a pipe."""

C = TypeVar("C", bound=Config)
R = TypeVar("R")


class Advance(Protocol):
    """A sign of life from a long stage: how far it is, and what to say of it."""

    @property
    def done(self) -> int:
        """Units finished."""
        ...

    @property
    def total(self) -> int:
        """Units in all."""
        ...

    def __str__(self) -> str:
        """Say in a few words where the stage is."""
        ...


def run(config: type[C], main: Callable[[C], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Parse the command line into `config`, call `main`, and exit.

    0: done. 2: the user can mend it, and one line on stderr says how. 75: stopped as told, saved,
    and the same command goes on (sysexits.h calls it a temporary failure). 130: interrupted.
    """
    try:
        main(parse(config, sys.argv[1:] if argv is None else argv))
    except StoppedError as stop:
        if launched().is_first:
            print(stop, file=sys.stderr)  # noqa: T201
        sys.exit(75)
    except PolySpaceError as error:
        print(f"error{_whose()}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        if launched().is_first:
            print("interrupted: what was finished is kept", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    sys.exit(0)


def parse(config: type[C], argv: Sequence[str]) -> C:
    """Turn options into a config; ``--shard_size`` and ``--shard-size`` are the same.

    Raises:
        ConfigError: An option is unknown, missing, or has a value outside its bounds.
    """
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            return tyro.cli(config, args=list(argv), prog=_program())
    except SystemExit as stop:
        if stop.code == 0:
            sys.stdout.write(said.getvalue())
            raise
    raise ConfigError(_one_line(said.getvalue()))


def show(stage: Generator[Advance, None, R], title: str) -> R:
    """Drive a stage to its end under a progress bar; give what it returns.

    A stage that has nothing to do shows none; of several processes, the first alone does.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
    )
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not launched().is_first) as bar:
        task = bar.add_task(title, total=None, words="", visible=False)
        while True:
            try:
                advance = next(stage)
            except StopIteration as end:
                return end.value
            done, total = advance.done, advance.total
            bar.update(task, completed=done, total=total, words=str(advance), visible=True)


def say(text: str) -> None:
    """Print one line of result on stdout; of several processes, the first alone does."""
    if launched().is_first:
        print(text, flush=True)  # noqa: T201


def complain(text: str) -> None:
    """Print one line on stderr of what went wrong with a part; the rest goes on."""
    if launched().is_first:
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def present(view: RenderableType) -> None:
    """Print a table, as wide as the terminal is; into a file or a pipe, as wide as it needs."""
    screen = Console(width=None if sys.stdout.isatty() else WIDEST, highlight=False)
    if not sys.stdout.isatty():
        screen.width = max(NARROWEST, screen.measure(view).maximum)
    screen.print(view)


def _whose() -> str:
    """Name the process that says something, where it isn't the first of several."""
    ranks = launched()
    return "" if ranks.is_first else f" on rank {ranks.rank}"


def _program() -> str:
    """Name the running module as a user would type it."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return f"python -m {spec.name}" if spec else "polyspace"


def _one_line(box: str) -> str:
    """Fold the parser's message into one line: title, what is wrong, help, with rules between."""
    _, *wrong, _ = re.split(r"-{4,}", re.sub(r"\s+", " ", box))
    text = "; ".join(part.strip() for part in wrong)
    text = re.sub(r"Error parsing \w+: \d+ validation errors? for \w+ ", "", text)
    text = re.sub(r" For further information visit \S+", "", text)
    text = re.sub(r"\[type=[^\]]*input_value=(.*?), input_type=\w+\]", r"(found \1)", text)
    return f"{text} (all options: {_program()} --help)"
