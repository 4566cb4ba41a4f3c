"""The command line ``polyspace``: what an operator asks of a feature store.

Extraction, training and evaluation have commands of their own, ``python -m`` and the name of their
module; this one looks at what they left.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

from polyspace import console
from polyspace.config import Config
from polyspace.errors import CorruptStoreError
from polyspace.models.backbones.registry import NAMES
from polyspace.store.reader import FeatureStore
from polyspace.store.verification import verify


class Info(Config):
    """Say what a store holds, and how much of it is there."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


class Verify(Config):
    """Read every byte of a store and compare it with what was written; exit 1 if any differs."""

    path: Positional[Path]
    """The store: a folder that ends in .zarr."""


class Store(Config):
    """Look at a feature store."""

    command: Annotated[
        Annotated[Info, subcommand("info")] | Annotated[Verify, subcommand("verify")],
        arg(name=""),
    ]


class Backbones(Config):
    """List the backbones that --student and --teachers take."""


class Command(Config):
    """Look after what PolySpace has made."""

    command: Annotated[
        Annotated[Store, subcommand("store")] | Annotated[Backbones, subcommand("backbones")],
        arg(name=""),
    ]


def main() -> NoReturn:
    """Run the command that was typed."""
    console.run(Command, _run)


def _run(command: Command) -> None:
    asked = command.command
    match asked.command if isinstance(asked, Store) else asked:
        case Info(path=path, as_json=as_json):
            _info(FeatureStore.open(path), as_json=as_json)
        case Verify(path=path):
            _verify(path)
        case Backbones():
            console.say("\n".join(NAMES))


def _info(store: FeatureStore, *, as_json: bool) -> None:
    if as_json:
        console.say(json.dumps(_facts(store), indent=2))
        return
    console.say(repr(store))
    for name, spec in store.backbones.items():
        console.say(
            f"{name}: {store.size_bytes(name) / 2**20:.1f} MiB, {json.dumps(spec.provenance)}"
        )
    for clip, reason in store.coverage.quarantined.items():
        console.say(f"quarantined {clip}: {reason}")
    console.say(f"fingerprint: {store.fingerprint}")


def _facts(store: FeatureStore) -> dict[str, object]:
    """Give what `polyspace store info --json` prints."""
    backbones = {
        name: {**asdict(spec), "size_bytes": store.size_bytes(name)}
        for name, spec in store.backbones.items()
    }
    return {
        "path": str(store.path),
        "dataset": store.dataset,
        "split": store.split,
        "class_names": store.class_names,
        "coverage": asdict(store.coverage),
        "fingerprint": store.fingerprint,
        "backbones": backbones,
    }


def _verify(path: Path) -> None:
    try:
        verification = console.show(verify(path), "verify")
    except CorruptStoreError as error:
        console.say(str(error))
        sys.exit(1)
    for problem in verification.problems:
        for clip in problem.clips:
            console.say(f"{clip}: {problem.what}")
    console.say(str(verification))
    if verification.problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
