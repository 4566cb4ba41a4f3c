"""What every way of joining must be able to do."""

from typing import get_args

import pytest
import torch

from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.models.joins.kinds import JoinKind
from tests.support.exported import back_from

STUDENT = TokenShape(4, 4, 6)
TEACHERS = {"flow": TokenShape(4, 4, 3), "look": TokenShape(2, 1, 8), "fine": TokenShape(8, 9, 2)}
EVERY = get_args(JoinKind)
GATED = [kind for kind in EVERY if kind != "concatenation"]


def spec(kind, *teachers, **changes):
    settings = {
        "student": STUDENT,
        "teachers": {name: TEACHERS[name] for name in teachers or TEACHERS},
        "class_names": ("left", "right", "still"),
        "rank": 4,
        "dropout": 0.0,
        "join": kind,
    }
    return FusionSpec.model_validate(settings | changes)


def made(kind, *teachers, shaken=False, **changes):
    torch.manual_seed(0)
    model = Fusion(spec(kind, *teachers, **changes)).eval()
    for parameter in model.parameters() if shaken else model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def draw(shape, *, clips=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, shape.time, shape.space, shape.dim, generator=generator)


def translated(seed=1):
    return {name: draw(shape, seed=seed) for name, shape in TEACHERS.items()}


def descend(model, loss, *, steps, lr):
    optimizer = torch.optim.Adam(model.train().parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("kind", EVERY)
class TestEveryJoin:
    def test_it_starts_as_the_student(self, kind):
        joined = made(kind).joined(draw(STUDENT), translated())
        assert torch.equal(joined.tokens[..., :6], draw(STUDENT))
        assert kind == "concatenation" or joined.tokens.shape == draw(STUDENT).shape

    def test_it_can_learn_to_listen(self, kind):
        model = made(kind)
        torch.manual_seed(1)
        target = torch.randint(3, (6,))
        before = model(draw(STUDENT), translated()).logits
        said = [
            torch.nn.functional.cross_entropy(descend_on(model, target), target) for _ in range(2)
        ]
        assert said[1] < said[0]
        other = model(draw(STUDENT), translated(seed=2)).logits
        assert not torch.allclose(other, model(draw(STUDENT), translated()).logits)
        assert not torch.allclose(before, other)

    def test_it_learns_a_known_linear_map_of_one_teacher(self, kind):
        torch.manual_seed(0)
        model = made(kind, "flow", rank=6, head="linear")
        torch.nn.init.normal_(model.head.linear.weight)

        def error(seed):
            student, teacher = (
                draw(shape, clips=64, seed=seed + place)
                for place, shape in enumerate((STUDENT, TEACHERS["flow"]))
            )
            known = teacher.mean((1, 2)) @ torch.tensor([[1.0, 0, 0.5], [0, -1, 0], [2, 0, 1]])
            return (model(student, {"flow": teacher}).logits - known).square().mean()

        before = float(error(7).detach())
        descend(model, lambda: error(0), steps=300, lr=0.02)
        # What weighs teachers by what they say bends them a little; concatenation doesn't.
        bound = {"gated": 0.02, "concatenation": 1e-3, "attention": 0.1, "experts": 0.02}[kind]
        assert float(error(7).detach()) < bound * before

    def test_batch_mates_do_not_change_what_it_says(self, kind):
        model = made(kind, shaken=True)
        together = model(draw(STUDENT), translated())
        for index in range(6):
            part = slice(index, index + 1)
            one = model(draw(STUDENT)[part], {n: v[part] for n, v in translated().items()})
            torch.testing.assert_close(one.logits, together.logits[part], rtol=1e-4, atol=1e-4)

    def test_bfloat16_agrees_with_float32(self, kind):
        model = made(kind, shaken=True)
        with torch.no_grad():
            exact = model(draw(STUDENT), translated()).logits
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = model(draw(STUDENT), translated()).logits.float()
        # A router's choice may tip over where two experts are nearly as good.
        bound = 0.2 if kind == "experts" else 0.03
        assert float((rounded - exact).norm() / exact.norm()) < bound

    def test_a_missing_teacher_is_as_if_it_had_nothing_to_say(self, kind):
        model = made(kind, shaken=True)
        here = {name: tokens for name, tokens in translated().items() if name != "look"}
        said = model(draw(STUDENT), here, {"look"})
        other = {**translated(), "look": 100 * draw(TEACHERS["look"], seed=9)}
        assert torch.equal(model(draw(STUDENT), other, {"look"}).logits, said.logits)
        assert said.logits.isfinite().all()
        assert not torch.allclose(said.logits, model(draw(STUDENT), translated()).logits)
        if said.gates:
            assert not said.gates["look"].any()

    def test_without_any_teacher_it_is_still_there(self, kind):
        said = made(kind, shaken=True)(draw(STUDENT), {}, set(TEACHERS))
        assert said.logits.isfinite().all()

    def test_a_teacher_that_nobody_said_was_missing_is_an_error(self, kind):
        with pytest.raises(KeyError, match="look"):
            made(kind)(draw(STUDENT), {n: t for n, t in translated().items() if n != "look"})

    def test_training_drops_teachers_from_clips_and_evaluation_never(self, kind):
        model = made(kind, shaken=True, teacher_dropout=0.5)
        first, again = (model(draw(STUDENT), translated()).logits for _ in range(2))
        assert torch.equal(first, again)
        model.train()
        torch.manual_seed(3)
        dropped = model(draw(STUDENT), translated())
        torch.manual_seed(3)
        there = torch.stack([torch.rand(6) >= 0.5 for _ in TEACHERS], dim=-1)
        for clip in range(6):
            absent = {n for n, is_there in zip(TEACHERS, there[clip], strict=True) if not is_there}
            part = slice(clip, clip + 1)
            tokens = {n: t[part] for n, t in translated().items()}
            alone = model.eval()(draw(STUDENT)[part], tokens, absent)
            torch.testing.assert_close(dropped.logits[part], alone.logits, rtol=1e-4, atol=1e-4)

    def test_a_record_and_a_bundle_say_the_same(self, kind, tmp_path):
        model = made(kind, shaken=True)
        torch.save(model.record(), tmp_path / "record.pt")
        again = Fusion.from_record(torch.load(tmp_path / "record.pt", weights_only=True)).eval()
        first, second = (m(draw(STUDENT), translated()).logits for m in (model, again))
        assert torch.equal(first, second)
        whole = distilled(model)
        loaded = back_from("fp32", whole, tmp_path / "bundle")
        assert torch.equal(loaded(draw(STUDENT)).logits, whole(draw(STUDENT)).logits)

    def test_of_no_teachers_it_is_the_classifier_alone(self, kind):
        alone = Fusion(spec(kind, "flow").model_copy(update={"teachers": {}})).eval()
        assert {name.split(".")[0] for name in alone.state_dict()} == {"head"}
        assert alone(draw(STUDENT), {}).gates == {}


@pytest.mark.parametrize("kind", GATED)
def test_gates_lie_between_0_and_1_on_the_students_grid(kind):
    gates = made(kind, shaken=True)(draw(STUDENT), translated()).gates
    assert list(gates) == list(TEACHERS)
    for gate in gates.values():
        assert gate.shape == (6, 4, 4)
        assert 0 <= gate.min() < gate.max() < 1


@pytest.mark.parametrize("kind", GATED)
def test_closed_gates_are_what_training_prefers_where_nothing_else_matters(kind):
    model = made(kind, shaken=True)

    def penalty():
        return torch.stack(list(model(draw(STUDENT), translated()).penalties.values())).sum()

    before = float(penalty().detach())
    descend(model, penalty, steps=30, lr=0.05)
    assert 0 < float(penalty().detach()) < before


def test_attention_weighs_teachers_and_nobody_to_one():
    model = made("attention", shaken=True)
    gates = model(draw(STUDENT), translated()).gates
    assert torch.stack(list(gates.values())).sum(0).max() < 1
    # Where all keys say the same, each teacher gets a share as large as nobody's.
    torch.nn.init.zeros_(model.get_parameter("join.ask.weight"))
    for gate in model(draw(STUDENT), translated()).gates.values():
        torch.testing.assert_close(gate, torch.full((6, 4, 4), 1 / 4))
    for gate in list(model(draw(STUDENT), translated(), {"look"}).gates.values())[::2]:
        torch.testing.assert_close(gate, torch.full((6, 4, 4), 1 / 3))


def test_experts_choose_two_at_most_by_the_students_token_alone():
    model = made("experts", shaken=True)
    first, second = (
        torch.stack(list(model(draw(STUDENT), translated(seed=s)).gates.values())) for s in (1, 2)
    )
    assert torch.equal(first, second)
    assert (first > 0).sum(dim=0).max() == 2


def test_the_balance_of_experts_is_one_where_tokens_are_spread_evenly():
    from polyspace.models.joins.experts import _crowding

    even = torch.eye(4).reshape(1, 2, 2, 4)
    assert float(_crowding(even)) == pytest.approx(1.0)
    crowded = torch.eye(4)[0].expand(1, 2, 2, 4)
    assert float(_crowding(crowded)) == pytest.approx(4.0)


def descend_on(model, target):
    """Give the logits before some steps, which are taken."""

    def loss():
        return torch.nn.functional.cross_entropy(model(draw(STUDENT), translated()).logits, target)

    before = model(draw(STUDENT), translated()).logits.detach()
    descend(model, loss, steps=10, lr=0.02)
    return before


def distilled(fusion):
    specs = {
        name: ConverterSpec(source=STUDENT, target=shape, kind="linear", reach=0, hidden=4)
        for name, shape in TEACHERS.items()
    }
    torch.manual_seed(0)
    return Distilled(Translator("stu", specs), fusion).eval()
