"""How fast training reads: beside a batch in memory, beside videos, in each number type, and N.

python -m tests.benchmarks.training_speed --out docs/benchmarks/training_speed_cpu2_202611.md

Stores and videos are made by the script. What is compared takes turns, and ratios are taken within
a round. What concerns whole commands runs the commands' own functions.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from tests.benchmarks import speed_beside_videos, speed_of_runs, speed_of_steps
from tests.benchmarks.document import machine, publish
from tests.benchmarks.speed_common import GRIDS

PARTS = {
    "steps": speed_of_steps.section,
    "videos": speed_beside_videos.section,
    "runs": speed_of_runs.section,
}


def main() -> None:
    asked = _asked()
    before = _load()
    sections = list[str]()
    for part in asked.only:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            sections.append(PARTS[part](Path(folder), asked))
    text = _document(sections, asked, before)
    publish(text, asked.out)


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grids", nargs="+", choices=list(GRIDS), default=list(GRIDS))
    parser.add_argument("--clips", type=int, default=640, help="of a store whose steps are timed")
    parser.add_argument("--seconds", type=float, default=1.5, help="that a block of steps takes")
    parser.add_argument("--videos", type=int, default=96, help="where the student is tiny")
    parser.add_argument("--base-videos", type=int, default=24, help="with a base-size one; 0: none")
    parser.add_argument("--epochs", type=int, default=10, help="of video mode")
    parser.add_argument("--many", type=int, default=speed_of_runs.UCF101, help="clips of 1 x 1")
    parser.add_argument("--grid-clips", type=int, default=480, help="N of the runs over 8 x 4")
    parser.add_argument("--out", type=Path, help="the document")
    parser.add_argument("--folder", help="where to work; None: the system's")
    return parser.parse_args()


def _document(sections: Sequence[str], asked: Namespace, before: str) -> str:
    """Join the sections under a head that says how, where and with what."""
    today, waits = datetime.now(UTC), os.environ.get("OMP_WAIT_POLICY", "not set")
    known = Path("/proc/cpuinfo").read_text()
    types = [name for name in ("amx_bf16", "avx512_bf16") if name in known]
    return f"""# The speed of training, {today:%B %Y}

Command: `{_command()}`. {today:%Y-%m-%d}; {machine()}
({", ".join(types) or "no bfloat16 instructions"}), torch {version("torch")}, numpy
{version("numpy")}; {torch.get_num_threads()} torch threads, OMP_WAIT_POLICY {waits}. Load over 1, 5
and 15 minutes {before} at the beginning, {_load()} at the end. {asked.rounds} rounds; ratios are
paired within a round: median [lowest, highest].

{chr(10).join(sections)}"""


def _command() -> str:
    """Give the command without the places that are this machine's own."""
    words, skip = ["python -m tests.benchmarks.training_speed"], False
    for word in sys.argv[1:]:
        skip = word in ("--out", "--folder") or (skip and not word.startswith("--"))
        words += [] if skip else [word]
    return " ".join(words)


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    main()
