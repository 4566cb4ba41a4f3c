"""What each compute type costs and changes: steps a second, memory, score, logits.

python -m tests.benchmarks.precision_table --out docs/benchmarks/precision_training_cpu2_202611.md

A fusion is trained by the real command's function, in a process of its own for each type, one after
the other, on stored features that are made for it; converters are ridge regressions, the same for
all. Both what was trained in a type and what was trained in float32 is then evaluated in that type.
"""

import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyspace import precision
from polyspace.engine import checkpoint
from polyspace.engine.loop import Step
from polyspace.errors import PrecisionError
from polyspace.models.fusion import Distilled
from polyspace.train import train_converter, train_fusion
from polyspace.train.fusion_workload import predict, translated
from polyspace.train.sources import StoredClips
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.benchmarks.document import publish
from tests.support.stores import make_store

ROOT = Path(__file__).parents[2]
FLAGS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "tf32": {"use_tf32": True},
    "bf16": {"use_bf16": True},
    "fp16": {"use_amp": True},
}


@dataclass(frozen=True)
class Size:
    """How much is trained on."""

    clips: int
    student: tuple[int, int, int]
    """Time, space and dim."""
    teacher: tuple[int, int, int]
    batch: int
    epochs: int


SIZES = {
    "real": Size(512, (8, 4, 768), (8, 4, 1024), 32, 6),
    "tiny": Size(48, (2, 1, 8), (2, 1, 12), 8, 4),
}
CLASSES = 4
WARM = 5
"""First steps, which are not timed."""


def main() -> None:
    asked = _asked()
    if asked.child:
        _train(Path(asked.folder), asked.child, asked.device, SIZES[asked.size])
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(Path(folder), asked))
    text = _document(rows, asked)
    publish(text, asked.out)


def _asked() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="the document that is written")
    parser.add_argument("--size", choices=list(SIZES), default="real")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--types", nargs="+", choices=list(FLAGS), default=list(FLAGS))
    parser.add_argument("--child", help="used by the script itself", default="")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


