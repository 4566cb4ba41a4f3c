"""Bundles back: whatever form one has, something that runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from polyspace.errors import CheckpointError, ExportError, PrecisionError
from polyspace.export import contents
from polyspace.export.formats import kinds, weights
from polyspace.export.formats.kinds import Entry, FormatName, Loaded
from polyspace.precision import Precision, PrecisionName, resolve


@dataclass(frozen=True, eq=False)
class Opened:
    """A bundle whose every byte was verified, ready to run."""

    folder: Path
    config: Mapping[str, Any]
    loaded: Loaded

    @property
    def kind(self) -> FormatName:
        """Name its format."""
        return self.config["kind"]

    @property
    def entry(self) -> Entry:
        """Say what it takes."""
        return self.config["entry"]

    @property
    def student(self) -> str:
        """Name the backbone whose tokens it translates."""
        return self.config["student"]["name"]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Give the classes, in the order of the logits."""
        return tuple(self.config["class_names"])


def open_bundle(
    folder: Path,
    device: torch.device,
    compute: PrecisionName | None = None,
    *,
    allow_compiled: bool = False,
) -> Opened:
    """Verify a bundle and make it ready to run.

    Args:
        folder: The bundle.
        device: Where it will run.
        compute: Type of its matrix products; None: what the device does best.
        allow_compiled: Whether it may hold machine code, which loading it runs.

    Raises:
        CheckpointError: The folder is no bundle, or not as it was written.
        ExportError: Its format needs a package that isn't installed, or holds machine code.
        PrecisionError: The device can't compute in that type, or the format has its own.
    """
    contents.verify(folder)
    return open_verified(folder, device, compute, allow_compiled=allow_compiled)


def open_verified(
    folder: Path,
    device: torch.device,
    compute: PrecisionName | None = None,
    *,
    allow_compiled: bool = False,
) -> Opened:
    """Make a bundle ready to run whose files are known to be right; see `open_bundle`."""
    config = contents.read_config(folder)
    kind: FormatName = config["kind"]
    _refuse_strange(folder, kind, allow_compiled=allow_compiled)
    if compute is None:
        loaded = kinds.of(kind).load(kind, folder, config["model"], device)
    else:
        precision = _asked(kind, compute, device)
        loaded = weights.load(kind, folder, config["model"], device, precision)
    return Opened(folder, config, loaded)


def _refuse_strange(folder: Path, kind: str, *, allow_compiled: bool) -> None:
    if kind not in kinds.MODULES:
        raise CheckpointError(
            f"{folder} has the format {kind!r}, which this PolySpace doesn't know: update it"
        )
    if kind in kinds.COMPILED and not allow_compiled:
        raise ExportError(
            f"{folder} holds compiled code, which runs when it is loaded: if you trust who made "
            f"it, load it with allow_compiled=True; if not, ask for another format"
        )


def _asked(kind: FormatName, compute: PrecisionName, device: torch.device) -> Precision:
    """Take a precision that was asked for.

    Raises:
        PrecisionError: The device or the format can't.
    """
    if kinds.MODULES[kind] != "weights":
        raise PrecisionError(
            f"compute={compute!r}, but what a bundle of format {kind} computes in is part of it: "
            f"leave it out, or load one of {', '.join(weights.TYPES)}"
        )
    words = f"{compute} on {device.type}: asked for in place of what the device does best"
    return replace(resolve(compute, device), reason=words)
