"""Each place of the picture followed through time."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from polyspace.models.attention import Answer, Block, Embedding
from polyspace.models.grids import TokenShape, resample

BLOCKS = 2


class TemporalTransformer(nn.Module):
    """Tokens attend to their own place at all times, at the student's rate; places never mix.

    Source: TimeSformer (arXiv 2102.05095), the temporal half of divided attention. The zero start
    is ours.
    """

    def __init__(self, source: TokenShape, target: TokenShape, hidden: int) -> None:
        super().__init__()
        self.source, self.target = replace(source, space=target.space), target
        self.tokens = Embedding(self.source, hidden)
        self.blocks = nn.ModuleList(Block(hidden) for _ in range(BLOCKS))
        self.answer = Answer(hidden, target)

    def forward(
        self, student: Float[Tensor, "clip time space dim"]
    ) -> Float[Tensor, "clip time_out space_out dim_out"]:
        """Give what to add to the linear map's tokens."""
        time, space = self.source.time, self.source.space
        tokens = self.tokens(resample(student, time=time, space=space))
        lines = tokens.unflatten(1, (time, space)).transpose(1, 2).flatten(0, 1)
        for block in self.blocks:
            lines = block(lines, lines)
        grid = lines.unflatten(0, (student.shape[0], space)).transpose(1, 2)
        return self.answer(resample(grid, time=self.target.time, space=space).flatten(1, 2))
