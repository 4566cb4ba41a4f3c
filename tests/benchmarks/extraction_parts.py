"""Extraction beside its parts: decoding alone, the backbones alone, and memory over many clips.

python -m tests.benchmarks.extraction_parts --out docs/benchmarks/extraction_cpu2_202611.md

In each round everything is measured once, one after the other, on the same clips; ratios are taken
within a round. Clips are made by the script: 320 x 240, 3 s, H.264, a texture that moves, noise.
"""

import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from polyspace.data.clips import Clip, DecodedClip, Manifest
from polyspace.data.encode import Setup, array_spec, encode, feed
from polyspace.data.extraction import Target, extract
from polyspace.data.pipeline import request
from polyspace.data.prefetch import decode_all
from polyspace.data.sampling import union
from polyspace.data.views import View
from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Backbone
from polyspace.precision import resolve
from tests.benchmarks.document import machine, publish, spread
from tests.support.videos import moving, write_video

CPU = torch.device("cpu")
FRAMES = 16
TINY = {name: "random-tiny" for name in ("vjepa2", "videomae", "timesformer", "vivit")}
FILES = 24
"""Different files; larger data sets list them again under other names."""


def main() -> None:
    asked = _asked()
    if asked.memory:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(json.dumps(_memory(Path(folder), asked.memory)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        lines = _lines(Path(folder), asked)
    text = _document(lines, asked)
    publish(text, asked.out)


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=96, help="where backbones are tiny")
    parser.add_argument("--base-clips", type=int, default=6, help="with a base-size one; 0: none")
    parser.add_argument("--many", type=int, default=10_000, help="clips for memory; 0: not")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="the document")
    parser.add_argument("--folder", help="where to work; None: the system's")
    parser.add_argument("--memory", type=int, default=0, help="measure memory alone, as JSON")
    return parser.parse_args()


def _lines(folder: Path, asked: Namespace) -> list[str]:
    """Measure everything; give a line of the table each."""
    manifest = make_clips(folder / "videos", asked.clips)
    tiny = _load(("videomae",), TINY)
    setup = Setup(CPU, resolve("fp32", CPU), "2", batch=4, processes=2)
    four = _load(tuple(TINY), TINY)
    lines = [
        _parts("one tiny backbone (videomae)", manifest, tiny, setup, folder, asked.rounds),
        _parts("four tiny backbones", manifest, four, setup, folder, asked.rounds),
    ]
    if asked.base_clips:
        few = replace(manifest, clips=manifest.clips[: asked.base_clips])
        base = _load(("videomae",), {"videomae": str(_base_videomae(folder / "base"))})
        own = replace(setup, batch=1)
        lines.append(_parts("one base-size backbone (86 M)", few, base, own, folder, asked.rounds))
    lines.append(_one_decode_for_all(manifest, _load(("vjepa2",), TINY), four, setup, asked.rounds))
    lines.append(_two_processes(manifest, tiny, setup, asked.rounds))
    return [*lines, *([_memory_line(asked.many)] if asked.many else [])]


def make_clips(
    root: Path, count: int, *, frames: int = 75, width: int = 320, height: int = 240
) -> Manifest:
    """Write `FILES` videos, and list them as often as it takes."""
    noise = np.random.default_rng(0)
    for number in range(min(FILES, count)):
        right, down = number % 5 + 1, number % 3
        film = moving(frames, right=right, down=down, width=width, height=height, seed=number)
        grain = noise.integers(-6, 7, film.shape, dtype=np.int16)
        grainy = np.clip(film + grain, 0, 255).astype(np.uint8)
        write_video(root / f"{number:02d}.mp4", grainy, options={"g": "250", "threads": "1"})
    clips = [Clip(f"{n:05d}", f"{n % FILES:02d}.mp4", n % 2, f"g{n}") for n in range(count)]
    return Manifest("made", "train", root, ("a", "b"), tuple(clips))


def _load(names: Sequence[str], weights: dict[str, str]) -> list[Backbone]:
    return [registry.load(n, weights=weights, frames=FRAMES, device=CPU) for n in names]


def _base_videomae(folder: Path) -> Path:
    """Write VideoMAE-Base with random weights: its size and speed are those of trained ones."""
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig()).save_pretrained(folder)
    return folder


def _parts(
    what: str,
    manifest: Manifest,
    backbones: Sequence[Backbone],
    setup: Setup,
    folder: Path,
    rounds: int,
) -> str:
    """Measure extraction against the slower of its parts."""
    clips = list(_decoding(manifest, backbones, setup))
    inputs = [
        [(b, feed(b, clips[start : start + setup.batch])) for b in backbones]
        for start in range(0, len(clips), setup.batch)
    ]

    def see() -> None:
        for batch in inputs:
            for backbone, given in batch:
                encode(backbone, given, setup)

    ratios, decodes, sees, wholes = [], [], [], []
    for _ in range(rounds):
        decodes.append(_seconds(lambda: sum(1 for _ in _decoding(manifest, backbones, setup))))
        sees.append(_seconds(see))
        with tempfile.TemporaryDirectory(dir=folder) as out:
            store = Path(out) / "a.zarr"
            wholes.append(_seconds(lambda store=store: _extract(manifest, backbones, setup, store)))
        ratios.append(wholes[-1] / max(decodes[-1], sees[-1]))
    rate = len(manifest.clips) / statistics.median(wholes)
    parts = (
        f"decode alone {_middle(decodes)} s, backbones alone {_middle(sees)} s, "
        f"extraction {_middle(wholes)} s ({rate:.1f} clips/s)"
    )
    return (
        f"| extraction / the slower of its parts, {what} | <= 1.05 | {spread(ratios)} | {parts} |"
    )


