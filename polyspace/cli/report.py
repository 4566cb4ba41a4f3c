"""polyspace report, polyspace compare: pages on what evaluations found."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from polyspace import console
from polyspace.config import Config
from polyspace.errors import ConfigError
from polyspace.report import evaluation
from polyspace.report.runs import document
from polyspace.report.runs.compared import Run


class Report(Config):
    """Write the report on an evaluation: HTML, Markdown with its pictures, and CSV."""

    evaluation: tyro.conf.Positional[Path]
    """Folder that polyspace.train.evaluate wrote."""
    out: Path | None = None
    """Folder for the report; the evaluation's own, unless given."""


class Compare(Config):
    """Compare the fusions of several evaluations on the clips that they share."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], Field(min_length=2)]
    """Folders that polyspace.train.evaluate wrote; the others are compared with the first."""
    out: Path = Path("comparison")
    """Folder for compare.html, compare.md, compare.csv and compare.json."""


def write(asked: Report) -> None:
    """Write the report, and say where."""
    found = evaluation.read(asked.evaluation)
    console.say(f"wrote {evaluation.write(found, asked.out or asked.evaluation)}")


def compare(asked: Compare) -> None:
    """Compare, and say where the report is."""
    names = list(map(str, asked.runs))
    if len(set(names)) < len(names):
        raise ConfigError(f"{' '.join(names)}: the same run twice; give each once")
    found = [Run.read(name, folder) for name, folder in zip(names, asked.runs, strict=True)]
    console.say(f"wrote {document.write(found, asked.out)}")
