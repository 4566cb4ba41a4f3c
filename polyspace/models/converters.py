"""Converters: from the student's tokens to a teacher's, through normalised spaces.

A converter standardises the student's tokens, brings them to the teacher's grid, puts temporal
neighbours beside each token, maps, and (for whoever wants the teacher's own space) undoes the
teacher's normalisation. Everything but the map is fitted on training clips and frozen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.config import Config
from polyspace.errors import UnknownNameError
from polyspace.models.closed_form import Affine
from polyspace.models.grids import TokenShape, resample, with_neighbours
from polyspace.models.normalizers import Normalizer, NormalizerKind, Standardizer, blank

ConverterKind = Literal["mean", "procrustes", "ridge", "linear", "residual_mlp"]
"""mean, procrustes, ridge: solved in closed form. linear, residual_mlp: trained from ridge on."""

CLOSED_FORM: tuple[ConverterKind, ...] = ("mean", "procrustes", "ridge")
"""Kinds that have nothing left to train once they are solved."""


class LinearMap(nn.Linear):
    """One affine map for every token."""

    def start_at(self, fit: Affine) -> None:
        """Take the solution over as weight and bias."""
        with torch.no_grad():
            self.weight.copy_(fit.weight.T)
            self.bias.copy_(fit.bias)


class ResidualMap(nn.Module):
    """An affine map plus a gated-linear perceptron that starts at zero.

    It can't start worse than the closed-form solution, and learns only what that leaves over.

    Source: the zero-initialised branch is UNIC's adapter (arXiv 2408.05088), the unit SwiGLU
    (arXiv 2002.05202).
    """

    def __init__(self, wide: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.linear = LinearMap(wide, dim)
        self.norm = nn.LayerNorm(wide)
        self.up = nn.Linear(wide, 2 * hidden)
        self.drop = nn.Dropout(0.1)
        self.down = nn.Linear(hidden, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def start_at(self, fit: Affine) -> None:
        """Let the affine part be the solution; the branch adds nothing yet."""
        self.linear.start_at(fit)

    def forward(self, tokens: Float[Tensor, "*token wide"]) -> Float[Tensor, "*token dim"]:
        """Map each token by itself."""
        value, gate = self.up(self.norm(tokens)).chunk(2, dim=-1)
        return self.linear(tokens) + self.down(self.drop(value * nn.functional.silu(gate)))


class ConverterSpec(Config):
    """Everything that decides a converter's shape; written into checkpoints and bundles."""

    source: TokenShape
    """Shape of the student's tokens."""
    target: TokenShape
    """Shape of the teacher's tokens."""
    kind: ConverterKind
    """Which map."""
    reach: int
    """Temporal neighbours before and after a token that the map sees too."""
    hidden: int
    """Width of the perceptron of residual_mlp."""
    normalizer: NormalizerKind = "per_dimension"
    """How the teacher's tokens are normalised."""

    @property
    def wide(self) -> int:
        """Dimensions of what the map takes."""
        return (2 * self.reach + 1) * self.source.dim


class Converter(nn.Module):
    """Translates one student's standardised tokens into one teacher's normalised tokens.

    New ones are arbitrary until their map is solved or trained and `teacher` is measured.
    """

    def __init__(self, spec: ConverterSpec) -> None:
        super().__init__()
        self.spec = spec
        self.teacher: Normalizer = blank(spec.normalizer, spec.target.dim)
        self.map: LinearMap | ResidualMap = (
            ResidualMap(spec.wide, spec.target.dim, spec.hidden)
            if spec.kind == "residual_mlp"
            else LinearMap(spec.wide, spec.target.dim)
        )

    def inputs(
        self, standardised: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out wide"]:
        """Bring the student's tokens to what the map takes: the teacher's grid, with neighbours."""
        target = self.spec.target
        grid = resample(standardised, time=target.time, space=target.space)
        return with_neighbours(grid, self.spec.reach)

    def forward(
        self, standardised: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Translate; `teacher.inverse` leads on into the teacher's own space."""
        return self.map(self.inputs(standardised))


class Translator(nn.Module):
    """One student's standardizer, and its converters, one a teacher."""

    def __init__(self, student: str, specs: Mapping[str, ConverterSpec]) -> None:
        super().__init__()
        self.student_name = student
        self.specs = dict(specs)
        self.student = Standardizer(next(iter(specs.values())).source.dim)
        self.converters = nn.ModuleDict({name: Converter(spec) for name, spec in specs.items()})

    def __getitem__(self, teacher: str) -> Converter:
        """Give one teacher's converter.

        Raises:
            UnknownNameError: There is none.
        """
        if teacher not in self.converters:
            raise UnknownNameError("teacher of these converters", teacher, self.converters)
        return cast(Converter, self.converters[teacher])

    def forward(
        self, standardised: Float[Tensor, "clip time space dim"]
    ) -> dict[str, Float[Tensor, "clip _ _ _"]]:
        """Translate standardised tokens into every teacher's normalised space."""
        return {name: self[name](standardised) for name in self.specs}

    def only(self, teachers: Sequence[str]) -> "Translator":
        """Give the same converters for some of the teachers, in the order asked for."""
        chosen = Translator(self.student_name, {name: self[name].spec for name in teachers})
        chosen.student = self.student
        for name in teachers:
            chosen.converters[name] = self[name]
        return chosen

    def fingerprint(self) -> str:
        """Give the sha256 of all weights and measured statistics, hexadecimal."""
        digest = hashlib.sha256()
        for name, values in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """Give what `from_record` needs, as plain values and tensors."""
        specs = {name: spec.model_dump(mode="json") for name, spec in self.specs.items()}
        return {"student": self.student_name, "specs": specs, "state": self.state_dict()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Translator":
        """Rebuild from a record; every weight must be there and nothing else."""
        specs = {name: ConverterSpec.model_validate(spec) for name, spec in record["specs"].items()}
        translator = cls(record["student"], specs)
        translator.load_state_dict(record["state"], strict=True)
        return translator
