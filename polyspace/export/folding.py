"""The distilled model as graphs run it fastest: fewer products, the same answers.

A gate looks at a translation through two narrow matrices only. What leads to the translation ends
in matrices, too, and a product of matrices is a matrix: multiplied beforehand, the translation
itself, often the widest tensor of all, needn't be computed. What changes a grid is linear as well,
and becomes a matrix rather than transpositions and gathering. In exact arithmetic nothing changes;
in float32 the last bits do.
"""

from copy import deepcopy
from math import sqrt
from typing import cast

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from polyspace.models.converters import Converter
from polyspace.models.fusion import Distilled
from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.gated import Gate, GatedJoin
from polyspace.models.maps import LinearMap, LowRankMap

WORDS = "matrices that follow each other without anything between them are multiplied into one"
"""What a fold does, for whoever reads what was stored."""


class Regrid(nn.Module):
    """`resample` from one grid to another as products with constant matrices."""

    over_time: Tensor | None
    over_space: Tensor | None

    def __init__(self, old: TokenShape, *, time: int, space: int) -> None:
        super().__init__()
        self.register_buffer("over_time", None if time == old.time else _over_time(old.time, time))
        same = space == old.space
        self.register_buffer("over_space", None if same else _over_space(old.space, space))

    def forward(
        self, tokens: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim"]:
        """Bring tokens to the other grid."""
        if self.over_time is not None:
            flat = self.over_time @ tokens.flatten(2)
            tokens = flat.unflatten(2, tokens.shape[2:])
        return tokens if self.over_space is None else self.over_space @ tokens


class FoldedConverter(nn.Module):
    """A converter that gives what a gate sees of its translation, rather than the translation."""

    def __init__(self, converter: Converter, gate: Gate) -> None:
        super().__init__()
        spec = converter.spec
        self.reach = spec.reach
        self.grid = Regrid(spec.source, time=spec.target.time, space=spec.target.space)
        seen = torch.cat([gate.from_teacher.weight, gate.down.weight]).detach()
        narrow = len(seen) < spec.target.dim
        self.map = _projected(converter.map, seen) if narrow else converter.map
        self.branch = _projected_branch(converter.branch, seen) if narrow else converter.branch
        self.look = nn.Identity() if narrow else _linear(seen, None)

    def forward(
        self, standardised: Float32[Tensor, "clip time space dim"]
    ) -> Float32[Tensor, "clip time_out space_out seen"]:
        """Translate, and look at the translation."""
        said = self.map(_beside(self.grid(standardised), self.reach))
        return self.look(said if self.branch is None else said + self.branch(standardised))


class Folded(nn.Module):
    """Tokens in, logits out: the way through gates, with all that can be multiplied beforehand."""

    def __init__(self, model: Distilled) -> None:
        super().__init__()
        join, student = cast(GatedJoin, model.fusion.join), model.fusion.spec.student
        gates = {name: cast(Gate, gate) for name, gate in join.gates.items()}
        self.rank = model.fusion.spec.rank
        self.student, self.trunk = model.translator.student, model.translator.trunk
        self.converters, self.grids = nn.ModuleDict(), nn.ModuleDict()
        for name, gate in gates.items():
            converter = model.translator[name].converter
            self.converters[name] = FoldedConverter(converter, gate)
            target = converter.spec.target
            self.grids[name] = Regrid(target, time=student.time, space=student.space)
        self.openness = nn.ModuleDict({name: gate.openness for name, gate in gates.items()})
        asking = [gate.from_student for gate in gates.values()]
        self.ask = _linear(
            torch.cat([layer.weight for layer in asking]),
            torch.cat([layer.bias for layer in asking]),
        )
        ups = torch.cat([gate.up.weight for gate in gates.values()], dim=1)
        self.up = _linear(ups / sqrt(len(gates)), None)
        self.head = model.fusion.head

    def forward(
        self, tokens: Float32[Tensor, "clip time space dim"]
    ) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of the student's tokens."""
        student = self.student(tokens)
        seen, asked = self.trunk(student), self.ask(student).split(self.rank, dim=-1)
        let_in: list[Tensor] = []
        for (name, converter), mine in zip(self.converters.items(), asked, strict=True):
            theirs, down = self.grids[name](converter(seen)).split(self.rank, dim=-1)
            gate = torch.sigmoid(self.openness[name](functional.gelu(mine + theirs)))
            let_in.append(gate * down)
        return self.head(student + self.up(torch.cat(let_in, dim=-1)))


def folds(model: Distilled) -> bool:
    """Say whether a model's join is one that folds."""
    return isinstance(model.fusion.join, GatedJoin)


def is_folded(module: nn.Module) -> bool:
    """Say whether a module is, or leads into, a fold."""
    return any(isinstance(part, Folded) for part in module.modules())


def _projected(given: nn.Module, seen: Float32[Tensor, "narrow wide"]) -> nn.Module:
    """Give a map that ends in what is seen of its answers."""
    if isinstance(given, LinearMap):
        return _linear(seen @ given.weight, seen @ given.bias)
    # In both kinds the last layers are linear: `up` alone, or `linear` and `down`, which are added.
    copy = deepcopy(given)
    for name in ("up",) if isinstance(given, LowRankMap) else ("linear", "down"):
        layer = cast(nn.Linear, getattr(given, name))
        setattr(copy, name, _linear(seen @ layer.weight, seen @ layer.bias))
    return copy


def _projected_branch(
    branch: nn.Module | None, seen: Float32[Tensor, "narrow wide"]
) -> nn.Module | None:
    """Give a branch that ends in what is seen of its answers; all end in an `Answer`."""
    copy = deepcopy(branch)
    if copy is not None:
        layer = cast(nn.Linear, copy.get_submodule("answer.out"))
        copy.set_submodule("answer.out", _linear(seen @ layer.weight, seen @ layer.bias))
    return copy


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _beside(
    tokens: Float[Tensor, "clip time space dim"], reach: int
) -> Float[Tensor, "clip time space wide"]:
    """Put temporal neighbours beside each token, as `with_neighbours` does, in slices."""
    time = tokens.shape[1]
    padded = torch.cat([*[tokens[:, :1]] * reach, tokens, *[tokens[:, -1:]] * reach], dim=1)
    return torch.cat([padded[:, at : at + time] for at in range(2 * reach + 1)], dim=-1)


def _over_time(old: int, new: int) -> Float32[Tensor, "new old"]:
    """Write temporal resampling as a matrix: resample every unit vector."""
    return resample(torch.eye(old)[None, :, None], time=new, space=1)[0, :, 0].contiguous()


def _over_space(old: int, new: int) -> Float32[Tensor, "new old"]:
    return resample(torch.eye(old)[None, None], time=1, space=new)[0, 0].contiguous()
