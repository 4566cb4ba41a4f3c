import json
from typing import get_args

import pytest
import torch

from polyspace.export import bundle
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.precision import STORAGE_TYPES, StorageType

STUDENT, TEACHER = TokenShape(2, 4, 6), TokenShape(2, 1, 3)


@pytest.fixture(params=[0, 4], ids=["alone", "trunk"])
def model(request):
    torch.manual_seed(0)
    converter = ConverterSpec(
        source=STUDENT, target=TEACHER, kind="residual_mlp", reach=1, hidden=8, trunk=request.param
    )
    head = FusionSpec(
        student=STUDENT,
        teachers={"flow": TEACHER},
        class_names=("left", "right"),
        rank=2,
        dropout=0,
    )
    model = Distilled(Translator("stu", {"flow": converter}), Fusion(head)).eval()
    for name, weights in model.translator.named_parameters():
        if name.endswith("down.weight"):
            torch.nn.init.normal_(weights)
    return model


@pytest.mark.parametrize("dtype", get_args(StorageType))
def test_a_bundle_holds_the_weights_rounded_to_its_type(model, dtype, tmp_path):
    bundle._write(tmp_path, model, {}, dtype)
    loaded = bundle.load(tmp_path)
    trained = {name for name, _ in model.named_parameters()}
    for name, values in loaded.state_dict().items():
        rounded = STORAGE_TYPES[dtype] if name in trained else torch.float32
        assert values.dtype == torch.float32
        assert torch.equal(values, model.state_dict()[name].to(rounded).float())
    said = loaded(torch.randn(3, STUDENT.time, STUDENT.space, STUDENT.dim))
    assert torch.isfinite(said.logits).all()


def test_a_bundle_says_what_its_source_does_through_the_trunk_too(model, tmp_path):
    bundle._write(tmp_path, model, {}, "float32")
    tokens = torch.randn(3, STUDENT.time, STUDENT.space, STUDENT.dim)
    loaded = bundle.load(tmp_path)
    assert loaded.translator.width == model.translator.width
    said, expected = (of.translator(tokens)["flow"] for of in (loaded, model))
    assert torch.equal(said, expected)


def test_bundles_of_before_trunks_are_still_read(model, tmp_path):
    specs = model.specs()
    del specs["converters"]["flow"]["trunk"]
    assert Distilled.from_specs(specs).translator.width == 0


def test_a_bundle_of_bfloat16_says_so(model, tmp_path):
    bundle._write(tmp_path, model, {}, "bfloat16")
    info = json.loads((tmp_path / "config.json").read_text())["quantization_info"]
    assert info["dtype"] == "bf16"
    assert info["fp16_parameters"] == sum(weights.numel() for weights in model.parameters())