def _one_decode_for_all(
    manifest: Manifest,
    one: Sequence[Backbone],
    four: Sequence[Backbone],
    setup: Setup,
    rounds: int,
) -> str:
    ratios = [_decode(manifest, four, setup) / _decode(manifest, one, setup) for _ in range(rounds)]
    words = f"{_frames(four)} frames of a clip for the four, {_frames(one)} for {one[0].name} alone"
    return f"| decoding for four backbones / for one | <= 1.1 | {spread(ratios)} | {words} |"


def _two_processes(
    manifest: Manifest, backbones: Sequence[Backbone], setup: Setup, rounds: int
) -> str:
    one, two = (replace(setup, processes=processes) for processes in (1, 2))
    ratios = [
        _decode(manifest, backbones, one) / _decode(manifest, backbones, two) for _ in range(rounds)
    ]
    return (
        f"| two decoding processes / one | >= 1.8 | {spread(ratios)} | "
        f"from the first clip to the last, so without the start of the processes |"
    )


def _memory_line(many: int) -> str:
    """Measure in a process of its own, whose memory nobody has used before."""
    import subprocess

    command = [sys.executable, "-m", "tests.benchmarks.extraction_parts", "--memory", str(many)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    grown = found["last"] / found["first"]
    return (
        f"| resident memory after {many} clips / after {found['after']} | flat | {grown:.3f} | "
        f"{found['first']:.0f} MiB, then {found['last']:.0f} MiB, the decoding processes included; "
        f"{found['rate']:.0f} clips/s |"
    )


def _memory(folder: Path, many: int) -> dict[str, float]:
    """Extract many clips; say what all processes hold at a tenth of the way, and at the end."""
    manifest = make_clips(folder / "videos", many, frames=20, width=160, height=128)
    backbones = _load(("videomae",), TINY)
    setup = Setup(CPU, resolve("fp32", CPU), "1", batch=8, processes=2)
    specs = [array_spec(b, role="student", setup=setup) for b in backbones]
    target, held = Target("train", folder / "a.zarr", 100), list[tuple[int, float]]()
    started = perf_counter()
    for state in extract(manifest, specs, backbones, setup, target):
        if not held or state.done - held[-1][0] >= many // 20:
            held.append((state.done, _resident_mib()))
    first = next(entry for entry in held if entry[0] >= many // 10)
    rate = many / (perf_counter() - started)
    return {"after": first[0], "first": first[1], "last": held[-1][1], "rate": rate}


def _resident_mib() -> float:
    """Sum up what this process and its decoding ones hold, shared pages counted once each."""
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children() if child.pid)]
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def _decoding(
    manifest: Manifest, backbones: Sequence[Backbone], setup: Setup
) -> Iterator[DecodedClip]:
    """Decode everything, as extraction would."""
    requests = (request(clip, backbones, setup) for clip in manifest.clips)
    ahead = setup.processes + setup.batch
    for clip in decode_all(manifest.root, requests, processes=setup.processes, ahead=ahead):
        assert isinstance(clip, DecodedClip)
        yield clip


def _decode(manifest: Manifest, backbones: Sequence[Backbone], setup: Setup) -> float:
    """Decode everything and keep nothing; give the seconds from the first clip to the last."""
    clips = _decoding(manifest, backbones, setup)
    next(clips)
    return _seconds(lambda: sum(1 for _ in clips))


def _extract(manifest: Manifest, backbones: Sequence[Backbone], setup: Setup, store: Path) -> None:
    specs = [array_spec(b, role="teacher", setup=setup) for b in backbones]
    for _ in extract(manifest, specs, backbones, setup, Target("train", store)):
        pass


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _frames(backbones: Sequence[Backbone]) -> int:
    """Count the frames that some backbones want of a clip of 75."""
    seconds = np.arange(75) / 25
    return len(union(seconds, [View(0.0, seconds[-1])], {b.inputs.frames for b in backbones}))


def _middle(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _document(lines: Sequence[str], asked: Namespace) -> str:
    today = datetime.now(UTC)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "av", "transformers"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = "\n".join(lines)
    return f"""# Extraction beside its parts, {today:%B %Y}

Command: `python -m tests.benchmarks.extraction_parts`. {today:%Y-%m-%d}; {machine()};
{packages}, {torch.get_num_threads()} torch threads, two decoding processes.
{asked.rounds} rounds; ratios are paired within a round: median [lowest, highest].
{asked.clips} clips of 3 s, 320 x 240, H.264; float32. Peak memory of the benchmark: {peak:.0f} MiB.

| what | goal | measured | of that |
|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
