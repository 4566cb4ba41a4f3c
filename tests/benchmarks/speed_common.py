"""What the parts of `training_speed` share: their stores."""

from pathlib import Path

import torch

from tests.support.stores import make_store

CPU = torch.device("cpu")
STUDENT_DIM, TEACHERS = 1024, {"videomae": 768, "timesformer": 768, "vivit": 768}
"""As V-JEPA 2 (large) and the three base-size teachers: four models in all."""
GRIDS = {"1 x 1": (1, 1), "8 x 1": (8, 1), "8 x 4": (8, 4)}
"""Tokens of a clip: time x space."""
WARM = 3
"""First steps, which are not timed."""


def make_features(home: Path, clips: int, grid: tuple[int, int]) -> None:
    """Write a store of the four models."""
    make_store(
        home,
        "train",
        clips=clips,
        classes=4,
        groups=max(clips // 4, 8),
        student=("stu", *grid, STUDENT_DIM),
        teachers={name: (*grid, dim) for name, dim in TEACHERS.items()},
    )
