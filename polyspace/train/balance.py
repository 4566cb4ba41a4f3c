"""Weighing teachers against each other, where one trunk learns from all of them.

A balance takes each teacher's losses and gives the terms whose sum is minimised. It belongs to a
run: it is saved with the run's state, and is no part of the converters that come out.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.errors import ConfigError
from polyspace.models.converters import Translator

BalanceKind = Literal["none", "drop", "explained", "uncertainty"]
"""What each is stands in docs/converters.md."""

DROP = 0.5
"""Chance of a teacher to be dropped in a step. Source: UNIC (arXiv 2408.05088)."""

Losses = Mapping[str, Mapping[str, Float32[Tensor, ""]]]
"""By teacher, each weighted loss by name."""

Terms = dict[str, Float32[Tensor, ""]]
"""By ``teacher/name``."""


class Equal(nn.Module):
    """Lets every teacher count as its losses do."""

    def forward(self, losses: Losses) -> Terms:
        """Give the losses as they are."""
        return {
            f"{teacher}/{name}": value
            for teacher, own in losses.items()
            for name, value in own.items()
        }


class Dropping(nn.Module):
    """Leaves teachers out of a step by chance, but never the one that is furthest behind.

    The weights of those that stay add up to the number of teachers, so that a step is as long as
    without dropping. Outside of training all stay.

    Source: UNIC (arXiv 2408.05088), teacher dropping; there each picture draws for itself, here a
    whole batch, because some losses compare its clips.
    """

    def forward(self, losses: Losses) -> Terms:
        """Weigh the losses of one step; the draws are torch's own, which a run's state holds."""
        total = totals(losses).detach()
        kept = torch.ones_like(total)
        if self.training:
            # Drawn on the CPU, so that a seed drops the same teachers on every device.
            kept = (torch.rand(len(total)) >= DROP).to(total)
            kept[total.argmax()] = 1
        return weighted(losses, kept * len(kept) / kept.sum())


class Explained(nn.Module):
    """Divides each teacher's losses by what its mean alone would lose.

    Squared errors then are shares of the variance that is left unexplained, one minus R², and every
    other loss too starts from 1, whatever the teacher's dimensions and scale.

    Source: ours; for squared errors it is the normalised mean squared error.
    """

    means: Tensor

    def __init__(self, teachers: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.ones(teachers))

    def start_at(self, means: Float32[Tensor, " teacher"]) -> None:
        """Take over what each teacher's mean loses."""
        self.means.copy_(means)

    def forward(self, losses: Losses) -> Terms:
        """Weigh the losses of one step."""
        return weighted(losses, 1 / self.means)


class Uncertainty(nn.Module):
    """Learns one variance a teacher: losses that can't be lowered count less and less.

    For a loss that stays at L the variance goes to L, and the weight to 1 / L. It starts at what
    the teacher's mean alone would lose, because a short run would not get there from 1.

    Source: Kendall et al. (arXiv 1705.07115), equation 7, doubled, with the logarithm of the
    variance as what is learned.
    """

    def __init__(self, teachers: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(teachers))

    def start_at(self, means: Float32[Tensor, " teacher"]) -> None:
        """Take over what each teacher's mean loses as its variance."""
        with torch.no_grad():
            self.log_variance.copy_(means.log())

    def forward(self, losses: Losses) -> Terms:
        """Weigh the losses of one step, and add what keeps variances from growing."""
        # A parameter's own views ask for a gradient even where none is taken.
        prices = {
            f"{name}/log_variance": own
            for name, own in zip(losses, self.log_variance.clone().unbind(), strict=True)
        }
        return weighted(losses, (-self.log_variance).exp()) | prices


Balance = Equal | Dropping | Explained | Uncertainty


class Balanced(nn.Module):
    """All that a run trains: a translator, and what weighs its teachers against each other."""

    def __init__(self, translator: Translator, kind: BalanceKind) -> None:
        super().__init__()
        self.translator = translator
        self.balance = make(kind, len(translator.specs)).to(translator.student.mean.device)

    def forward(self, standardised: Tensor) -> dict[str, Tensor]:
        """Translate standardised tokens into every teacher's normalised space."""
        return self.translator(standardised)


def make(kind: BalanceKind, teachers: int) -> Balance:
    """Make a balance; those that start at what the teachers' means lose still have to be told."""
    if kind == "explained":
        return Explained(teachers)
    if kind == "uncertainty":
        return Uncertainty(teachers)
    return Dropping() if kind == "drop" else Equal()


def totals(losses: Losses) -> Float32[Tensor, " teacher"]:
    """Add up each teacher's losses."""
    return torch.stack([torch.stack(list(own.values())).sum() for own in losses.values()])


def weighted(losses: Losses, weights: Float32[Tensor, " teacher"]) -> Terms:
    """Multiply each teacher's losses by its weight."""
    terms = Terms()
    for (teacher, own), weight in zip(losses.items(), weights.unbind(), strict=True):
        terms |= {f"{teacher}/{name}": weight * value for name, value in own.items()}
    return terms


def mean_losses(batches: Iterable[tuple[int, Losses]]) -> Float32[Tensor, " teacher"]:
    """Average each teacher's loss over batches of so many clips.

    Raises:
        ConfigError: There is nothing to divide by: a loss is zero, or not finite.
    """
    found = [(clips, totals(losses), tuple(losses)) for clips, losses in batches]
    clips = sum(count for count, _, _ in found)
    means = torch.stack([total * count / clips for count, total, _ in found]).sum(0)
    for teacher, mean in zip(found[0][2], means.tolist(), strict=True):
        if not 0 < mean < float("inf"):
            raise ConfigError(
                f"the mean of {teacher} alone has a loss of {mean:g}, expected more than 0, to "
                f"divide by: choose another --balance or other --losses, or leave {teacher} out"
            )
    return means
