"""Losses that compare the tokens of a batch with each other.

They ask for what a teacher's space tells apart, not for its coordinates: whoever wants translations
to stand in for the teacher's features adds a loss that takes each token by itself. Where clips are
compared with clips, each place of the grid is compared with the same place. The teacher is frozen,
so what would only depend on its features is left out.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

Tokens = Float32[Tensor, "clip *place dim"]
Value = Float32[Tensor, ""]


def info_nce(
    predicted: Tokens, true: Tokens, videos: Int64[Tensor, " clip"], *, temperature: float = 0.1
) -> Value:
    """Ask each translation to find its own clip among the batch's, and each clip its translation.

    Other views of a clip's own video are neither right nor wrong: they are left out.

    Source: van den Oord et al. (arXiv 1807.03748), equation 4; CLIP (arXiv 2103.00020), figure 3,
    for both directions.
    """
    ours, theirs = (functional.normalize(_by_place(tokens), dim=-1) for tokens in (predicted, true))
    itself = torch.eye(len(videos), dtype=torch.bool, device=videos.device)
    same_video = (videos[:, None] == videos) & ~itself
    logits = (ours @ theirs.mT / temperature).masked_fill(same_video, -torch.inf)
    right = torch.arange(len(videos), device=videos.device).repeat(len(logits))
    either_way = (logits.flatten(0, 1), logits.mT.flatten(0, 1))
    return torch.stack([functional.cross_entropy(way, right) for way in either_way]).mean()


def vicreg(predicted: Tokens, true: Tokens) -> Value:
    """Weigh squared error, dimensions that vary too little, and dimensions that vary together.

    Source: Bardes et al. (arXiv 2105.04906), equations 1 to 6, with the weights 25, 25 and 1.
    """
    rows = predicted.flatten(0, -2)
    around = rows - rows.mean(0)
    covariance = around.T @ around / (len(rows) - 1)
    deviation = (covariance.diagonal() + 1e-4).sqrt()
    too_little = functional.relu(1 - deviation).mean()
    together = _off_diagonal(covariance).square().sum() / rows.shape[-1]
    return 25 * functional.mse_loss(predicted, true) + 25 * too_little + together


def barlow_twins(predicted: Tokens, true: Tokens, *, redundancy: float = 5e-3) -> Value:
    """Ask each dimension to go with its own of the teacher's, and with no other.

    It sums over pairs of dimensions, and few rows correlate by chance: weigh it far below the
    others, and give it large batches.

    Source: Zbontar et al. (arXiv 2103.03230), equations 1 and 2.
    """
    ours, theirs = (_standardised(tokens.flatten(0, -2)) for tokens in (predicted, true))
    correlation = ours.T @ theirs / len(ours)
    own = (1 - correlation.diagonal()).square().sum()
    return own + redundancy * _off_diagonal(correlation).square().sum()


def linear_cka(predicted: Tokens, true: Tokens) -> Value:
    """Give one minus the similarity of two spaces, blind to rotation, scale and shift.

    Source: Kornblith et al. (arXiv 1905.00414), section 3, linear kernel over centred features.
    """
    ours, theirs = (tokens.flatten(0, -2) for tokens in (predicted, true))
    ours, theirs = ours - ours.mean(0), theirs - theirs.mean(0)
    sizes = (ours.T @ ours).norm() * (theirs.T @ theirs).norm()
    return 1 - (theirs.T @ ours).square().sum() / sizes.clamp(min=1e-12)


def relational(predicted: Tokens, true: Tokens) -> Value:
    """Ask for the teacher's distances between clips, as shares of their mean.

    Source: Park et al. (arXiv 1904.05068), equations 5 to 8, distance-wise.
    """
    ours, theirs = (_distances(_by_place(tokens)) for tokens in (predicted, true))
    return functional.smooth_l1_loss(ours, theirs)


def _by_place(tokens: Tokens) -> Float32[Tensor, "places clip dim"]:
    """Bring places to the front, so that each is compared by itself."""
    return tokens.reshape(len(tokens), -1, tokens.shape[-1]).transpose(0, 1)


def _distances(tokens: Float32[Tensor, "places clip dim"]) -> Float32[Tensor, "places pair"]:
    """Give each pair's distance, as a share of the place's mean distance."""
    first, second = torch.triu_indices(tokens.shape[1], tokens.shape[1], 1, device=tokens.device)
    found = torch.cdist(tokens, tokens, compute_mode="donot_use_mm_for_euclid_dist")
    found = found[:, first, second]
    return found / found.mean(dim=1, keepdim=True).clamp(min=1e-6)


def _standardised(rows: Float32[Tensor, "row dim"]) -> Float32[Tensor, "row dim"]:
    variance, mean = torch.var_mean(rows, dim=0, correction=0)
    return (rows - mean) / (variance + 1e-5).sqrt()


def _off_diagonal(square: Float32[Tensor, "dim dim"]) -> Float32[Tensor, "dim dim"]:
    return square - square.diagonal().diag()
