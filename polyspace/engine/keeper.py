"""Runs that can be killed: their whole state is kept beside their results until they are done.

The folder holds `run_<steps>.pt`, the newest two; they disappear when the run is complete. What is
left of one is gone on with if nothing that decides its numbers has changed.
"""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import torch
from pydantic import Field

from polyspace import console
from polyspace.config import Config
from polyspace.engine import checkpoint
from polyspace.engine.loop import Step
from polyspace.errors import CheckpointError, StoppedError
from polyspace.ranks import ALONE, Ranks

KEPT = 2
"""States on disk: the newest, and the one before it."""

PRECISION = (
    "config.use_amp",
    "config.use_bf16",
    "config.use_tf32",
    "config.device",
    "device",
    "precision.",
)
"""What may differ where another precision or device is asked for."""


class KeepSettings(Config):
    """When a run is saved, and what becomes of one that was interrupted."""

    save_every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps after which the run's state is saved again."""
    save_every_minutes: Annotated[float, Field(gt=0)] | None = 5.0
    """Minutes after which the run's state is saved again."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes after which the run saves its state and stops, to be gone on with."""
    resume: Literal["same", "precision", "never"] = "same"
    """An interrupted run is gone on with if its settings and features are the same; precision: in
    another precision or on another device, too; never: it is forgotten."""
    keep_best: Annotated[int, Field(ge=1)] | None = None
    """Epochs whose checkpoints are kept: so many of the best, and the last; all, unless given."""


def identity(record: Mapping[str, Any], config: Config, device: torch.device) -> dict[str, Any]:
    """Say what decides a run's numbers to the last bit.

    Args:
        record: What the run was made of.
        config: Its settings; when it is saved and where files lie decides nothing.
        device: Where it computes.
    """
    deciding = {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if name not in KeepSettings.model_fields and not isinstance(getattr(config, name), Path)
    }
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**record, "config": deciding, "device": name, "torch": str(torch.__version__)}


@runtime_checkable
class Part(Protocol):
    """Something that a run's state consists of."""

    def state_dict(self) -> dict[str, Any]:
        """Give everything, as plain values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Become what another one was."""
        ...


class Keeper:
    """Saves a run's parts from time to time, and when SIGTERM or the clock end it."""

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, Part],
        identity: Mapping[str, Any],
        settings: KeepSettings,
        ranks: Ranks = ALONE,
    ) -> None:
        """Take what is to be kept.

        Args:
            folder: Where; no other run writes there.
            parts: All that the rest of the run depends on.
            identity: What has to be the same for the run to be gone on with.
            settings: When to save, and when to stop.
            ranks: Who runs: the first saves, and all stop together.
        """
        self.folder, self.parts, self.settings, self.ranks = folder, parts, settings, ranks
        self.identity = dict(_flat(identity))
        self._began = self._saved = time.monotonic()
        self._signal = ""
        self._before: Any = None

    def __enter__(self) -> "Keeper":
        """Go on where an interrupted run stopped, if there is one; listen for SIGTERM."""
        self._restore()
        # Only the main thread may ask for signals; elsewhere they are whoever's who runs it.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            # Once a rank has ended, torchrun sends SIGTERM to the others, which are ending already.
            ending = self.ranks.count > 1 and isinstance(error, StoppedError)
            signal.signal(signal.SIGTERM, signal.SIG_IGN if ending else self._before)

    def _restore(self) -> None:
        """Go on where an interrupted run stopped, if there is one; say so.

        Raises:
            CheckpointError: It is of another run, damaged, or from a newer version.
        """
        if self.ranks.is_first:
            for partial in self.folder.glob("*.partial"):
                partial.unlink()
        found = self._states()
        if self.settings.resume == "never":
            self.finish()
        elif found:
            state = checkpoint.load(found[-1], "run")
            self._check(found[-1], dict(state["identity"]))
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            console.say(f"going on after step {state['done']} of {state['total']}: {found[-1]}")

    def after(self, step: Step) -> None:
        """Save if it is time to; to be called before the next step is asked for.

        Raises:
            StoppedError: SIGTERM came, or the time is over; the state is saved.
        """
        if step.done == step.total:
            return
        reason = self._signal or self._out_of_time()
        stop = self.ranks.any(bool(reason))
        if self.ranks.is_first and (stop or self._due(step)):
            self._save(step)
        if stop:
            self.ranks.wait()
            raise StoppedError(
                f"stopped after step {step.done} of {step.total} "
                f"({reason or 'another process was told to'}): "
                f"the same command goes on from there"
            )

    def finish(self) -> None:
        """Remove the states: the run is complete, or nobody wants to go on with it."""
        if self.ranks.is_first:
            for path in self._states():
                checkpoint.remove(path)

    def _out_of_time(self) -> str:
        limit = self.settings.max_minutes
        over = limit is not None and time.monotonic() - self._began >= 60 * limit
        return f"--max-minutes {limit:g}" if over else ""

    def _due(self, step: Step) -> bool:
        minutes, steps = self.settings.save_every_minutes, self.settings.save_every_steps
        late = minutes is not None and time.monotonic() - self._saved >= 60 * minutes
        return late or (steps is not None and step.done > 0 and step.done % steps == 0)

    def _save(self, step: Step) -> None:
        checkpoint.save(
            self.folder / f"run_{step.done:09d}.pt",
            "run",
            {
                "done": step.done,
                "total": step.total,
                "identity": self.identity,
                "parts": {name: part.state_dict() for name, part in self.parts.items()},
            },
        )
        for path in self._states()[:-KEPT]:
            checkpoint.remove(path)
        self._saved = time.monotonic()

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("run_*.pt"))

    def _check(self, path: Path, theirs: dict[str, Any]) -> None:
        """Refuse to go on with another run, naming the first thing that differs."""
        free = PRECISION if self.settings.resume == "precision" else ()
        for name in sorted(theirs.keys() | self.identity.keys()):
            was, now = theirs.get(name), self.identity.get(name)
            if was != now and not name.startswith(free):
                about = " (--resume precision allows it)" if name.startswith(PRECISION) else ""
                raise CheckpointError(
                    f"{path} is an interrupted run with {name} {was}, now it is {now}{about}: "
                    f"give the same to go on, or --resume never to begin again"
                )

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._signal = "SIGTERM"


def _flat(values: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    """Name every plain value of nested ones by its path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", value
