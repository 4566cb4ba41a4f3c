import json

import pytest
import torch

from polyspace.errors import CheckpointError
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape

STUDENT = TokenShape(4, 4, 6)
TEACHERS = {"flow": TokenShape(4, 4, 3), "look": TokenShape(2, 1, 8), "fine": TokenShape(8, 9, 2)}


def spec(*teachers):
    return FusionSpec(
        student=STUDENT,
        teachers={name: TEACHERS[name] for name in teachers},
        class_names=("left", "right", "still"),
        rank=4,
        dropout=0.5,
    )


def fusion(*teachers, trained=False):
    torch.manual_seed(0)
    model = Fusion(spec(*(teachers or TEACHERS))).eval()
    for parameter in model.parameters() if trained else model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def draw(shape, *, clips=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, shape.time, shape.space, shape.dim, generator=generator)


def translated():
    return {name: draw(shape, seed=1) for name, shape in TEACHERS.items()}


def distilled():
    torch.manual_seed(0)
    specs = {
        name: ConverterSpec(source=STUDENT, target=shape, kind="residual_mlp", reach=1, hidden=8)
        for name, shape in TEACHERS.items()
    }
    return Distilled(Translator("stu", specs), fusion(trained=True)).eval()


def test_an_untrained_fusion_is_the_student():
    model, alone = fusion(), Fusion(spec()).eval()
    alone.head.load_state_dict(model.head.state_dict())
    said = model(draw(STUDENT), translated())
    assert said.logits.abs().max() > 0.1
    assert torch.equal(said.logits, alone(draw(STUDENT), {}).logits)


def test_a_trained_fusion_listens_to_its_teachers():
    model = fusion(trained=True)
    first = model(draw(STUDENT), translated()).logits
    other = model(draw(STUDENT), {name: -value for name, value in translated().items()}).logits
    assert not torch.allclose(first, other)


def test_an_untrained_fusion_can_learn_to_listen():
    model = fusion()
    model(draw(STUDENT), translated()).logits.square().sum().backward()
    for name in TEACHERS:
        gradient = model.get_parameter(f"join.gates.{name}.up.weight").grad
        assert gradient is not None
        assert gradient.any()


def test_gates_lie_between_0_and_1_on_the_students_grid():
    gates = fusion(trained=True)(draw(STUDENT), translated()).gates
    assert list(gates) == list(TEACHERS)
    for gate in gates.values():
        assert gate.shape == (5, 4, 4)
        assert 0 < gate.min() < gate.max() < 1


def test_a_fusion_of_no_teachers_has_no_gates():
    assert fusion("flow")(draw(STUDENT), translated()).gates.keys() == {"flow"}
    assert Fusion(spec())(draw(STUDENT), {}).gates == {}


def test_silent_error_6_a_fusion_never_depends_on_its_batch():
    model = fusion(trained=True)
    together = model(draw(STUDENT), translated())
    for index in range(5):
        part = slice(index, index + 1)
        one = model(draw(STUDENT)[part], {n: value[part] for n, value in translated().items()})
        torch.testing.assert_close(one.logits, together.logits[part])
        for name in TEACHERS:
            torch.testing.assert_close(one.gates[name], together.gates[name][part])


def test_a_record_survives_a_checkpoint_file(tmp_path):
    model = fusion(trained=True)
    torch.save(model.record(), tmp_path / "record.pt")
    again = Fusion.from_record(torch.load(tmp_path / "record.pt", weights_only=True)).eval()
    assert again.spec == model.spec
    assert list(again.spec.teachers) == list(TEACHERS)
    first, second = (m(draw(STUDENT), translated()).logits for m in (model, again))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "missing",
            r"Fusion as .* it: 1 missing \(head.linear.weight first\); train",
        ),
        ("unexpected", r"1 unknown \(head.linear.scale first\)"),
        ("of another shape", r"1 of another shape \(head.linear.bias first\)"),
    ],
)
def test_silent_error_7_weights_that_do_not_fit_exactly_are_refused(change, words):
    record = fusion().record()
    if change == "missing":
        del record["state"]["head.linear.weight"]
    elif change == "unexpected":
        record["state"]["head.linear.scale"] = torch.zeros(1)
    else:
        record["state"]["head.linear.bias"] = torch.zeros(9)
    with pytest.raises(CheckpointError, match=words):
        Fusion.from_record(record)


def test_the_distilled_model_standardises_translates_and_fuses():
    model = distilled()
    model.translator.student.mean.fill_(0.5)
    tokens = draw(STUDENT)
    expected = model.fusion(tokens - 0.5, model.translator(tokens - 0.5))
    assert torch.equal(model(tokens).logits, expected.logits)


def test_the_distilled_models_specs_are_json_and_rebuild_it():
    model = distilled()
    again = Distilled.from_specs(json.loads(json.dumps(model.specs()))).eval()
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again(draw(STUDENT)).logits, model(draw(STUDENT)).logits)
    assert again.specs() == model.specs()
