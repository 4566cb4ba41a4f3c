"""Inputs computed once and recalled from disk: frozen converters need not run every epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor

from polyspace.precision import to_compute
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
    inputs: Callable[[Rows], Inputs], rows: Int64[ndarray, " row"], folder: Path
) -> Recalled:
    """Compute the inputs of all rows once, into files in `folder` that the caller removes."""
    first = inputs(rows[:1])
    student = _file(folder, "student", first.student, len(rows))
    translated = {
        name: _file(folder, f"translated_{index}", tokens, len(rows))
        for index, (name, tokens) in enumerate(first.translated.items())
    }
    done = 0
    for part in in_order(rows, BATCH):
        given = inputs(part)
        student[done : done + len(part)] = given.student.cpu().numpy()
        for name, values in translated.items():
            values[done : done + len(part)] = given.translated[name].cpu().numpy()
        done += len(part)
    return Recalled(rows, student, translated, first.student.device)


def _file(
    folder: Path, name: str, like: Tensor, rows: int
) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
    shape = (rows, *like.shape[1:])
    return np.memmap(folder / f"{name}.f32", dtype=np.float32, mode="w+", shape=shape)
