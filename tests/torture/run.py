"""The torture run: promises of store, training and decoding at full scale, as a Markdown table."""

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from polyspace import console
from polyspace.config import Config
from tests.torture import (
    bundles,
    damage,
    durability,
    full_disk,
    kills,
    losses,
    outages,
    resume,
    saving,
    scale,
    sharing,
    sleeps,
    videos,
    workers,
)
from tests.torture.outcome import FULL, QUICK, Outcome, Scale, table

PROMISES: dict[str, Callable[[Scale, Path], Outcome | Sequence[Outcome]]] = {
    "kills": kills.run,
    "damage": damage.run,
    "sharing": sharing.run,
    "full_disk": full_disk.run,
    "durability": durability.run,
    "workers": workers.run,
    "resume": resume.run,
    "saving": saving.run,
    "videos": videos.run,
    "bundles": bundles.run,
    "outages": outages.run,
    "scale": scale.run,
    "losses": losses.run,
    "sleeps": sleeps.run,
}


class TortureConfig(Config):
    """What is run, and where the table goes."""

    only: tuple[str, ...] = tuple(PROMISES)
    """Of kills, damage, sharing, full_disk, durability, workers, resume, saving,
    videos, bundles, outages, scale, losses and sleeps."""
    quick: bool = False
    """At the scale of the tests."""
    out: Path | None = None
    """The document that the table is written to; it is printed anyway."""


def main(config: TortureConfig) -> None:
    """Break what can be broken, and say what came of it; exit with 1 if a promise was broken."""
    size = QUICK if config.quick else FULL
    outcomes = [outcome for name in config.only for outcome in torture(name, size)]
    console.say(table(outcomes))
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        console.say(failure)
    if config.out:
        config.out.write_text(_document(outcomes, config.only))
    if failures:
        raise SystemExit(1)


def torture(name: str, scale: Scale) -> Sequence[Outcome]:
    """Put one promise to the test, in a folder and with a cache of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        found = PROMISES[name](scale, Path(folder))
    return [found] if isinstance(found, Outcome) else found


def _document(outcomes: Sequence[Outcome], only: Sequence[str]) -> str:
    """Write the table down, with all that it takes to read it."""
    chosen = f"python -m tests.torture.run --only {' '.join(only)}"
    command = "make torture" if set(only) == set(PROMISES) else chosen
    today, cores = datetime.now(UTC), os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "zarr", "numpy"))
    return f"""# Store and training tortured, {today:%B %Y}

Command: `{command}`. Machine: {cores} shared {platform.machine()} cores, Linux
{platform.release()}, other work running beside it. Python {platform.python_version()}, {packages}.
{today:%Y-%m-%d}, one run, {sum(outcome.seconds for outcome in outcomes):.0f} seconds.

{table(outcomes)}

The stores are small (46 clips in 12 work items, two backbones, float16 and int8, a chunk file of a
few hundred bytes; those of the workers are made by the real command from real videos), because the
promises are about files and moments, not about sizes. Writers are
processes of their own, and die by SIGKILL, stand by SIGSTOP, or run into RLIMIT_FSIZE and a full
tmpfs. What is trained is a perceptron, by the loop and the files of the real commands. An error
counts as clear if it is one line and PolySpace's own. `tests/torture` holds the scripts;
`make test` runs the same at a smaller scale.
"""


if __name__ == "__main__":
    console.run(TortureConfig, main)
