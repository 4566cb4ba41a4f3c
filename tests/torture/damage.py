"""Bytes that change, files that are cut short or vanish: none of it goes unnoticed."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy import ndarray

from polyspace.errors import PolySpaceError
from polyspace.models.normalizers import Statistics
from polyspace.store import gc, statistics
from polyspace.store.layout import AXES
from polyspace.store.reader import FeatureStore
from polyspace.store.repair import repair
from polyspace.store.verified import Remembered
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import Specimen, problems

PROMISE = "bits flipped, files cut short or deleted: each is named, none is read"

Damage = Callable[[bytes], bytes | None]
Values = Mapping[tuple[str, str], ndarray]


@dataclass
class _Seen:
    """What became of all damages so far."""

    tried: Counter[str] = field(default_factory=Counter[str])
    """By kind."""
    noticed: Counter[str] = field(default_factory=Counter[str])
    """By who named it first."""
    foreign: int = 0
    """Errors that are not PolySpace's own."""
    failures: list[str] = field(default_factory=list[str])


def run(scale: Scale, folder: Path) -> Outcome:
    """Damage one file at a time, look who says so, and put it back."""
    started, seen, draw = time.monotonic(), _Seen(), random.Random(0)
    specimens = [
        Specimen(clips=11, compression=compression, term_seconds=0.5)
        for compression in ("none", "zstd")
    ]
    stores = [_grown(s, folder / f"{s.compression}.zarr") for s in specimens]
    for share, path in enumerate(stores):
        truth = _values(path)
        for kind, file, damage in _damages(scale, path, draw, share, len(stores)):
            seen.tried[kind] += 1
            name = f"{path.name}: {kind} in {file.relative_to(path)}"
            with damaged(file, damage):
                _judge(path, truth, file.relative_to(path).parts[0], name, seen)
            if file.parts[-3] in AXES:
                # As if it had just been read and found good: only its change time can tell.
                Remembered(path).add([file.relative_to(path).as_posix()])
        _compare(truth, _values(path), f"{path.name}, put back", seen)
        seen.failures += problems(path)
    tried = ", ".join(f"{count:,} {kind}" for kind, count in seen.tried.items())
    noticed = ", ".join(f"{count:,} by {who}" for who, count in seen.noticed.items())
    details = (
        f"{tried}, over every file of {len(stores)} stores (raw, zstd); all with size, inode and "
        f"mtime kept where they could be; named first: {noticed}; {seen.foreign} errors of others"
    )
    total, seconds = seen.tried.total(), time.monotonic() - started
    return Outcome(PROMISE, total, tuple(seen.failures), seconds, details)


def _grown(specimen: Specimen, path: Path) -> Path:
    """Make a store as it comes about: by several writers, repaired, with an added backbone."""
    student = Specimen(specimen.clips, specimen.compression, ("student",), specimen.term_seconds)
    student.write(path, [0, 1])
    student.write(path)
    with next(path.glob("tokens/student/c.1.*")).open("r+b") as file:
        file.write(b"\xff")
    list(repair(path))
    specimen.write(path)
    list(statistics.measure(path))
    gc.collect(path)
    return path


def _damages(
    scale: Scale, path: Path, draw: random.Random, share: int, shares: int
) -> Iterator[tuple[str, Path, Damage]]:
    """Give one store's share of the damages; each file gets its part, whatever its size."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    for kind, wanted, make in (
        ("one-bit flips", scale.flips, flip),
        ("files cut short", scale.truncations, cut),
        ("files deleted", scale.deletions, delete),
    ):
        for number in range(share, wanted, shares):
            file = files[number // shares % len(files)]
            yield kind, file, make(file.read_bytes(), draw, number // shares // len(files))


def flip(content: bytes, draw: random.Random, turn: int) -> Damage:
    """Flip each bit of the last byte first, then any."""
    place = len(content) - 1 if turn < 8 else draw.randrange(len(content))
    bit = turn if turn < 8 else draw.randrange(8)
    return lambda good: good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]


def cut(content: bytes, draw: random.Random, turn: int) -> Damage:
    """Cut to nothing first, then by a byte, then by each of the last lines, then anywhere."""
    lines = content[:-1].split(b"\n")
    ends = [0, len(content) - 1]
    ends += [sum(len(line) + 1 for line in lines[:count]) for count in range(len(lines))][::-1]
    end = ends[turn] if turn < len(ends) else draw.randrange(len(content))
    return lambda good: good[:end]


def delete(content: bytes, draw: random.Random, turn: int) -> Damage:
    """Delete the file."""
    return lambda good: None


@contextmanager
def damaged(file: Path, damage: Damage) -> Generator[None]:
    """Damage a file for a while; its inode and time of modification stay as they were."""
    good, before = file.read_bytes(), file.stat()
    bad = damage(good)
    assert bad != good
    _put(file, bad, before)
    try:
        yield
    finally:
        _put(file, good, before)


def _put(file: Path, content: bytes | None, before: os.stat_result) -> None:
    if content is None:
        file.unlink()
        return
    with file.open("r+b" if file.exists() else "wb") as handle:
        handle.write(content)
        handle.truncate()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _judge(path: Path, truth: Values, part: str, name: str, seen: _Seen) -> None:
    """Find who notices a damage first; and if nobody does, or if damaged values are read."""
    judges: dict[str, Callable[[], bool]] = {"open": lambda: bool(FeatureStore.open(path))}
    if part in AXES:
        judges["read"] = lambda: not _compare(truth, _values(path), name, seen)
    if part == statistics.FOLDER:
        judges["read"] = lambda: bool(_statistics(path))
    judges["verify"] = lambda: not problems(path)
    for who, finds_nothing in judges.items():
        try:
            if finds_nothing():
                continue
        except PolySpaceError:
            pass
        except Exception as error:
            seen.foreign += 1
            seen.failures.append(f"{name}: {who} says {type(error).__name__}: {error}")
        seen.noticed[who] += 1
        return
    seen.failures.append(f"{name}: nobody noticed")


def _compare(truth: Values, found: Values, name: str, seen: _Seen) -> bool:
    """Tell whether something else was read than was written."""
    wrong = [where for where, values in truth.items() if not np.array_equal(values, found[where])]
    seen.failures += [f"{name}: {where} is read wrong" for where in wrong]
    return bool(wrong)


def _statistics(path: Path) -> list[Statistics]:
    store = FeatureStore.open(path)
    return [statistics.load(store, name) for name in store.backbones]


def _values(path: Path) -> Values:
    """Read everything as trainings do."""
    store = FeatureStore.open(path)
    return {
        (name, part): store.stored(name, store.rows([name]), part=part).numpy()
        for name, spec in store.backbones.items()
        for part in spec.parts
    }
