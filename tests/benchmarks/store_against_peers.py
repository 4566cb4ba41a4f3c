"""The store beside other formats: writing, opening, reading in order and shuffled, memory, bytes.

``make peers``, or with some of the formats:
python -m tests.benchmarks.store_against_peers --peers polyspace np.memmap --clips 2048

Every reading is paired: in each round a format and np.memmap read the same batches one after the
other, in alternating order, in a process of its own whose allocator keeps its pages (np.memmap's
fast mode). A pass that takes too long is cut, and its rate is that of what was read.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from tests.benchmarks.document import machine, publish, spread
from tests.benchmarks.peers import PEERS, Opened, Peer

BATCH = 256
TOKENS, DIM = 16, 768
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000"}
VERSIONS = (
    "torch",
    "numpy",
    "zarr",
    "zarrs",
    "tensorstore",
    "h5py",
    "mosaicml-streaming",
    "litdata",
    "pylance",
    "datasets",
    "webdataset",
)


def main() -> None:
    asked = _asked()
    if asked.child:
        measure = {"write": _written, "read": _read}[asked.phase]
        sys.stdout.write(json.dumps(measure(PEERS[asked.child], Path(asked.folder), asked)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        lines = [_line(PEERS[name], Path(folder), asked) for name in asked.peers]
    text = _document(lines, asked)
    publish(text, asked.out)


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=13_320)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--writes", type=int, default=3, help="rounds of writing")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one pass at most")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--out", type=Path, help="the document")
    parser.add_argument("--folder", help="where to work; None: the system's")
    parser.add_argument("--child", choices=tuple(PEERS), help="measure one, as JSON")
    parser.add_argument("--phase", choices=("write", "read"), help="of that one")
    return parser.parse_args()


def _line(peer: Peer, folder: Path, asked: Namespace) -> str:
    """Measure a format in processes of its own; give its line, or why there is none."""
    if not peer.installed:
        return f"| {peer.name} | not installed |" + " |" * 6
    place = folder / "of-one"
    place.mkdir()
    found = dict[str, Any]()
    try:
        for phase in ("write", "read"):
            found |= _in_child(peer, phase, place, asked)
    except subprocess.CalledProcessError as error:
        return f"| {peer.name} | failed: {error.stderr.strip().splitlines()[-1][:80]} |" + " |" * 6
    finally:
        shutil.rmtree(place)
    return _row(peer.name, found)


def _in_child(peer: Peer, phase: str, place: Path, asked: Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.store_against_peers"]
    command += ["--child", peer.name, "--phase", phase, f"--folder={place}"]
    command += [
        f"--{name}={getattr(asked, name)}" for name in ("clips", "rounds", "writes", "seconds")
    ]
    done = subprocess.run(
        command, env=os.environ | ALLOCATOR, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def _written(peer: Peer, folder: Path, asked: Namespace) -> dict[str, Any]:
    """Measure writing, and leave what was written."""
    draw = np.random.default_rng(0)
    tokens = draw.standard_normal((asked.clips, TOKENS, DIM), dtype=np.float32).astype(np.float16)
    found: dict[str, Any] = {"write": _writing(peer, folder, tokens, asked.writes, synced=True)}
    found["write_unsynced"] = _writing(peer, folder, tokens, asked.writes, synced=False)
    files = [file for file in (folder / "peer").rglob("*") if file.is_file()]
    found["files"] = len(files)
    found["bytes"] = sum(file.stat().st_size for file in files) / tokens.nbytes
    return found


def _read(peer: Peer, folder: Path, asked: Namespace) -> dict[str, Any]:
    """Measure all kinds of reading."""
    torch.set_num_threads(1)
    order, before = np.random.default_rng(0).permutation(asked.clips), _anonymous_mib()
    opening = [_opening(peer, folder / "peer", order) for _ in range(asked.rounds)]
    opened = peer.open(folder / "peer")
    _pass(opened, order, True, asked.seconds)
    found: dict[str, Any] = {"open_ms": opening, "anonymous_mib": _anonymous_mib() - before}
    base = PEERS["np.memmap"].open(folder / "base")
    for name, rows in (("sequential", np.arange(asked.clips)), ("shuffled", order)):
        _pass(base, rows, name == "shuffled", asked.seconds)
        found[name] = _paired(opened, base, rows, name == "shuffled", asked)
    return found


def _writing(peer: Peer, folder: Path, tokens: Any, rounds: int, *, synced: bool) -> list[float]:
    """Give the speed of writing as shares of np.save's, right before or after it."""
    shares, sync = list[float](), os.fsync
    for number in range(rounds):
        turns = [("peer", peer.write), ("base", PEERS["np.memmap"].write)]
        seconds = dict[str, float]()
        for name, write in turns if number % 2 else turns[::-1]:
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
            os.fsync = sync if synced else lambda handle: None
            started = perf_counter()
            write(folder / name, tokens)
            if synced:
                os.sync()
            seconds[name] = perf_counter() - started
            os.fsync = sync
        shares.append(seconds["base"] / seconds["peer"])
    return shares


