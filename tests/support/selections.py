"""Small folders of checkpoints with tables of their metrics."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

HEADER = (
    "step,epoch,ndvi_rmse_v2,evi_rmse_v2,sam_v2,ndvi_rmse_v1,evi_rmse_v1,sam_v1,"
    "mean_edge_displacement,max_edge_displacement,edge_ratio"
)
WORKED = "500,1,.065,.070,.130,.085,.095,.180,1.5,3.5,0.85"
"""The worked example of the specification: its score is 0.0700, and it passes."""


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a table with the columns of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def write_checkpoints(folder: Path, names: Sequence[str]) -> Path:
    """Write checkpoints that differ in their weights, with optimizer and BatchNorm statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        torch.save(
            {
                "model_state_dict": {
                    "weight": torch.full((4, 3), 0.1 + number),
                    "norm.weight": torch.ones(4),
                    "norm.running_mean": torch.full((4,), 0.1),
                    "norm.running_var": torch.full((4,), 1e-9),
                    "norm.num_batches_tracked": torch.tensor(7),
                },
                "optimizer_state_dict": {"state": {0: {"exp_avg": torch.zeros(4, 3)}}},
            },
            folder / name,
        )
    return folder


def scored(folder: Path, scores: Sequence[float], **columns: Sequence[float]) -> Path:
    """Write checkpoint_0, checkpoint_10 … and their table of top1 and log_likelihood."""
    steps = [10 * number for number in range(len(scores))]
    write_checkpoints(folder, [f"checkpoint_{step}.pt" for step in steps])
    write_table(
        folder / "validation_metrics.csv",
        [
            {"step": step, "top1": top1, "log_likelihood": -1.0}
            | {name: values[place] for name, values in columns.items()}
            for place, (step, top1) in enumerate(zip(steps, scores, strict=True))
        ],
    )
    return folder
