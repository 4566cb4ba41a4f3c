"""Bundles back: whatever form one has, something that answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polyspace.export import contents
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import Entry, FormatName, Loaded


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


def open_bundle(folder: Path, device: torch.device) -> Opened:
    """Verify a bundle and make it ready to run.

    Raises:
        CheckpointError: The folder is no bundle, or not as it was written.
        ExportError: Its format needs a package that isn't installed.
    """
    contents.verify(folder)
    return open_verified(folder, device)


def open_verified(folder: Path, device: torch.device) -> Opened:
    """Make a bundle ready to run whose files are known to be right."""
    config = contents.read_config(folder)
    kind: FormatName = config["kind"]
    loaded = kinds.of(kind).load(kind, folder, config["model"], device)
    return Opened(folder, config, loaded)
