"""Latents that read a clip, and answer each place of the teacher's grid."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.attention import Answer, Block, Embedding
from polyspace.models.grids import TokenShape, resample

LATENTS = 64


class Perceiver(nn.Module):
    """A few latents attend to all of the student's tokens; the teacher's grid attends to them.

    Each place of the teacher's grid asks with what the student saw there and then. The cost grows
    with the tokens, not with their square.

    Source: Perceiver IO (arXiv 2107.14795), figure 2; the original's attn_resampler. Residual
    paths, which the original's latents lack, and the zero start are ours.
    """

    def __init__(self, source: TokenShape, target: TokenShape, hidden: int) -> None:
        super().__init__()
        self.grid = target.time, target.space
        self.tokens = Embedding(source, hidden)
        self.queries = Embedding(replace(target, dim=source.dim), hidden)
        self.latents = nn.Parameter(0.02 * torch.randn(LATENTS, hidden))
        self.read, self.think, self.tell = Block(hidden), Block(hidden), Block(hidden)
        self.answer = Answer(hidden, target)

    def forward(
        self, student: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Give what to add to the linear map's tokens."""
        latents = self.latents.expand(student.shape[0], -1, -1)
        latents = self.read(latents, self.tokens(student))
        latents = self.think(latents, latents)
        time, space = self.grid
        return self.answer(
            self.tell(self.queries(resample(student, time=time, space=space)), latents)
        )
