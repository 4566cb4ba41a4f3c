"""A model's answers to held-out clips; the same way for the source and for what was exported."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyspace.export import source
from polyspace.export.formats.kinds import Entry, Runner
from polyspace.train.batches import in_order
from polyspace.train.sources import StoredClips

BATCH: Mapping[Entry, int] = {"tokens": 64, "pictures": 4}
"""Looks at a time."""
LOOKS = "looks"
"""Name of a batch within its file."""


def held_out(
    entry: Entry, student: str, clips: StoredClips, root: Path | None = None
) -> Iterator[Tensor]:
    """Give every look at every clip that the student has seen, in the store's order.

    Args:
        entry: What the model takes.
        student: Backbone whose tokens, or whose pictures.
        clips: The clips.
        root: Folder of the videos, for pictures.
    """
    for rows in in_order(clips.rows((student,)), BATCH[entry]):
        yield source.inputs(entry, student, clips, rows, root)


def prepare(batches: Iterator[Tensor], folder: Path) -> Path:
    """Write batches down, for a process that can't make them: decoding takes processes itself."""
    for number, batch in enumerate(batches):
        save_file({LOOKS: batch.contiguous()}, folder / f"{number:06}.safetensors")
    return folder


def prepared(folder: Path) -> Iterator[Tensor]:
    """Give batches as they were written down."""
    return (load_file(path)[LOOKS] for path in sorted(folder.iterdir()))


def some(batches: Iterator[Tensor], count: int) -> Tensor:
    """Take the first looks, up to a number of them."""
    first = next(batches)
    more = -(-count // len(first)) - 1
    return torch.cat([first, *islice(batches, more)])[:count]


@torch.inference_mode()
def answer(run: Runner, batches: Iterator[Tensor]) -> Float32[Tensor, "look label"]:
    """Run a model over batches."""
    return torch.cat([run(batch).float().cpu() for batch in batches])
