"""Videos with bytes changed at random: whatever comes of a file, it costs that clip alone."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from polyspace.data.clips import DecodedClip, Request
from polyspace.data.prefetch import Decoded, decode_all
from tests.support.clips import ask
from tests.support.videos import moving, numbered, write_video
from tests.torture.outcome import Outcome, Scale

PROMISE = "videos changed at random: each is decoded or refused by itself, whoever reads it lives"
FILES_AT_A_TIME = 200
"""On disk, and overwritten."""
CUT = 0.15
"""Share of files that are cut off, too."""
SECONDS = 10.0
"""What one file may take at most."""


def run(scale: Scale, folder: Path) -> Outcome:
    """Change good files, decode them as extraction does, and count what comes of them."""
    started, seen = perf_counter(), Counter[str]()
    slowest, failures = 0.0, list[str]()
    draw, root = random.Random(0), folder / "videos"
    sources = _sources(folder / "good")
    before = perf_counter()
    decoded = decode_all(
        root, _requests(root, sources, scale.mutations, draw), processes=2, ahead=8
    )
    for number, result in enumerate(decoded):
        seen[_kind(result)] += 1
        slowest, before = max(slowest, perf_counter() - before), perf_counter()
        failures += _wrong(number, result)
    if sum(seen.values()) != scale.mutations:
        failures.append(f"{sum(seen.values())} results of {scale.mutations} files")
    if slowest > SECONDS:
        failures.append(f"a file took {slowest:.1f} s")
    counts = ", ".join(f"{count:,} {kind}" for kind, count in seen.most_common())
    details = f"{len(sources)} good files; {counts}; the slowest took {slowest:.2f} s"
    return Outcome(PROMISE, scale.mutations, tuple(failures), perf_counter() - started, details)


def _sources(folder: Path) -> list[Path]:
    """Write good files of every container and the commonest codecs."""
    film = moving(20, right=3, down=2)
    return [
        write_video(folder / "a.mp4", film, options={"bf": "2"}),
        write_video(folder / "b.mp4", numbered(20), codec="mpeg4"),
        write_video(folder / "c.avi", film, codec="mpeg4"),
        write_video(folder / "d.mkv", film),
        write_video(folder / "e.webm", film, codec="libvpx", options={"deadline": "realtime"}),
        write_video(folder / "f.ts", film),
    ]


def _requests(
    root: Path, sources: list[Path], count: int, draw: random.Random
) -> Iterator[Request]:
    """Write one changed file after the other, each just before it is asked for."""
    root.mkdir(parents=True)
    contents = [(source.suffix, source.read_bytes()) for source in sources]
    for number in range(count):
        suffix, content = draw.choice(contents)
        name = f"{number % FILES_AT_A_TIME}{suffix}"
        (root / name).write_bytes(_changed(bytearray(content), draw))
        yield ask(name, 4, motion_steps=draw.choice((None, None, 2)))


def _changed(content: bytearray, draw: random.Random) -> bytes:
    """Flip bits, overwrite, cut out, repeat or cut off; the head more often than the rest."""
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        reach = draw.choice((len(content), len(content), min(len(content), 400)))
        place = draw.randrange(max(reach, 1))
        match draw.randrange(5):
            case 0 | 1:
                content[place : place + 1] = bytes([draw.randrange(256)])
            case 2:
                content[place : place + 4] = draw.choice(
                    (b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff")
                )
            case 3:
                del content[place : place + draw.randrange(1, 64)]
            case _:
                content[place:place] = content[place : place + draw.randrange(1, 64)]
    end = draw.randrange(1, len(content)) if draw.random() < CUT else len(content)
    return bytes(content[:end])


def _kind(result: Decoded) -> str:
    return "decoded" if isinstance(result, DecodedClip) else f"refused as {result.reason}"


def _wrong(number: int, result: Decoded) -> list[str]:
    """Say what is wrong with a result: errors have one line, clips the frames that they claim."""
    if isinstance(result, DecodedClip):
        whole = len(result.frames) == len(result.seconds) and result.frames.ndim == 4
        return [] if whole else [f"file {number}: {len(result.frames)} frames"]
    return [f"file {number}: {str(result)!r}"] if "\n" in str(result) else []
