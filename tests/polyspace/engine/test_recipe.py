import pytest
from pydantic import ValidationError

from polyspace.engine.recipe import Recipe
from polyspace.errors import PrecisionError


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"max_steps": 0},
        {"early_stop": 0},
        {"lr": 0},
        {"schedule": "step"},
        {"warmup": 1.1},
        {"optimizer": "adam"},
        {"clip_norm": 0},
        {"accumulate": 0},
        {"ema": 1},
        {"max_skips": 0},
    ],
)
def test_settings_outside_their_bounds_are_refused(wrong):
    with pytest.raises(ValidationError):
        Recipe(**wrong)


@pytest.mark.parametrize(
    ("flags", "compute"), [({}, "fp32"), ({"use_bf16": True}, "bf16"), ({"use_amp": True}, "fp16")]
)
def test_flags_decide_the_number_types(flags, compute):
    types = Recipe(device="cpu", **flags).types()
    assert (types.compute, types.tf32) == (compute, False)


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(PrecisionError, match=r"--use-tf32 on cpu: only GPUs .* leave it out"):
        Recipe(device="cpu", use_tf32=True).types()
