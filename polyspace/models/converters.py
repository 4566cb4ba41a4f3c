"""Converters: from the student's tokens to a teacher's, through normalised spaces.

The student's tokens are standardised and pass the trunk, where there is one. A converter brings
them to the teacher's grid, puts temporal neighbours beside each token, maps, adds what a branch
that sees all of the clip says, and (for whoever wants the teacher's own space) undoes the teacher's
normalisation. Everything but trunk, map and branch is fitted on training clips and frozen.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from jaxtyping import Float
from torch import Tensor, nn

from polyspace.config import Config
from polyspace.errors import ConfigError, UnknownNameError
from polyspace.models.branches.convolution import SeparableConvolution
from polyspace.models.branches.perceiver import Perceiver
from polyspace.models.branches.temporal import TemporalTransformer
from polyspace.models.branches.token_learner import TokenLearner
from polyspace.models.grids import TokenShape, resample, with_neighbours
from polyspace.models.maps import LinearMap, LowRankMap, ResidualMap
from polyspace.models.normalizers import Normalizer, NormalizerKind, Standardizer, blank
from polyspace.models.restore import restore
from polyspace.models.trunk import Trunk

ConverterKind = Literal[
    "mean",
    "procrustes",
    "orthogonal",
    "ridge",
    "ols",
    "low_rank",
    "linear",
    "residual_mlp",
    "dsconv",
    "perceiver",
    "token_learner",
    "temporal_transformer",
]
"""What each is stands in docs/converters.md."""

CLOSED_FORM: tuple[ConverterKind, ...] = (
    "mean",
    "procrustes",
    "ridge",
    "orthogonal",
    "ols",
    "low_rank",
)
"""Kinds that have nothing left to train once they are solved; the others start at ridge."""

BATCH_STATISTICS: tuple[ConverterKind, ...] = ("dsconv",)
"""Kinds that are trained with the statistics of whole batches."""

BRANCHES: Mapping[ConverterKind, Callable[[TokenShape, TokenShape, int], nn.Module]] = {
    "dsconv": SeparableConvolution,
    "perceiver": Perceiver,
    "token_learner": TokenLearner,
    "temporal_transformer": TemporalTransformer,
}
"""What is added to the linear map, for kinds that look at more than single tokens."""


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
    """Width of what the kind has inside: perceptron, bottleneck, channels, attention."""
    normalizer: NormalizerKind = "per_dimension"
    """How the teacher's tokens are normalised."""
    trunk: int = 0
    """Width of the trunk that it shares with the student's other converters; 0: none."""

    @property
    def wide(self) -> int:
        """Dimensions of what the map takes."""
        return (2 * self.reach + 1) * self.source.dim

    @property
    def rank(self) -> int:
        """Width of the bottleneck of low_rank."""
        return min(self.hidden, self.wide, self.target.dim)


class Converter(nn.Module):
    """Translates what it is given of the student's tokens into one teacher's normalised tokens.

    It knows nothing of a trunk: `Translator` and `Route` lead through it. New ones are arbitrary
    until their map is solved or trained and `teacher` is measured.
    """

    def __init__(self, spec: ConverterSpec) -> None:
        super().__init__()
        self.spec = spec
        self.teacher: Normalizer = blank(spec.normalizer, spec.target.dim)
        self.map = _map(spec)
        self.branch = _branch(spec)

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
        said = self.map(self.inputs(standardised))
        return said if self.branch is None else said + self.branch(standardised)


def _map(spec: ConverterSpec) -> LinearMap | LowRankMap | ResidualMap:
    """Make the map of single tokens; all but two kinds have a linear one."""
    if spec.kind == "low_rank":
        return LowRankMap(spec.wide, spec.target.dim, spec.rank)
    if spec.kind == "residual_mlp":
        return ResidualMap(spec.wide, spec.target.dim, spec.hidden)
    return LinearMap(spec.wide, spec.target.dim)


def _branch(spec: ConverterSpec) -> nn.Module | None:
    """Make what sees all of a clip."""
    make = BRANCHES.get(spec.kind)
    return make and make(spec.source, spec.target, spec.hidden)


class Route(nn.Module):
    """The whole way to one teacher: the trunk, where there is one, and the teacher's converter."""

    def __init__(self, trunk: nn.Module, converter: Converter) -> None:
        super().__init__()
        self.trunk, self.converter = trunk, converter

    @property
    def spec(self) -> ConverterSpec:
        """What the converter is."""
        return self.converter.spec

    @property
    def teacher(self) -> Normalizer:
        """The teacher's normalisation, whose `inverse` leads into its own space."""
        return self.converter.teacher

    def forward(
        self, standardised: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Translate the student's standardised tokens into the teacher's normalised space."""
        return self.converter(self.trunk(standardised))


class Translator(nn.Module):
    """One student's standardizer, its trunk, if it has one, and its converters, one a teacher."""

    def __init__(self, student: str, specs: Mapping[str, ConverterSpec]) -> None:
        super().__init__()
        self.student_name = student
        self.specs = dict(specs)
        dim = next(iter(specs.values())).source.dim
        self.student = Standardizer(dim)
        self.converters = nn.ModuleDict({name: Converter(spec) for name, spec in specs.items()})
        # Made last, so that converters draw the same weights with a trunk and without.
        self.width = _width(self.specs.values())
        self.trunk = Trunk(dim, self.width) if self.width else nn.Identity()

    def __getitem__(self, teacher: str) -> Route:
        """Give the way to one teacher, through the trunk.

        Raises:
            UnknownNameError: There is none.
        """
        if teacher not in self.converters:
            raise UnknownNameError("teacher of these converters", teacher, self.converters)
        return Route(self.trunk, cast(Converter, self.converters[teacher]))

    def forward(
        self, standardised: Float[Tensor, "clip time space dim"]
    ) -> dict[str, Float[Tensor, "clip _ _ _"]]:
        """Translate standardised tokens into every teacher's normalised space."""
        seen = self.trunk(standardised)
        return {name: self[name].converter(seen) for name in self.specs}

    def only(self, teachers: Sequence[str]) -> "Translator":
        """Give the same converters, and trunk, for some of the teachers, in the order asked for."""
        chosen = Translator(self.student_name, {name: self[name].spec for name in teachers})
        chosen.student, chosen.trunk = self.student, self.trunk
        for name in teachers:
            chosen.converters[name] = self[name].converter
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
        """Rebuild from a record.

        Raises:
            CheckpointError: Its weights are not exactly those of such converters.
        """
        specs = {name: ConverterSpec.model_validate(spec) for name, spec in record["specs"].items()}
        return restore(cls(record["student"], specs), record["state"])


def _width(specs: Iterable[ConverterSpec]) -> int:
    """Give the width of the trunk that converters share.

    Raises:
        ConfigError: They don't agree on it.
    """
    widths = sorted({spec.trunk for spec in specs})
    if len(widths) > 1:
        raise ConfigError(
            f"converters behind trunks of widths {', '.join(map(str, widths))}, expected one that "
            f"all of them share: give every spec the same"
        )
    return widths[0]
