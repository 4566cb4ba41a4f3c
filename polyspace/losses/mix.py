"""Combinations of losses, as they are written on the command line: ``cosine=0.9 smooth_l1=0.1``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from jaxtyping import Float32, Int64
from torch import Tensor

from polyspace.errors import ConfigError, UnknownNameError
from polyspace.losses import batchwise, pointwise

POOLED = "pooled_"
"""Before a loss's name: it compares each clip's mean token instead of all tokens."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes translated and true features and the videos that they are of."""


def _without_videos(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return lambda predicted, true, _: loss(predicted, true)


LOSSES: Mapping[str, Loss] = {
    "l1": _without_videos(pointwise.l1),
    "l2": _without_videos(pointwise.l2),
    "smooth_l1": _without_videos(pointwise.smooth_l1),
    "cosine": _without_videos(pointwise.cosine),
    "info_nce": batchwise.info_nce,
    "vicreg": _without_videos(batchwise.vicreg),
    "barlow_twins": _without_videos(batchwise.barlow_twins),
    "linear_cka": _without_videos(batchwise.linear_cka),
    "relational": _without_videos(batchwise.relational),
}
"""All losses by name."""

LEAST_CLIPS: Mapping[str, int] = {
    "info_nce": 2,
    "vicreg": 2,
    "barlow_twins": 3,
    "linear_cka": 3,
    "relational": 3,
}
"""Clips of a batch below which a loss says nothing; the others take one clip as well as many."""


@dataclass(frozen=True)
class Term:
    """One loss and its weight."""

    name: str
    """As it is written, with `pooled_` where it is on mean tokens."""
    weight: float

    @classmethod
    def parse(cls, text: str) -> "Term":
        """Read ``name=weight``.

        Raises:
            UnknownNameError: There is no such loss.
            ConfigError: There is no weight, or one that is not a positive number.
        """
        name, _, weight = text.partition("=")
        if name.removeprefix(POOLED) not in LOSSES:
            raise UnknownNameError("loss", name, [*LOSSES, *(POOLED + known for known in LOSSES)])
        try:
            value = float(weight)
        except ValueError:
            value = 0.0
        if not (isfinite(value) and value > 0):
            raise ConfigError(f"loss {text!r}: expected a positive weight, as in {name}=0.5")
        return cls(name, value)

    @property
    def loss(self) -> str:
        """Its name without `pooled_`."""
        return self.name.removeprefix(POOLED)

    def __call__(
        self,
        predicted: Float32[Tensor, "clip time space dim"],
        true: Float32[Tensor, "clip time space dim"],
        videos: Int64[Tensor, " clip"],
    ) -> Float32[Tensor, ""]:
        """Give the weighted loss."""
        if self.name.startswith(POOLED):
            predicted, true = (tokens.mean(dim=(1, 2)) for tokens in (predicted, true))
        return self.weight * LOSSES[self.loss](predicted, true, videos)


@dataclass(frozen=True)
class LossMix:
    """Weighted losses, whose sum is minimised."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "LossMix":
        """Read ``name=weight``, each loss once.

        Raises:
            ConfigError: A loss is unknown, without positive weight, or there twice; or none is.
        """
        terms = tuple(Term.parse(text) for text in texts)
        names = [term.name for term in terms]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice or not terms:
            found = f"{twice[0]} twice" if twice else "none"
            raise ConfigError(f"losses: found {found}, expected each one once, as in cosine=0.9")
        return cls(terms)

    @property
    def least_clips(self) -> int:
        """Clips that a batch must have; 1 where no loss compares clips."""
        return max(LEAST_CLIPS.get(term.loss, 1) for term in self.terms)

    def check(self, clips: int) -> None:
        """Refuse batches that are too small.

        Raises:
            ConfigError: A loss needs more clips in a batch.
        """
        for term in self.terms:
            least = LEAST_CLIPS.get(term.loss, 1)
            if clips < least:
                raise ConfigError(
                    f"{term.name} compares the clips of a batch and needs {least} or more, but a "
                    f"batch has {clips}: raise --batch, give more clips, or leave {term.name} out"
                )

    def __call__(
        self,
        predicted: Float32[Tensor, "clip time space dim"],
        true: Float32[Tensor, "clip time space dim"],
        videos: Int64[Tensor, " clip"],
    ) -> dict[str, Float32[Tensor, ""]]:
        """Give each loss by name, times its weight."""
        return {term.name: term(predicted, true, videos) for term in self.terms}
