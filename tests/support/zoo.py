"""Small distilled models whose every weight counts, of every kind, ready to leave."""

from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from polyspace.data.clips import WHOLE
from polyspace.data.encode import Setup, array_spec
from polyspace.export.folding import Folded, folds
from polyspace.export.formats.kinds import Subject
from polyspace.export.source import Answers
from polyspace.models.backbones import registry
from polyspace.models.converters import ConverterKind, ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.precision import resolve
from polyspace.store.block import Block
from polyspace.store.layout import ClipRows, StoreHeader
from polyspace.store.writer import StoreWriter
from polyspace.train.sources import StoredClips

STUDENT = TokenShape(4, 4, 8)
GRIDS = (TokenShape(4, 4, 6), TokenShape(2, 1, 24), TokenShape(8, 9, 24), TokenShape(4, 1, 4))
"""Equal, coarser, finer; wider and narrower than what gates see."""
EVERY: tuple[ConverterKind, ...] = get_args(ConverterKind)


def distilled(*kinds: ConverterKind, reach=1, trunk=0, **fusion) -> Distilled:
    """Make a model with a teacher for each kind of converter, on grids of all sorts."""
    torch.manual_seed(0)
    shapes = {f"t{n}_{kind}": GRIDS[n % len(GRIDS)] for n, kind in enumerate(kinds)}
    converters = {
        name: ConverterSpec(
            source=STUDENT, target=shape, kind=kind, reach=reach, hidden=8, trunk=trunk
        )
        for (name, shape), kind in zip(shapes.items(), kinds, strict=True)
    }
    head = FusionSpec(
        student=STUDENT,
        teachers=shapes,
        class_names=("left", "right", "still"),
        rank=4,
        dropout=0.5,
        **fusion,
    )
    return shaken(Distilled(Translator("stu", converters), Fusion(head)).eval())


def shaken(model: Distilled) -> Distilled:
    """Draw every weight and statistic, so that none is zero or one by chance."""
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in model.state_dict().items():
            drawn = torch.randn(values.shape, generator=draw)
            if name.endswith(("std", "variance")):
                drawn = drawn.abs() + 0.5
            scale = values.shape[-1] ** -0.5 if values.ndim > 1 else 0.3
            values.copy_(drawn if name.endswith(("std", "variance")) else scale * drawn)
    return model


def looks(clips: int, shape: TokenShape = STUDENT, seed: int = 0) -> Tensor:
    """Draw tokens of some clips."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(clips, shape.time, shape.space, shape.dim, generator=draw)


def subject(model: Distilled, *, keep=(), clips=24, fold=True) -> Subject:
    """Prepare a model to leave, as `source.subject` does."""
    module = Folded(model) if fold and folds(model) and not keep else Answers(model)
    shape = model.fusion.spec.student
    student = {"name": "stu", "provenance": {"inputs": {"frames": 4}}}
    return Subject(model, "tokens", module.eval(), looks(clips, shape), tuple(keep), student)


@torch.no_grad()
def answers(model: Distilled, inputs: Tensor) -> Tensor:
    """Give what the model itself says."""
    return model(inputs).logits


def seen_by(name: str, weights: str | None, folder: Path, *, frames: int = 4) -> StoredClips:
    """Write a store that says that a backbone made its features; they are drawn."""
    cpu = torch.device("cpu")
    given = {name: weights} if weights else {}
    backbone = registry.load(name, weights=given, frames=frames, device=cpu)
    setup = Setup(cpu, resolve("fp32", cpu), spatial="2", batch=1, processes=0)
    spec = array_spec(backbone, role="student", setup=setup)
    header = StoreHeader("motion", "train", ("left", "right"), 4, protocol=dict(WHOLE.record()))
    rows = ClipRows(("a", "b"), ("a", "b"), np.array([0, 1]))
    with StoreWriter.open(folder / "motion_train.zarr", header, rows, [spec]) as writer:
        for item in writer.pending():
            block = Block(
                tokens=torch.randn(len(item), 1, spec.time, spec.space, spec.dim),
                summary=torch.randn(len(item), 1, spec.dim),
                seconds=np.zeros((len(item), 1, spec.time, 2)),
            )
            writer.write(item, {name: block}, quarantined={})
    return StoredClips.find(folder, dataset=None, split="train", device=cpu)


def distilled_of(name: str, clips: StoredClips) -> Distilled:
    """Make a model whose student a store is of."""
    torch.manual_seed(0)
    student, teacher = clips.shape(name), TokenShape(2, 1, 24)
    converter = ConverterSpec(source=student, target=teacher, kind="ridge", reach=0, hidden=0)
    head = FusionSpec(
        student=student, teachers={"t": teacher}, class_names=("left", "right"), rank=4, dropout=0
    )
    model = Distilled(Translator(name, {"t": converter}), Fusion(head)).eval()
    return shaken(model)
