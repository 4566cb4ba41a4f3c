"""Every form in which a model leaves: size, time beside float32, loading, and agreement.

OMP_WAIT_POLICY=passive python -m tests.benchmarks.export_formats --model demo=runs/demo
    --out docs/benchmarks/NAME.md

A model's folder holds features, converters/converters.pt and fusion/fusion.pt, as the demo's does.
A wide model is trained on the first one's features, for a few epochs. Each format is exported and
compared as the command does, then timed in a fresh process in turns with the same model as torch
runs it in float32: medians of batches of 1, 4, 8 and 32 clips, and of their ratios, round by round.
"""

import json
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch

from polyspace.errors import ExportError
from polyspace.export import bundle
from polyspace.export.bundle import EVERYWHERE, ExportConfig
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import FormatName
from polyspace.export.proof import fresh
from polyspace.export.proof.jobs import Job, Result
from polyspace.export.proof.latency import BATCHES
from polyspace.precision import has_native_bfloat16
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import train_converter, train_fusion
from polyspace.train.cost.machine import processor
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.benchmarks.document import machine, publish
from tests.support.stages import finish

CPU = torch.device("cpu")
RATIOS: dict[str, float] = {"fp16": 0.505, "int8": 0.26}
"""Goals of the issue: bytes, of float32's."""
TIMES: dict[str, float] = {
    "fp16": 1.05,
    "bf16": 0.6,
    "onnx": 0.9,
    "onnx_int8": 0.35,
    "onnx_int8_static": 0.35,
}
"""Goals on a processor: time, of float32's."""
LOADING = 0.5
"""Goal: seconds beyond imports."""
POINTS: dict[str, float] = {"fp16": 0.1, "int8": 0.5}
"""Goals: top-1, up or down."""
SEED_SPEEDUPS = "1.81-2.15"
"""What the seed says of float16 on a GPU."""
Proof = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Something trained."""

    name: str
    folder: Path

    def config(self, out: Path, name: FormatName) -> ExportConfig:
        """Say how to export it: whatever differs is to be seen, not refused."""
        return ExportConfig(
            converters=self.folder / "converters" / "converters.pt",
            fusion=self.folder / "fusion" / "fusion.pt",
            features=self.folder / "features",
            formats=(name,),
            out=out,
            measure=False,
            threshold_points=100.0,
            threshold_agreement=0.0,
            device="cpu",
        )


@dataclass(frozen=True)
class Row:
    """One format of one model, on one device."""

    name: FormatName
    proof: Proof
    timed: Result
    loaded: Result
    """Of the export itself."""


def main() -> None:
    asked = parse()
    with tempfile.TemporaryDirectory() as folder:
        publish(document(asked, Path(folder)), asked.out)


def parse(argv: Sequence[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument("--formats", nargs="+", choices=get_args(FormatName), default=EVERYWHERE)
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2))
    parser.add_argument("--wide", type=int, default=1536, help="width of the wide model; 0: none")
    parser.add_argument("--epochs", type=int, default=3, help="of the wide model")
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args(argv)


def document(asked: Namespace, scratch: Path) -> str:
    """Export, prove and time everything; give the document."""
    models = [Model(name, Path(at)) for name, at in (given.split("=", 1) for given in asked.model)]
    if asked.wide:
        models.append(widened(models[0], scratch / "wide", asked.wide, asked.epochs))
    parts = [part for model in models for part in _of_model(model, asked, scratch / model.name)]
    return "\n".join((*_head(asked), *parts, ""))


def widened(model: Model, folder: Path, hidden: int, epochs: int) -> Model:
    """Train a wide model on another one's features."""
    store = FeatureStore.open(find_store(model.folder / "features", None, "train"))
    student = next(n for n, spec in store.backbones.items() if spec.role == "student")
    shared = {
        "student": student,
        "teachers": tuple(name for name in store.backbones if name != student),
        "epochs": epochs,
        "device": "cpu",
    }
    converters = finish(
        train_converter.run(
            ConverterConfig.model_validate(
                shared
                | {"features": store.path, "hidden": hidden, "save_dir": folder / "converters"}
            )
        )
    )
    finish(
        train_fusion.run(
            FusionConfig.model_validate(
                shared
                | {
                    "dataset": store.dataset,
                    "root": store.path.parent,
                    "use_cached_features": True,
                    "converters": converters,
                    "classes": len(store.class_names),
                    "rank": max(4, hidden // 6),
                    "save_dir": folder / "fusion",
                }
            )
        )
    )
    (folder / "features").symlink_to((model.folder / "features").absolute())
    return Model(f"wide ({hidden})", folder)


def _of_model(model: Model, asked: Namespace, out: Path) -> Iterator[str]:
    """Write what there is to say of a model."""
    made, refused = dict[FormatName, Path](), list[str]()
    formats: tuple[FormatName, ...] = tuple(asked.formats)
    wanted: tuple[FormatName, ...] = ("fp32", *(name for name in formats if name != "fp32"))
    for name in wanted:
        try:
            made[name] = finish(bundle.run(model.config(out, name), name))
        except ExportError as error:
            refused.append(f"{name}: {error}")
    first = _proof(made["fp32"])
    yield (
        f"## {model.name}: {first['float32_bytes'] / 1e6:.1f} MB in float32, {first['dataset']}, "
        f"{first['clips']} clips of {first['groups']} groups, top-1 "
        f"{first['top1_source']['value']:.1%}"
    )
    for threads in asked.threads:
        rows = [_row(model, name, made, "cpu", threads) for name in made]
        yield f"\n{processor(CPU)}, {threads} thread{'s' * (threads > 1)}:\n"
        yield from _table(rows)
    if torch.cuda.is_available():
        weights: list[FormatName] = [name for name in made if kinds.MODULES[name] == "weights"]
        rows = [_row(model, name, made, "cuda", 1) for name in weights]
        yield (
            f"\n{processor(torch.device('cuda'))} (the seed says of fp16 that it is "
            f"{SEED_SPEEDUPS} x as fast, a ratio of 0.47-0.55):\n"
        )
        yield from _table(rows)
    yield from (f"\nNot made: {line}" for line in refused)


def _row(
    model: Model, name: FormatName, made: dict[FormatName, Path], device: str, threads: int
) -> Row:
    """Time a format beside float32, and its loading by itself."""
    config = model.config(made[name].parent, name)
    alone = Job(
        bundle=made[name].absolute(),
        store=find_store(config.features, config.dataset, config.split).absolute(),
        entry="tokens",
        device=device,
        threads=threads,
        measure=True,
    )
    pair = alone.model_copy(
        update={"bundle": made["fp32"].absolute(), "beside": made[name].absolute()}
    )
    return Row(name, _proof(made[name]), fresh.time(pair), fresh.answer(alone)[0])


def _table(rows: Sequence[Row]) -> Iterator[str]:
    batches = " | ".join(f"batch {batch}" for batch in BATCHES)
    yield f"| format | computes in | bytes | {batches} | load, s | memory, MB | top-1 | agreement |"
    yield "|---" * (7 + len(BATCHES)) + "|"
    for row in rows:
        yield f"| {' | '.join(_cells(row))} |"


def _cells(row: Row) -> Iterator[str]:
    proof, name = row.proof, row.name
    yield name
    yield row.loaded.compute
    yield _judged(f"{proof['ratio']:.3f}", proof["ratio"], RATIOS.get(name))
    for latency in row.timed.latency:
        ratio = latency.ratio
        spread = f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
        if name == "fp32":
            spread += f" ({latency.source_ms.median:.1f} ms)"
        yield _judged(spread, ratio.median, TIMES.get(name))
    seconds, memory = row.loaded.load_seconds or 0.0, row.loaded.memory_bytes or 0
    yield _judged(f"{seconds:.2f}", seconds, LOADING)
    yield f"{memory / 1e6:.0f}"
    points = proof["difference_points"]["value"]
    yield _judged(f"{points:+.2f}", abs(points), POINTS.get(name))
    yield f"{proof['agreement']:.1%}"


def _judged(words: str, found: float, goal: float | None) -> str:
    """Mark a figure that has a goal: met, or missed."""
    if goal is None:
        return words
    return f"**{words}**" if found <= goal else f"{words} ✗"


def _head(asked: Namespace) -> Iterator[str]:
    today = datetime.now(UTC)
    models = " ".join(f"--model {given}" for given in asked.model)
    onnx = "onnxruntime " + (version("onnxruntime") if find_spec("onnxruntime") else "none")
    goals = ", ".join(f"{name} {goal:g}" for name, goal in TIMES.items())
    yield f"# Exported formats, {today:%B %Y}"
    yield ""
    yield (
        f"Command: `python -m tests.benchmarks.export_formats {models} --wide {asked.wide}`. "
        f"{today:%Y-%m-%d}; {machine()}, torch {torch.__version__}, {onnx}; bfloat16 "
        f"{'native' if has_native_bfloat16(CPU) else 'not native'} on the processor."
    )
    yield ""
    yield (
        "bytes: of the same model as float32 in safetensors. batch: time of so many clips, of that "
        "of the model as torch runs it in float32, in turns in one process, median [10 %, 90 %] of "
        "the rounds' ratios. load: verified, read and ready, beyond imports. memory: growth of the "
        "peak, 32 clips. top-1: points, export less source."
    )
    yield ""
    yield (
        f"Goals: bytes fp16 {RATIOS['fp16']}, int8 {RATIOS['int8']}; time {goals}; load "
        f"{LOADING} s; top-1 fp16 {POINTS['fp16']}, int8 {POINTS['int8']} points. Bold: met; "
        f"✗: missed."
    )
    yield ""


def _proof(folder: Path) -> Proof:
    return json.loads((folder / "proof.json").read_text())


if __name__ == "__main__":
    main()
