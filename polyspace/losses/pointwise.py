"""Losses that take each token by itself, whatever else is in the batch.

Cosine asks for the right direction and is blind to size; smooth L1 asks for the right values and
is not ruled by outliers. Together they are the usual recipe of multi-teacher distillation: Theia
(arXiv 2407.20179) weighs them 0.9 and 0.1, UNIC (arXiv 2408.05088) equally.
"""

from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional


def l1(
    predicted: Float32[Tensor, "*batch dim"], true: Float32[Tensor, "*batch dim"]
) -> Float32[Tensor, ""]:
    """Give the mean absolute error: its optimum is the median.

    Source: Laplace (1774), least absolute deviations.
    """
    return functional.l1_loss(predicted, true)


def l2(
    predicted: Float32[Tensor, "*batch dim"], true: Float32[Tensor, "*batch dim"]
) -> Float32[Tensor, ""]:
    """Give the mean squared error: its optimum is the mean, and outliers rule it.

    Source: Legendre (1805), least squares; Hinton et al. (arXiv 1503.02531), 2.1, for distillation.
    """
    return functional.mse_loss(predicted, true)


def smooth_l1(
    predicted: Float32[Tensor, "*batch dim"],
    true: Float32[Tensor, "*batch dim"],
    *,
    beta: float = 1.0,
) -> Float32[Tensor, ""]:
    """Give the mean of e**2 / (2 beta) for errors e below beta, and of abs(e) - beta / 2 above.

    Source: Girshick, Fast R-CNN (arXiv 1504.08083), equation 3; Huber (1964) scaled by 1 / beta.
    """
    return functional.smooth_l1_loss(predicted, true, beta=beta)


def cosine(
    predicted: Float32[Tensor, "*batch dim"], true: Float32[Tensor, "*batch dim"]
) -> Float32[Tensor, ""]:
    """Give one minus the mean cosine similarity: 0 for the same directions, 2 for opposite ones.

    Source: Theia (arXiv 2407.20179), equation 1.
    """
    return 1 - functional.cosine_similarity(predicted, true, dim=-1).mean()
