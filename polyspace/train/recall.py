"""Inputs computed once and recalled from disk: frozen converters need not run every epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.precision import to_compute
from polyspace.ranks import ALONE, Ranks
from polyspace.train.batches import in_order
from polyspace.train.fit import BATCH
from polyspace.train.fusion_workload import Inputs, Rows


@dataclass(frozen=True, eq=False)
class Recalled:
    """Inputs of some rows, in mapped files: memory does not grow with the number of clips."""

    rows: Int64[ndarray, " row"]
    """In ascending order; other rows can't be recalled."""
    student: Float32[ndarray, "row time space dim"]
    translated: Mapping[str, Float32[ndarray, "row _ _ _"]]
    device: torch.device

    def __call__(self, rows: Rows) -> Inputs:
        """Give the inputs of some of the rows."""
        where = np.searchsorted(self.rows, rows)
        recalled = {name: self._gather(values, where) for name, values in self.translated.items()}
        return Inputs(self._gather(self.student, where), recalled)

    def _gather(self, values: ndarray, where: Rows) -> Tensor:
        return to_compute(torch.from_numpy(values[where]), self.device)


@torch.no_grad()
def recall(
    inputs: Callable[[Rows], Inputs],
    rows: Int64[ndarray, " row"],
    folder: Path,
    ranks: Ranks = ALONE,
) -> Recalled:
    """Compute the inputs of all rows once, into files in `folder` that the caller removes.

    The ranks of one machine, which share the folder, share the work.
    """
    first = inputs(rows[:1])
    student = _file(folder, "student", first.student, len(rows))
    translated = {
        name: _file(folder, f"translated_{index}", tokens, len(rows))
        for index, (name, tokens) in enumerate(first.translated.items())
    }
    own = ranks.local_share(np.arange(len(rows)))
    for part in in_order(own, BATCH):
        given = inputs(rows[part])
        student[part] = given.student.cpu().numpy()
        for name, values in translated.items():
            values[part] = given.translated[name].cpu().numpy()
    ranks.wait()
    return Recalled(rows, student, translated, first.student.device)


def _file(
    folder: Path, name: str, like: Tensor, rows: int
) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
    """Map a file, made if it isn't there: nobody empties what another rank has begun."""
    path, shape = folder / f"{name}.f32", (rows, *like.shape[1:])
    path.touch()
    with path.open("r+b") as file:
        file.truncate(4 * prod(shape))
    return np.memmap(path, dtype=np.float32, mode="r+", shape=shape)
