"""What a torture shows: how often something was tried, and how often a promise was broken."""

from collections.abc import Sequence
from dataclasses import dataclass

from polyspace.export.bundle import EVERYWHERE
from polyspace.export.formats.kinds import FormatName


@dataclass(frozen=True)
class Scale:
    """How much is tried."""

    kills: int
    flips: int
    truncations: int
    deletions: int
    writers: int
    rounds: int
    names: int
    """Leases that all writers want at the same time."""
    stops: int
    """Writers that are stopped until another one has taken over."""
    offsets: int
    """Places at which the disk is full."""
    items: int
    """Work items of the store whose system calls are recorded."""
    worker_kills: int
    """Kills of extractions that share a store."""
    train_kills: int
    train_steps: int
    """Of the training that is killed."""
    save_kills: int
    mutations: int
    """Videos that are changed at random."""
    bundle_flips: int
    bundle_cuts: int
    bundle_formats: tuple[FormatName, ...]
    """Of the bundles that are damaged."""
    outages: int
    """Runs in each of the ways that MLflow is away."""
    losses: int
    """Machines that are lost with all they run."""
    sleeps: int
    """Machines that sleep until others have done their work."""


FULL = Scale(
    kills=200,
    flips=10_000,
    truncations=1_000,
    deletions=1_000,
    writers=8,
    rounds=20,
    names=100,
    stops=20,
    offsets=50,
    items=12,
    worker_kills=100,
    train_kills=30,
    train_steps=3_000,
    save_kills=500,
    mutations=100_000,
    bundle_flips=1_000,
    bundle_cuts=300,
    bundle_formats=EVERYWHERE,
    outages=20,
    losses=20,
    sleeps=4,
)
QUICK = Scale(
    kills=6,
    flips=150,
    truncations=20,
    deletions=20,
    writers=3,
    rounds=2,
    names=10,
    stops=2,
    offsets=6,
    items=2,
    worker_kills=3,
    train_kills=4,
    train_steps=150,
    save_kills=8,
    mutations=200,
    bundle_flips=60,
    bundle_cuts=20,
    bundle_formats=("int8",),
    outages=1,
    losses=2,
    sleeps=2,
)


@dataclass(frozen=True)
class Outcome:
    """How one promise fared."""

    promise: str
    attempts: int
    failures: tuple[str, ...]
    """What was seen of each broken promise."""
    seconds: float
    details: str
    skipped: str = ""
    """Why nothing was tried."""


def table(outcomes: Sequence[Outcome]) -> str:
    """Give a Markdown table, a row for each promise."""
    rows = [
        f"| {o.promise} | {o.attempts:,} | {len(o.failures)} | {o.seconds:.0f} "
        f"| {(o.skipped and f'skipped: {o.skipped}') or o.details} |"
        for o in outcomes
    ]
    head = ["| promise | tried | broken | seconds | seen |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])