def _rows(folder: Path, asked: Namespace) -> Iterator[dict[str, Any]]:
    """Train and evaluate in each type that the device has."""
    size = SIZES[asked.size]
    for split, clips in (("train", size.clips), ("test", size.clips // 2)):
        make_store(
            folder,
            split,
            clips=clips,
            classes=CLASSES,
            groups=clips // 4,
            student=("stu", *size.student),
            teachers={"teach": size.teacher},
        )
    config = ConverterConfig(
        features=folder, teachers=("teach",), kind="ridge", reach=0, save_dir=folder / "converters"
    )
    for _ in train_converter.run(config):
        pass
    names = [name for name in asked.types if _available(name, asked.device)]
    rounds = [{name: _child(folder, name, asked) for name in names} for _ in range(asked.rounds)]
    for name in names:
        speeds = [found[name]["steps_per_second"] for found in rounds]
        ratios = [found[name]["steps_per_second"] / _first(found) for found in rounds]
        speed, ratio = statistics.median(speeds), statistics.median(ratios)
        yield {
            **rounds[-1][name],
            "steps_per_second": speed,
            "ratio": f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        }


def _first(found: dict[str, Any]) -> float:
    return next(iter(found.values()))["steps_per_second"]


def _available(name: str, device: precision.DeviceName) -> bool:
    try:
        tf32 = FLAGS[name].get("use_tf32", False)
        precision.resolve("fp32", precision.device_named(device), tf32=tf32)
    except PrecisionError:
        return False
    return True


def _child(folder: Path, name: str, asked: Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.precision_table", "--child", name]
    command += ["--folder", str(folder), "--size", asked.size, "--device", asked.device]
    subprocess.run(command, cwd=ROOT, check=True)
    return json.loads((folder / f"{name}.json").read_text())


def _train(folder: Path, name: str, device: precision.DeviceName, size: Size) -> None:
    """Train and evaluate in one type; leave what was measured in the folder."""
    config = FusionConfig(
        dataset="toy",
        root=folder,
        student="stu",
        teachers=("teach",),
        converters=folder / "converters" / "converters.pt",
        classes=CLASSES,
        use_cached_features=True,
        epochs=size.epochs,
        batch=size.batch,
        device=device,
        save_dir=folder / name,
        **FLAGS[name],
    )
    types, where = config.types(), precision.device_named(device)
    seconds, before, skipped = list[float](), 0, 0
    last, begun = Step(0, 0, 0, {}, 0.0, skipped=False), time.perf_counter()
    for step in train_fusion.run(config):
        assert isinstance(step, Step)  # videos, of which there are none, would say other things
        now = time.perf_counter()
        if not step.done:
            before = _resident()
        if step.done > WARM and not step.scores and not last.scores:
            seconds.append(now - begun)
        skipped += step.skipped
        last, begun = step, time.perf_counter()
    peak = _peak(where) - (0 if where.type == "cuda" else before)
    own = _logits(folder, name, types, where)
    np.save(folder / f"{name}.npy", own)
    exact = np.load(folder / "fp32.npy")
    labels = StoredClips.find(folder, dataset="toy", split="test", device=where).labels
    found = {
        "name": name,
        "steps_per_second": 1 / statistics.median(seconds),
        "steps": last.total,
        "skipped": skipped,
        "peak_bytes": peak,
        "top1": float((own.argmax(1) == labels).mean()),
        "trained": float(np.abs(own - exact).max()),
        "evaluated": float(np.abs(_logits(folder, "fp32", types, where) - exact).max()),
        "largest": float(np.abs(exact).max()),
    }
    (folder / f"{name}.json").write_text(json.dumps(found))


def _logits(
    folder: Path, trained: str, types: precision.Precision, device: torch.device
) -> np.ndarray:
    """Evaluate what was trained in one type, in another."""
    records = (
        checkpoint.load(folder / "converters" / "converters.pt", "converters"),
        checkpoint.load(folder / trained / "fusion.pt", "fusion"),
    )
    model = Distilled.from_records(*records).to(device)
    clips = StoredClips.find(folder, dataset="toy", split="test", device=device)
    rows = clips.rows(("stu",))
    types.settle(device)
    with types.autocast(device):
        logits: Tensor = predict(
            model.fusion, translated(clips, model.translator), rows, batch=32
        ).logits
    return logits.numpy()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _document(rows: list[dict[str, Any]], asked: Namespace) -> str:
    """Write the table down, with all that it takes to read it."""
    device, size = precision.device_named(asked.device), SIZES[asked.size]
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    lines = [
        f"| {row['name']} | {row['steps_per_second']:.1f} "
        f"| {row['ratio']} "
        f"| {row['peak_bytes'] / 2**20:.0f} | {row['skipped']} of {row['steps']} "
        f"| {row['top1']:.3f} | {row['evaluated']:.1e} | {row['trained']:.1e} |"
        for row in rows
    ]
    head = (
        "| compute | steps/s | to the first | peak MiB | steps skipped | test top-1 "
        "| logits, evaluated in it | logits, trained and evaluated in it |"
    )
    trained = (
        f"A fusion of student {size.student} with one teacher {size.teacher} (time space dim),\n"
        f"{size.clips} clips, batches of {size.batch}, {size.epochs} epochs, the best of which on "
        f"the hold-out is taken."
    )
    table = "\n".join([head, "|---|---|---|---|---|---|---|---|", *lines])
    return f"""# Training in each compute type, {datetime.now(UTC):%B %Y}

Command: `python -m tests.benchmarks.precision_table`. {device.type} ({what or platform.machine()}),
threads: {torch.get_num_threads()}, torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d},
{asked.rounds} rounds of all types, one after the other; other work beside them.
{trained}

{table}

Steps are timed one by one without those that end an epoch; medians of steps and
rounds; the ratio is taken within a round (smallest to largest). Peak: on a GPU, what
torch allocated; on a CPU, the process's largest resident size above its size at the first step.
Logits: largest difference on the test split from those of the float32 model in float32, whose
largest is {rows[0]["largest"]:.1f}; "evaluated" takes the float32 model's weights, "trained" those
of a model trained in the type.
"""


if __name__ == "__main__":
    main()
