"""Small feature stores whose teachers are a known function of their student."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from polyspace.models.grids import TokenShape, resample
from polyspace.precision import FeatureType
from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.writer import StoreWriter

Shape = tuple[int, int, int]
"""Time, space and dim of a backbone's tokens."""

STUDENT = ("stu", 4, 4, 6)
TEACHERS: Mapping[str, Shape] = {"flow": (4, 4, 3), "look": (2, 1, 8)}


def make_store(
    folder: Path,
    split: str,
    *,
    clips: int = 48,
    classes: int = 3,
    groups: int = 12,
    student: tuple[str, int, int, int] = STUDENT,
    teachers: Mapping[str, Shape] = TEACHERS,
    seed: int = 0,
    dataset: str = "toy",
    fingerprints: Mapping[str, str] | None = None,
    quarantined: int = 0,
    labels_moved: int = 0,
    random: tuple[str, ...] = (),
    storage: FeatureType = "float16",
    views: int = 1,
    class_names: tuple[str, ...] = (),
    ids_of: str = "",
    looks_of: str = "",
    spatial: str = "",
) -> Path:
    """Write a store; give its path. The splits of one seed show one world.

    Each class has tokens of its own in every place of the picture, and clips scatter around them.
    A teacher that is no wider than the student is an affine function of it on its own grid, which
    a linear converter finds exactly. A wider one adds products of two of the student's dimensions,
    which no linear map can follow.

    Args:
        folder: Where to.
        split: Name of the split.
        clips: Clips, the quarantined ones among them.
        classes: Classes; every group belongs to one.
        groups: Groups; clip i is of group i modulo `groups`.
        student: Name, time, space and dim.
        teachers: Time, space and dim by name.
        seed: Draws everything.
        dataset: Name of the data set.
        fingerprints: Of the weights, by backbone, where they are to be other ones than usual.
        quarantined: How many of the last clips nothing could be seen of.
        labels_moved: Added to every label, modulo `classes`: the same clips, named otherwise.
        random: Backbones whose weights are said to be random.
        storage: Type that the features are stored in.
        views: Of every clip, each scattered in a way of its own; the first are those of one view.
        class_names: Where they are to be other ones than usual.
        ids_of: A split whose clips' ids and groups these are to have.
        looks_of: A split whose clips these are to look like, to the bit.
        spatial: How the tokens are said to be pooled.
    """
    name, *sizes = student
    shapes = {name: TokenShape(*sizes)} | {key: TokenShape(*own) for key, own in teachers.items()}
    group = np.arange(clips) % groups
    labels = group % classes
    looks = [
        _tokens((looks_of or split) + "'" * view, torch.from_numpy(labels), shapes, seed)
        for view in range(views)
    ]
    tokens = {key: torch.stack([look[key] for look in looks], 1) for key in shapes}
    return write_store(
        folder / f"{dataset}_{split}.zarr",
        StoreHeader(
            dataset,
            split,
            class_names or tuple(f"c{k}" for k in range(classes)),
            16,
            {"views": 1},
        ),
        ClipRows(
            tuple(f"{ids_of or split}-{row:03d}" for row in range(clips)),
            tuple(f"{ids_of or split}-g{number:02d}" for number in group),
            (labels + labels_moved) % classes,
        ),
        [
            replace(
                spec_of(
                    key,
                    shape,
                    key == name,
                    (fingerprints or {}).get(key, f"{key}-1"),
                    key in random,
                    spatial,
                ),
                dtype=storage,
                views=views,
            )
            for key, shape in shapes.items()
        ],
        tokens,
        quarantined,
    )


def _tokens(
    split: str, labels: Tensor, shapes: Mapping[str, TokenShape], seed: int
) -> dict[str, Tensor]:
    """Draw the student's tokens, and derive the teachers' from them."""
    world = torch.Generator().manual_seed(seed)
    name, *teachers = shapes
    own = shapes[name]
    centres = torch.randn(int(labels.max()) + 1, 1, own.space, own.dim, generator=world)
    scatter = torch.Generator().manual_seed(seed + 1 + sum(map(ord, split)))
    noise = torch.randn(len(labels), own.time, own.space, own.dim, generator=scatter)
    tokens = {name: 0.7 * centres[labels] + noise}
    for teacher in teachers:
        tokens[teacher] = _teacher(tokens[name], shapes[teacher], world)
    return tokens


def _teacher(student: Tensor, shape: TokenShape, world: torch.Generator) -> Tensor:
    """Turn, scale and shift; what is wider than the student adds products."""
    grid = resample(student, time=shape.time, space=shape.space)
    dim = grid.shape[-1]
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=world)).Q
    shift = torch.randn(min(dim, shape.dim), generator=world)
    linear = 2 * grid @ turn[:, : shape.dim] + shift
    products = [grid[..., k % dim] * grid[..., (k + 1) % dim] for k in range(shape.dim - dim)]
    return torch.cat([linear, *(product[..., None] for product in products)], dim=-1)


def spec_of(
    name: str,
    shape: TokenShape,
    is_student: bool,
    fingerprint: str = "1",
    random: bool = False,
    spatial: str = "",
) -> ArraySpec:
    """Say of a backbone what extraction says of one."""
    provenance = {
        "role": "student" if is_student else "teacher",
        "weights": {"source": f"folder of {name}", "fingerprint": fingerprint, "random": random},
        **({"spatial": spatial} if spatial else {}),
    }
    return ArraySpec(name, shape.time, shape.space, shape.dim, provenance=provenance)


def write_store(
    path: Path,
    header: StoreHeader,
    rows: ClipRows,
    specs: list[ArraySpec],
    tokens: Mapping[str, Tensor],
    quarantined: int = 0,
) -> Path:
    """Write tokens of clips; of the last `quarantined` there are none."""
    bad = dict.fromkeys(rows.ids[len(rows) - quarantined :], "no frame can be decoded")
    with StoreWriter.open(path, header, rows, specs) as writer:
        for item in writer.claims():
            part = list(item.rows)
            blocks = {
                spec.backbone: Block(
                    tokens=tokens[spec.backbone][part],
                    summary=tokens[spec.backbone][part].mean((2, 3)),
                    seconds=np.zeros((len(item), spec.views, spec.time, 2)),
                )
                for spec in specs
            }
            ids = [rows.ids[row] for row in part]
            writer.write(item, blocks, {clip: why for clip, why in bad.items() if clip in ids})
    return path