def _opening(peer: Peer, folder: Path, order: Any) -> float:
    started = perf_counter()
    next(iter(peer.open(folder).batches(order[:BATCH], BATCH, shuffled=True)))
    return 1e3 * (perf_counter() - started)


def _paired(
    opened: Opened, base: Opened, rows: Any, shuffled: bool, asked: Namespace
) -> list[tuple[float, float]]:
    """Give the rates of a format and of np.memmap, round by round."""
    rates = list[tuple[float, float]]()
    for number in range(asked.rounds):
        turns = [opened, base] if number % 2 else [base, opened]
        found = [_pass(turn, rows, shuffled, asked.seconds) for turn in turns]
        rates.append((found[0], found[1]) if number % 2 else (found[1], found[0]))
    return rates


def _pass(opened: Opened, rows: Any, shuffled: bool, seconds: float) -> float:
    """Read all batches, or as many as time allows; give clips per second."""
    clips, started = 0, perf_counter()
    for _, batch in opened.batches(rows, BATCH, shuffled=shuffled):
        clips += len(batch)
        if perf_counter() - started > seconds:
            break
    return clips / (perf_counter() - started)


def _anonymous_mib() -> float:
    """Give this process' memory that is no file's."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) / 1024


def _row(name: str, found: dict[str, Any]) -> str:
    cells = [
        name,
        spread(found["write"]),
        spread(found["write_unsynced"]),
        f"{found['bytes']:.2f}, {found['files']}",
        f"{statistics.median(found['open_ms']):.0f}",
        *(
            f"{statistics.median(mine for mine, _ in found[kind]):,.0f}: "
            f"{spread([mine / base for mine, base in found[kind]])}"
            for kind in ("sequential", "shuffled")
        ),
        f"{max(0.0, found['anonymous_mib']):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _document(lines: Sequence[str], asked: Namespace) -> str:
    return "\n".join(
        (
            "# The feature store beside other formats",
            "",
            f"`make peers` ({asked.rounds} rounds, {asked.writes} of writing), "
            f"{datetime.now(UTC):%Y-%m-%d}. {asked.clips:,} clips of [{TOKENS}, {DIM}] float16, "
            f"batches of {BATCH}, one thread, warm page cache.",
            f"{machine()}; {_versions()}.",
            "",
            "Shares are of np.memmap's (reading) and np.save's (writing) speed in the same round: "
            "median and extremes. Written from memory; synced means until the disk has it. "
            "Anonymous memory is what opening and a shuffled pass took.",
            "",
            "| format | write, synced | write | bytes of raw, files | open to batch, ms "
            "| in order, clips/s: share | shuffled, clips/s: share | anonymous MiB |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "",
        )
    )


def _versions() -> str:
    found = list[str]()
    for name in VERSIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


if __name__ == "__main__":
    main()
