"""``polyspace doctor``: whether this machine would extract features, and the right ones."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tyro.conf import FlagCreatePairsOff, UseAppendAction, arg

from polyspace import console
from polyspace.cli.health import disk, libraries, machine
from polyspace.cli.health.check import Check
from polyspace.cli.health.encoders import Encoders
from polyspace.config import Config
from polyspace.data.featurize import named_folder
from polyspace.errors import PrecisionError, UnknownNameError
from polyspace.models.backbones import golden, registry
from polyspace.precision import DeviceName, device_named


class Doctor(Config):
    """Check libraries, backbones, device and disk; exit 1 if extraction would go wrong."""

    backbones: tuple[str, ...] = ()
    """Which ones to load. Without: those whose weights are here; nothing is fetched either way."""
    weights: Annotated[tuple[str, ...], UseAppendAction] = ()
    """NAME=FOLDER of a backbone's weights; NAME=random-tiny for a trial."""
    frames: Annotated[int, Field(ge=1)] = 16
    """Frames of a clip, as for extraction; golden features belong to one count."""
    device: DeviceName = "auto"
    """Where backbones run; auto: cuda if there is one."""
    out: Path = Path("features")
    """Folder that feature stores will be in."""
    golden: Path | None = None
    """Compare with golden features that were recorded into this file, before those we know."""
    record: Path | None = None
    """Write down in this file what the backbones see, for others to compare with."""
    as_json: Annotated[bool, arg(name="json"), FlagCreatePairsOff] = False
    """Say it as one JSON object."""


def run(asked: Doctor) -> None:
    """Check one thing after the other, and say each as soon as it is known."""
    checks: list[Check] = []
    for check in examine(asked):
        checks.append(check)
        if not asked.as_json:
            console.say(str(check))
    counts = Counter(check.verdict for check in checks)
    if asked.as_json:
        console.say(json.dumps({**counts, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        console.say(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['error']} errors")
    if counts["error"]:
        sys.exit(1)


def examine(asked: Doctor) -> Iterator[Check]:
    """Check everything.

    Raises:
        ConfigError: An option is not understood, or a file of golden features can't be used.
    """
    encoders = _encoders(asked)
    yield from libraries.check()
    yield from machine.check(asked.device)
    yield from disk.check(asked.out)
    if encoders:
        yield from encoders.check()
        if asked.record:
            golden.record(asked.record, encoders.seen)
            yield Check("golden features", "ok", f"{len(encoders.seen)} written to {asked.record}")


def _encoders(asked: Doctor) -> Encoders | None:
    """Say which backbones to look at; none, where there is no device to run them on."""
    weights = dict(map(named_folder, asked.weights))
    for name in (*asked.backbones, *weights):
        if name not in registry.NAMES:
            raise UnknownNameError("backbone", name, registry.NAMES)
    own = golden.read(asked.golden) if asked.golden else ()
    known = {entry.key: entry for entry in (*golden.known(), *own)}
    try:
        device = device_named(asked.device)
    except PrecisionError:
        return None
    return Encoders(asked.backbones, weights, asked.frames, device, known)
