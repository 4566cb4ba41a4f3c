"""Small ablations: settings of one, and the record of another."""

import sys
from pathlib import Path
from typing import Any

from polyspace.report.records.ablation import Ablation
from polyspace.train.ablation import AblationConfig
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.train_converter import ConverterSettings
from tasks import ablations
from tasks.tracking import Tracker

CONVERTER = ConverterSettings(kind="linear", epochs=1, batch=16, hidden=4, device="cpu")
FUSION = FusionSettings(epochs=1, rank=2, device="cpu")


def ablation_of(features: Path, out: Path, **changes) -> AblationConfig:
    """Describe an ablation of two teachers whose trainings take a moment each."""
    settings = {
        "dataset": "toy",
        "features": features,
        "student": "stu",
        "teachers": ("flow", "look"),
        "out": out,
        "groups": ("teachers",),
        "seeds": 2,
        "converter": CONVERTER,
        "fusion": FUSION,
        "resamples": 200,
    }
    return AblationConfig.model_validate(settings | changes)


def row_of(name: str, group: str, share: float, **changes) -> dict[str, Any]:
    """Give a row that lies around a share, as JSON has it."""
    return {
        "name": name,
        "group": group,
        "is_student": False,
        "changed": {"what": name},
        "gap": "",
        "top1": around(share),
        "seeds": (share - 0.01, share + 0.01),
        "to_base": {**around(share - 0.7), "p": 0.02},
        "holm_p": 0.04 if share < 0.5 else 0.6,
        "over_student": {**around(share - 0.5), "p": 0.01},
        "r2": {"flow": 0.4, "look": 0.25},
        "held_top1": share,
        "parameters": 12345,
        "seconds": 6.5,
    } | changes


def around(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def ablated() -> Ablation:
    """Give the record of a base, its student, one worse and one equal variation, and a gap."""
    nothing = dict.fromkeys(("top1", "to_base", "holm_p", "over_student", "held_top1"))
    student = {"is_student": True, "over_student": None, "r2": {}, "changed": {}}
    rows = [
        row_of("base", "base", 0.7, changed={}, to_base=None, holm_p=None),
        row_of("student alone", "base", 0.5, **student, held_top1=None, seconds=None),
        row_of("without flow", "teachers", 0.4, r2={"look": 0.25}),
        row_of("experts", "joins", 0.71),
        row_of(
            "fewer views",
            "views",
            0.0,
            seeds=(),
            r2={},
            parameters=None,
            seconds=None,
            gap="this store has one view of each clip",
            **nothing,
        ),
    ]
    return Ablation.model_validate(
        {
            "created": "2026-01-01T00:00:00+00:00",
            "command": "python -m flows.ablate --dataset toy",
            "device": "CPU (x86_64), 1 threads",
            "versions": {"torch": "2"},
            "dataset": "toy",
            "split": "test",
            "clips": 35,
            "coverage": 36,
            "groups": 9,
            "looks": 10,
            "chance": 1 / 3,
            "student": "stu",
            "teachers": ("flow", "look"),
            "seeds": (0, 1),
            "resamples": 200,
            "fingerprint": "ab" * 32,
            "train_fingerprint": "cd" * 32,
            "base": {"fusion.join": "gated"},
            "rows": rows,
        }
    )


if __name__ == "__main__":
    CONFIG = AblationConfig.model_validate_json(Path(sys.argv[1]).read_text())
    for VARIATION in ablations.plan(CONFIG):
        ablations.measure.fn(CONFIG, VARIATION, Tracker(enabled=False))
