"""The last step of every backbone: its tokens, as features."""

from jaxtyping import Float
from torch import Tensor

from polyspace.models.backbones.protocol import Features
from polyspace.precision import to_compute


def as_features(
    tokens: Float[Tensor, "clip time space dim"],
    summary: Float[Tensor, "clip dim"] | None = None,
) -> Features:
    """Make features of canonical tokens, float32 even where autocast made something smaller.

    Args:
        tokens: In the order of `TokenGrid`, without a class token.
        summary: The class token; the mean of the tokens stands in for one.
    """
    laid = to_compute(tokens, tokens.device).contiguous()
    if summary is None:
        return Features(tokens=laid, summary=laid.mean(dim=(1, 2)))
    return Features(tokens=laid, summary=to_compute(summary, tokens.device))
