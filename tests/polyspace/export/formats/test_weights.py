from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from polyspace.errors import CheckpointError, ExportError
from polyspace.export.formats import weights
from polyspace.export.formats.kinds import Subject
from polyspace.export.source import CPU, Answers
from polyspace.export.stored import quantization_info
from polyspace.precision import has_native_bfloat16
from tests.support.exported import back_from, drawn

KINDS = tuple(weights.TYPES)
TOLERANCE = {"fp32": 0.0, "fp16": 2e-3, "mixed": 2e-3, "bf16": 2e-2, "int8": 2e-2}
"""Of the largest logit."""
TOKENS = torch.randn(5, 4, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[0, 4], ids=["alone", "trunk"])
def model(request):
    return drawn(trunk=request.param)


def subject(model, **changes):
    settings: dict[str, Any] = {
        "entry": "tokens",
        "module": Answers(model),
        "inputs": TOKENS,
    } | changes
    return Subject(model, **settings | changes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_back_says_nearly_what_was_written(model, kind, tmp_path):
    weights.write(kind, subject(model), tmp_path)
    loaded = weights.load(kind, tmp_path, model.specs(), CPU)
    with torch.no_grad():
        expected = model(TOKENS).logits
    allowed = TOLERANCE[kind] * float(expected.abs().max())
    if kind == "bf16" and has_native_bfloat16(CPU):
        allowed *= 3  # its products are rounded, too
    assert loaded.run(TOKENS).dtype == torch.float32
    torch.testing.assert_close(loaded.run(TOKENS), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_clips_are_answered_one_by_one(kind, count, tmp_path):
    model = drawn()
    weights.write(kind, subject(model), tmp_path)
    run = weights.load(kind, tmp_path, model.specs(), CPU).run
    tokens = torch.randn(count, 4, 4, 6)
    alone = torch.cat([run(clip[None]) for clip in tokens])
    torch.testing.assert_close(run(tokens), alone, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32"])
def test_tokens_are_taken_as_they_are_stored(stored, tmp_path):
    model = drawn()
    weights.write("fp16", subject(model), tmp_path)
    narrow = TOKENS.to(getattr(torch, stored))
    run = weights.load("fp16", tmp_path, model.specs(), CPU).run
    assert torch.equal(run(narrow), run(narrow.float()))


def test_weights_are_rounded_once_and_statistics_never(tmp_path):
    model = drawn()
    back = back_from("fp16", model, tmp_path).state_dict()
    trained = {name for name, _ in model.named_parameters()}
    for name, values in model.state_dict().items():
        expected = values.half().float() if name in trained else values
        assert torch.equal(back[name], expected)


def test_what_is_back_is_not_trained_further(tmp_path):
    back = back_from("fp16", drawn(), tmp_path)
    assert not back.training
    assert not any(weight.requires_grad for weight in back.parameters())


def test_mixed_keeps_norms_and_what_is_named(tmp_path):
    model = drawn(trunk=4)
    weights.write("mixed", subject(model, keep_float32=("fusion.head",)), tmp_path)
    stored = load_file(tmp_path / weights.FILE)
    heads = [name for name in stored if name.startswith("fusion.head.")]
    assert heads
    assert all(stored[name].dtype == torch.float32 for name in heads)
    assert any(values.dtype == torch.float16 for values in stored.values())


def test_what_was_stored_is_counted(tmp_path):
    model = drawn()
    stored = weights.write("fp16", subject(model), tmp_path)
    info = quantization_info(stored, size=1, float32_size=1, sources={}, keep_float32=())
    assert info["total_parameters"] == sum(weight.numel() for weight in model.parameters())
    assert info["fp16_parameters"] == info["total_parameters"]
    assert sum(info["buffers"].values()) == sum(
        values.numel()
        for name, values in model.state_dict().items()
        if name not in dict(model.named_parameters())
    )


def test_pictures_are_for_formats_that_hold_a_graph(tmp_path):
    with pytest.raises(ExportError, match="export --entry tokens, or a format that holds a graph"):
        weights.write("fp16", subject(drawn(), entry="pictures"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_weights_are_refused(tmp_path):
    model = drawn()
    weights.write("fp16", subject(model), tmp_path)
    stored = load_file(tmp_path / weights.FILE)
    del stored[next(iter(stored))]
    save_file(stored, tmp_path / weights.FILE)
    with pytest.raises(CheckpointError, match="1 missing"):
        weights.load("fp16", tmp_path, model.specs(), CPU)
