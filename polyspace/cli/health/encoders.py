"""Backbones: whether they load, weight by weight, and see in known clips what they should."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from polyspace.cli.health.check import Check, error, ok, warning
from polyspace.data import cards
from polyspace.errors import MissingWeightsError, PolySpaceError
from polyspace.models.backbones import registry
from polyspace.models.backbones.golden import TOLERANCE, Golden, distance
from polyspace.models.backbones.protocol import Backbone
from polyspace.models.backbones.state import first_line
from polyspace.models.backbones.weights import only_here

FETCH = "where the hub can be reached, extraction fetches what it publishes"


@dataclass(frozen=True)
class Encoders:
    """Which backbones are looked at, and how."""

    names: Sequence[str]
    """None: those whose weights are here."""
    weights: Mapping[str, str]
    frames: int
    device: torch.device
    known: Mapping[tuple[str, str, str], Golden]
    """Golden features, by what they belong to."""
    seen: list[Golden] = field(default_factory=list[Golden])
    """What was seen by those that load; filled while checking."""

    def check(self) -> Iterator[Check]:
        """Load one backbone after the other, and let it see the cards; nothing is fetched."""
        for name in self.names or registry.NAMES:
            try:
                yield from self._check(name)
            except MissingWeightsError as problem:
                yield self._missing(name, problem)
            except PolySpaceError as problem:
                yield Check(name, "error", str(problem))
            # A library that is broken is what this looks for, and others shall be looked at, too.
            except Exception as problem:
                what = f"{type(problem).__name__}: {first_line(problem)}"
                yield error(name, f"fails with {what}", "install its libraries again")

    def _check(self, name: str) -> Iterator[Check]:
        given = {name: self.weights[name]} if name in self.weights else {}
        with only_here():
            backbone = registry.load(name, weights=given, frames=self.frames, device=self.device)
        yield _describe(backbone)
        seen = cards.look(backbone, self.device)
        self.seen.append(seen)
        yield compare(seen, self.known.get(seen.key))

    def _missing(self, name: str, problem: MissingWeightsError) -> Check:
        verdict = "error" if name in self.names else "warning"
        return Check(name, verdict, str(problem), FETCH)


def compare(seen: Golden, expected: Golden | None) -> Check:
    """Compare what a backbone saw with what it should have seen."""
    name = f"{seen.backbone} features"
    if expected is None:
        return warning(
            name,
            "no golden features known for these weights and settings",
            "--record FILE where they are known to be right, --golden FILE elsewhere",
        )
    off = distance(seen, expected)
    said = f"{off:.1e} standard deviations from the golden ones (tolerance {TOLERANCE:g})"
    if off <= TOLERANCE:
        return ok(name, said)
    return error(
        name,
        said,
        "extraction would write other features; install the versions they were recorded with, "
        + ", ".join(f"{library} {version}" for library, version in expected.recorded_with.items()),
    )


def _describe(backbone: Backbone) -> Check:
    """Say what was loaded; that it was means that no weight was missing or left over."""
    weights, inputs, grid = backbone.weights, backbone.inputs, backbone.grid
    side = f"short side {inputs.short_side}, " if inputs.short_side else ""
    seen = "pictures" if inputs.kind == "frames" else "motion fields"
    colours = f"mean {_numbers(inputs.mean)}, std {_numbers(inputs.std)}, scale {inputs.scale:.4g}"
    said = (
        f"loads, no weight missing or left over; {weights.source}, {weights.fingerprint[:12]}; "
        f"{inputs.frames} {seen} of {inputs.height}x{inputs.width} ({side}{colours}); "
        f"tokens {grid.time}x{grid.height}x{grid.width} of {backbone.dim}"
    )
    if weights.random:
        return warning(backbone.name, said, "random weights, so for trials only")
    return ok(backbone.name, said)


def _numbers(values: Sequence[float]) -> str:
    """Say a value for each channel; once, where they are equal."""
    said = [f"{value:g}" for value in values]
    return said[0] if len(set(said)) == 1 else " ".join(said)
