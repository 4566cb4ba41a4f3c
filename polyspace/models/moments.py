"""Means and second moments of tokens that come batch by batch, in one pass and in float64."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

TOKENS = 1024
"""That are in float64 at a time."""

Products = Callable[[Float64[Tensor, "token dim"]], Float[Tensor, "..."]]
"""Sums, over tokens, products of two of their dimensions: whichever are wanted."""


class RunningMoments:
    """Count and mean of tokens, and the sums of products of their deviations from the mean.

    All is counted from the first tokens' mean, and centred before it is multiplied, so that nothing
    cancels where the mean is far larger than the deviations.

    Source: Chan, Golub & LeVeque (1979), the pairwise update of mean and sum of squares; it holds
    for any product of two deviations.
    """

    def __init__(self, products: Products) -> None:
        """Begin without tokens.

        Args:
            products: `squares`, `outer`, or others.
        """
        self.count = 0
        self.sums = torch.zeros((), dtype=torch.float64)
        self._products = products
        self._origin = torch.zeros((), dtype=torch.float64)
        self._from_origin = torch.zeros((), dtype=torch.float64)

    @property
    def mean(self) -> Float64[Tensor, "*dim"]:
        """The mean of each dimension; 0 before the first token."""
        return self._origin + self._from_origin

    def add(self, batch: Float[Tensor, "*token dim"]) -> None:
        """Take in more tokens."""
        for tokens in batch.flatten(0, -2).split(TOKENS):
            if not self.count:
                self._origin = tokens.double().mean(0)
            self._add(tokens.double() - self._origin)

    def _add(self, tokens: Float64[Tensor, "token dim"]) -> None:
        mean = tokens.mean(0)
        delta, share = mean - self._from_origin, len(tokens) / (self.count + len(tokens))
        # What the two means differ by counts as the deviation of one more token.
        between = delta * (self.count * share) ** 0.5
        deviations = torch.cat([tokens - mean, between[None]])
        products = self._products(deviations)
        # In place: they are the largest thing here, and clearing new pages costs as much as adding.
        self.sums = self.sums.add_(products) if self.count else products.double()
        self._from_origin = self._from_origin + delta * share
        self.count += len(tokens)


def squares(deviations: Float64[Tensor, "token dim"]) -> Float64[Tensor, " dim"]:
    """Multiply each dimension with itself alone: cheap, and all that a variance takes."""
    return deviations.square().sum(0)


def outer(deviations: Float64[Tensor, "token dim"]) -> Float64[Tensor, "dim dim"]:
    """Multiply each dimension with each: a covariance."""
    return deviations.T @ deviations
