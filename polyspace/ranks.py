"""Several processes that train one model: which of them this one is, and what they find together.

torchrun starts them, and says in the environment which is which. Without torchrun there is one, and
torch.distributed is never opened. What is said here of ranks is torch's word for such processes.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from numpy import ndarray
from torch import Tensor, distributed

from polyspace.errors import ConfigError, RankError

Rows = Int64[ndarray, " row"]
Share = Int64[ndarray, " own"]

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others where none of them has ended."""

PATH_BYTES = 4096
"""Longest path that Linux takes."""


@dataclass(frozen=True)
class Ranks:
    """One of several processes: which, of how many, and on this machine.

    What takes or gives something "of all ranks" is to be called by all of them.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    """Which of this machine's ranks."""
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files and says lines for all."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Refuse batches of fewer clips than there are ranks.

        Raises:
            ConfigError: Some ranks would have nothing of their own to do.
        """
        if batch < self.count:
            raise ConfigError(
                f"batches of {batch} clips for {self.count} processes: raise --batch, or start "
                f"fewer (torchrun --nproc_per_node)"
            )

    def share(self, rows: Rows) -> Share:
        """Give this rank's part of a batch; of fewer rows than ranks, every one takes all.

        Either way the mean over ranks, weighed by `weight`, is the mean over the whole batch.
        """
        return _part(rows, self.rank, self.count) if len(rows) >= self.count else rows

    def local_share(self, rows: Rows) -> Share:
        """Give this rank's part of what the ranks of one machine do for each other."""
        return _part(rows, self.local, self.local_count)

    def weight(self, clips: int) -> float:
        """Say by what to multiply the mean over this rank's clips before `mean` is taken.

        Args:
            clips: Of this rank; the weights make up for those that have fewer.
        """
        return 1.0 if self.count == 1 else clips * self.count / float(_sum(torch.tensor(clips)))

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """Give the mean over all ranks of each value."""
        if self.count == 1:
            return dict(values)
        means = _sum(torch.tensor(list(values.values()), dtype=torch.float64)) / self.count
        return dict(zip(values, means.tolist(), strict=True))

    def as_first(self, values: Mapping[str, float]) -> dict[str, float]:
        """Give the first rank's values on all ranks, so that all decide alike."""
        if self.count == 1:
            return dict(values)
        theirs = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.broadcast(theirs, src=0)
        return dict(zip(values, theirs.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Say on all ranks whether the flag is set on one of them."""
        return flag if self.count == 1 else bool(_sum(torch.tensor(int(flag))))

    def wait(self) -> None:
        """Go on when all ranks are here."""
        self.any(False)

    def whole(self, own: Shaped[Tensor, "own ..."]) -> Shaped[Tensor, "clip ..."]:
        """Put the ranks' clips one after the other.

        The gradient goes to the own clips alone, and makes up for the `weight` of what is computed
        from it: the mean over ranks of their weighted gradients is the gradient of the whole.
        """
        return own if self.count == 1 else _Whole.apply(own, self)

    @contextmanager
    def folder(self) -> Generator[Path]:
        """Make a folder that the ranks of one machine share, and that is gone afterwards."""
        with TemporaryDirectory() if self.local == 0 else nullcontext("") as made:
            names = self.whole(_encoded(made))
            yield Path(_decoded(names[self.rank - self.local]))
            self.wait()


ALONE = Ranks()
"""One process."""


def launched() -> Ranks:
    """Read from torchrun's environment which rank this is; without it, one process is alone."""
    if not distributed.is_torchelastic_launched():
        return ALONE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Ranks(*(int(os.environ[name]) for name in names))


@contextmanager
def joined(device: torch.device) -> Generator[Ranks]:
    """Meet the other ranks that torchrun started, for as long as the block runs.

    Tensors on GPUs meet by NCCL, those on CPUs by gloo.

    Raises:
        RankError: Another rank ended, or kept the others waiting for too long.
    """
    ranks = launched()
    if ranks.count == 1:
        yield ALONE
        return
    _open(device)
    try:
        yield ranks
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo/" in str(error):
            raise RankError(
                "another process ended or doesn't answer: mend what its own line says, then give "
                "the same command again"
            ) from error
        raise
    finally:
        distributed.destroy_process_group()


def _open(device: torch.device) -> None:
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        timeout=PATIENCE,
        device_id=device if on_gpu else None,
    )


class _Whole(torch.autograd.Function):
    """All ranks' clips, of which the own ones have a gradient."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks) -> Tensor:  # noqa: ANN401
        sizes = torch.zeros(ranks.count, dtype=torch.int64)
        sizes[ranks.rank] = len(own)
        sizes = _sum(sizes).tolist()
        ctx.total, ctx.first, ctx.size = sum(sizes), sum(sizes[: ranks.rank]), len(own)
        whole = own.new_zeros(ctx.total, *own.shape[1:])
        whole[ctx.first : ctx.first + ctx.size] = own
        return _sum(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        own = gradients[0][ctx.first : ctx.first + ctx.size]
        return own * (ctx.total / ctx.size), None


def _sum(own: Tensor) -> Tensor:
    """Add up, in place, what all ranks have."""
    distributed.all_reduce(own)
    return own


def _part(rows: Rows, which: int, of: int) -> Share:
    return np.array_split(rows, of)[which]


def _encoded(path: str) -> UInt8[Tensor, "1 byte"]:
    return torch.tensor([list(os.fsencode(path).ljust(PATH_BYTES, b"\0"))], dtype=torch.uint8)


def _decoded(path: UInt8[Tensor, " byte"]) -> str:
    return os.fsdecode(bytes(path.tolist()).rstrip(b"\0"))
