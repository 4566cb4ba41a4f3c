"""Bundles of which a bit is flipped, or a file cut short or deleted: none of them opens."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from polyspace.errors import CheckpointError, ExportError
from polyspace.export import bundle
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import FormatName
from polyspace.export.loading import open_bundle
from tests.support.exported import Exportable, exportable
from tests.support.stages import finish
from tests.torture.damage import Damage, cut, damaged, delete, flip
from tests.torture.outcome import Outcome, Scale

PROMISE = "bundles with a flipped bit, a file cut short or gone: every one is refused in one line"
CPU = torch.device("cpu")


@dataclass
class _Seen:
    """What became of all damages so far."""

    tried: Counter[str] = field(default_factory=Counter[str])
    """By kind of damage."""
    formats: Counter[str] = field(default_factory=Counter[str])
    """By format."""
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Export for real in every format, then damage one file at a time and try to open."""
    started, seen, draw = time.monotonic(), _Seen(), random.Random(0)
    source = exportable(folder / "source")
    there: list[FormatName] = [name for name in scale.bundle_formats if _can_be_made(name)]
    out = folder / "bundles"
    made: dict[FormatName, Path] = {name: _export(source, out, name) for name in there}
    for share, (name, path) in enumerate(made.items()):
        open_bundle(path, CPU)
        for kind, file, damage in _damages(scale, path, draw, share, len(made)):
            seen.tried[kind] += 1
            seen.formats[name] += 1
            with damaged(file, damage):
                seen.failures += _judge(path, f"{name}: {kind} in {file.name}")
        open_bundle(path, CPU)
    tried = ", ".join(f"{count:,} {kind}" for kind, count in seen.tried.items())
    formats = ", ".join(f"{count:,} of {name}" for name, count in seen.formats.items())
    absent = sorted(set(scale.bundle_formats) - set(there))
    details = (
        f"{tried}, over every file of bundles that were exported and proved ({formats}); size, "
        f"inode and mtime kept where they could be; each opened before and after"
        + (f"; not installed: {', '.join(absent)}" if absent else "")
    )
    seconds = time.monotonic() - started
    return Outcome(PROMISE, seen.tried.total(), tuple(seen.failures), seconds, details)


def _can_be_made(name: FormatName) -> bool:
    try:
        kinds.of(name)
    except ExportError:
        return False
    return True


def _export(source: Exportable, out: Path, name: FormatName) -> Path:
    """Export a model; what its weights are is no matter here, so any difference is allowed."""
    config = source.config(out, threshold_points=100, threshold_agreement=0)
    return finish(bundle.run(config, name))


def _damages(
    scale: Scale, path: Path, draw: random.Random, share: int, shares: int
) -> Iterator[tuple[str, Path, Damage]]:
    """Give one bundle's share of the damages; each file gets its part, whatever its size."""
    files = sorted(path.iterdir())
    for kind, wanted, make in (
        ("one-bit flips", scale.bundle_flips, flip),
        ("files cut short", scale.bundle_cuts, cut),
        ("files deleted", len(files) * shares, delete),
    ):
        for number in range(share, wanted, shares):
            turn, place = divmod(number // shares, len(files))
            yield kind, files[place], make(files[place].read_bytes(), draw, turn)


def _judge(path: Path, name: str) -> Iterator[str]:
    """Say what is wrong with how a damaged bundle is refused, if anything is."""
    try:
        open_bundle(path, CPU)
    except CheckpointError as error:
        if "\n" in str(error):
            yield f"{name}: more than a line: {error}"
    except Exception as error:
        yield f"{name}: {type(error).__name__}: {error}"
    else:
        yield f"{name}: nobody noticed"
