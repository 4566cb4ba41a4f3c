"""What orchestration costs: python -m tests.benchmarks.orchestration_document.

OMP_NUM_THREADS=1 python -m tests.benchmarks.orchestration_document --made runs/demo
    --root runs/motion --out docs/benchmarks/NAME.md

`made` is what a distill has made; its features are trained on, and its files are read again.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from flows import deploy
from flows.deploy import DeployConfig
from tests.benchmarks import orchestration_cost as cost
from tests.benchmarks.document import machine, spread
from tests.benchmarks.orchestration_cost import Taken
from tests.support import services

STAGE_SECONDS, TASK_SECONDS, TRIGGER_SECONDS, CACHED_SECONDS = 1.5, 0.015, 10, 15
"""Goals of the issue."""
PARTS = ("stage", "tasks", "cached", "commands", "trigger")


def main() -> None:
    asked = parse()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        with services.server(folder / "server"):
            lines = [_said(line) for line in document(asked, folder)]
    if asked.out:
        asked.out.write_text("".join(lines))


def parse(argv: Sequence[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--made", type=Path, default=Path("runs/demo"))
    parser.add_argument("--root", type=Path, default=Path("runs/motion"), help="its videos")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=10, help="of stages and tasks")
    parser.add_argument("--runs", type=int, default=5, help="of commands and triggers")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the stage")
    parser.add_argument("--out", type=Path, help="the document")
    return parser.parse_args(argv)


def document(asked: Namespace, folder: Path) -> Iterator[str]:
    """Measure, and say what was found."""
    features = asked.made.resolve() / "features"
    names = ("torch", "prefect", "mlflow")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield "# What orchestration costs, November 2026\n"
    yield f"{machine()}; {versions}. {datetime.now(UTC):%Y-%m-%d}. Prefect's server on"
    yield "SQLite and MLflow on SQLite, on loopback. Medians [extremes] of seconds; processor"
    yield "seconds are of the process and what it started, and hardly longer for other work."
    if "stage" in asked.parts:
        yield from _stage(cost.stage_costs(asked.rounds, asked.seconds, folder / "s"), asked)
    if "tasks" in asked.parts:
        yield from _tasks(cost.task_costs(asked.rounds, 100))
    if "cached" in asked.parts:
        yield from _cached(*cost.cached_seconds(asked.root, asked.made, folder))
    if "commands" in asked.parts:
        yield from _commands(cost.command_costs(asked.runs, features, folder / "c"))
    if "trigger" in asked.parts:
        deploy.main(DeployConfig(watch=False))
        yield from _trigger(cost.trigger_costs(asked.runs, features, folder / "t"))


def _stage(taken: dict[str, list[Taken]], asked: Namespace) -> Iterator[str]:
    yield f"\n**A stage of {asked.seconds:.1f} s**, {asked.rounds} rounds in turns, in a process"
    yield f"that has done it before, with a server; {_load()}. Goal: at most {STAGE_SECONDS} s"
    yield "more. A flow by itself ends with its heartbeat, which wakes once a second.\n"
    yield "| | seconds | more than bare | processor seconds |"
    yield "|---|---|---|---|"
    bare = taken["bare"]
    for name, found in taken.items():
        more = [one.seconds - other.seconds for one, other in zip(found, bare, strict=True)]
        added = "" if name == "bare" else spread(more)
        yield f"| {name} | {_wall(found)} | {added} | {_processor(found)} |"


def _tasks(taken: list[Taken]) -> Iterator[str]:
    milliseconds = spread([1e3 * one.seconds for one in taken])
    processor = spread([1e3 * one.processor_seconds for one in taken])
    yield f"\n**A task** that does nothing, of 100 in a flow; {_load()}:"
    yield f"{milliseconds} ms on the clock, {processor} ms of processor time. Goal: at most"
    yield f"{1e3 * TASK_SECONDS:.0f} ms."


def _cached(seconds: float, size: int) -> Iterator[str]:
    yield f"\n**A `distill` of which everything is there**, {size / 1e6:.0f} MB of artefacts, each"
    yield f"read and verified: {seconds:.1f} s after imports, and without the summary that ends"
    yield f"it; {_load()}. Goal: at most"
    yield f"{CACHED_SECONDS} s."


def _commands(taken: dict[str, list[Taken]]) -> Iterator[str]:
    rounds = len(next(iter(taken.values())))
    yield f"\n**A training of one epoch as a command**, {rounds} rounds in turns, imports and all;"
    yield f"{_load()}. With a server, that server's own time is left out; without, the"
    yield "command starts one of its own, which is counted.\n"
    yield "| python -m | seconds | processor seconds |"
    yield "|---|---|---|"
    for name, found in taken.items():
        yield f"| {name} | {_wall(found)} | {_processor(found)} |"


def _trigger(taken: list[Taken]) -> Iterator[str]:
    within = sum(one.seconds <= TRIGGER_SECONDS for one in taken)
    yield f"\n**Trigger to running**, `{cost.DEPLOYMENT}` created over the API, one worker;"
    yield f"{_load()}: {_wall(taken)} s, of which the run's process computes {_processor(taken)} s."
    yield f"Goal: at most {TRIGGER_SECONDS} s, reached by {within} of {len(taken)}; median"
    yield f"{median(one.seconds for one in taken):.1f} s."


def _said(line: str) -> str:
    """Print a line as soon as it is known: some take minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return f"{line}\n"


def _wall(taken: list[Taken]) -> str:
    return spread([one.seconds for one in taken])


def _processor(taken: list[Taken]) -> str:
    return spread([one.processor_seconds for one in taken])


def _load() -> str:
    return f"load {os.getloadavg()[0]:.0f} at the end of it"


if __name__ == "__main__":
    main()
