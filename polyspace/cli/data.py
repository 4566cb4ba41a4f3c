"""``polyspace data``: look a data set over before anything is made of it."""

import json
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg, subcommand

from polyspace import console
from polyspace.config import Config
from polyspace.data.checking import Checked, check
from polyspace.data.datasets.registry import NAMES


class Check(Config):
    """Read every official split, and look for what makes figures wrong; exit 1 if there is any."""

    dataset: str
    """Name of the data set."""
    root: Path
    """Its folder."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


class List(Config):
    """List the data sets that --dataset takes."""


class Data(Config):
    """Look over a data set."""

    command: Annotated[
        Annotated[Check, subcommand("check")] | Annotated[List, subcommand("list")],
        arg(name=""),
    ]


def run(data: Data) -> None:
    """Do what was asked of a data set."""
    match data.command:
        case Check() as asked:
            _check(asked)
        case List():
            console.say("\n".join(NAMES))


def _check(asked: Check) -> None:
    checked = console.show(check(asked.dataset, asked.root), "check")
    if asked.as_json:
        console.say(json.dumps(_facts(checked), indent=2, ensure_ascii=False))
    else:
        for finding in checked.findings:
            console.say(str(finding))
        console.say(str(checked))
    if checked.wrong:
        sys.exit(1)


def _facts(checked: Checked) -> dict[str, object]:
    """Give what `polyspace data check --json` prints."""
    return {
        "dataset": checked.dataset,
        "root": str(checked.root),
        "clips": checked.clips,
        "classes": checked.classes,
        "files": checked.files,
        "hashed": checked.hashed,
        "wrong": checked.wrong,
        "findings": [
            {
                "kind": finding.kind,
                "wrong": finding.wrong,
                "count": len(finding.examples),
                "words": finding.words,
                "examples": finding.examples,
            }
            for finding in checked.findings
        ],
    }
