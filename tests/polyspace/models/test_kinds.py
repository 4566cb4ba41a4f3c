"""What every kind of converter must be able to do, whatever it is made of."""

from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from polyspace.models import closed_form
from polyspace.models.converters import (
    BRANCHES,
    CLOSED_FORM,
    Converter,
    ConverterKind,
    ConverterSpec,
    Translator,
)
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape, resample
from polyspace.train.fit import Fit
from tests.support.exported import back_from

STUDENT = TokenShape(4, 4, 6)
TEACHERS = {"fine": TokenShape(8, 4, 3), "coarse": TokenShape(2, 1, 8)}
TRAINED = [kind for kind in get_args(ConverterKind) if kind not in CLOSED_FORM]


@dataclass(frozen=True)
class World:
    """Student tokens, and a teacher's tokens that follow from them."""

    tokens: Tensor
    targets: Tensor

    @classmethod
    def linear(cls, teacher: str, *, clips: int = 60, seed: int = 0) -> "World":
        """Make targets that a known linear map gives, of rank 3 at most."""
        shape, draw = TEACHERS[teacher], torch.Generator().manual_seed(seed)
        tokens = torch.randn(clips, 4, 4, 6, generator=draw)
        known = torch.Generator().manual_seed(99)
        weight = torch.randn(6, 3, generator=known) @ torch.randn(3, shape.dim, generator=known)
        grid = resample(tokens, time=shape.time, space=shape.space)
        return cls(tokens, grid @ weight + 1)

    def turned(self) -> "World":
        """Make targets by a rotation and a shift instead, which procrustes finds too."""
        grid = resample(self.tokens, time=self.targets.shape[1], space=self.targets.shape[2])
        turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(7))).Q
        dim = self.targets.shape[-1]
        turn = turn[:6, :8] if dim > 6 else torch.linalg.qr(turn[:6, :6]).Q[:, :dim]
        return World(self.tokens, grid @ turn + 1)

    def bent(self) -> "World":
        """Add what happens at the clip's other end to the targets: no linear map can follow."""
        first = self.tokens[:, :1, :, :1].abs().mean(2, keepdim=True)
        return World(self.tokens, self.targets + 2 * first)


def spec(kind: ConverterKind, teacher: str) -> ConverterSpec:
    return ConverterSpec(source=STUDENT, target=TEACHERS[teacher], kind=kind, reach=0, hidden=16)


def solved(kind: ConverterKind, teacher: str, world: World) -> Converter:
    """Start a converter where fitting to the world leads."""
    torch.manual_seed(0)
    converter = Converter(spec(kind, teacher))
    with torch.no_grad():
        pairs = [(converter.inputs(world.tokens), world.targets)]
        moments = closed_form.collect(pairs, wide=converter.spec.wide)
        converter.map.start_at(Fit(moments, moments).solve(converter.spec))
    return converter


def trained(kind: ConverterKind, teacher: str, world: World, steps: int = 40) -> Converter:
    """Start a converter, and let it descend on squared errors."""
    return descend(solved(kind, teacher, world), world, steps=steps)


def descend(converter: Converter, world: World, *, steps: int, lr: float = 3e-3) -> Converter:
    optimizer = torch.optim.Adam(converter.train().parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(converter(world.tokens), world.targets).backward()
        optimizer.step()
    return converter.eval()


def shaken(kind: ConverterKind, teacher: str) -> Converter:
    """Make a converter whose every weight counts."""
    converter = Converter(spec(kind, teacher)).eval()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in converter.parameters():
            weights.copy_(0.3 * torch.randn(weights.shape, generator=draw))
    return converter


def error(converter: Converter, world: World) -> float:
    """Give the share of the variance that is not explained."""
    with torch.no_grad():
        said = converter.eval()(world.tokens)
    around = world.targets - world.targets.mean((0, 1, 2))
    return float((said - world.targets).square().sum() / around.square().sum())


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("kind", get_args(ConverterKind))
class TestEveryKind:
    """Twelve kinds into a finer and into a coarser grid."""

    def test_it_gives_the_teachers_grid_and_dimensions(self, kind, teacher):
        shape = TEACHERS[teacher]
        said = shaken(kind, teacher)(World.linear(teacher).tokens)
        assert said.shape == (60, shape.time, shape.space, shape.dim)

    def test_it_learns_a_known_map(self, kind, teacher):
        world, other = World.linear(teacher), World.linear(teacher, seed=1)
        if kind == "mean":
            assert error(solved(kind, teacher, world), world) == pytest.approx(1, abs=1e-5)
        elif kind in ("procrustes", "orthogonal"):
            # Where dimensions are lost, it is exact only for uncorrelated inputs; these nearly are.
            left = error(solved(kind, teacher, world.turned()), other.turned())
            assert left < (0.05 if teacher == "fine" else 1e-5)
        elif kind in CLOSED_FORM:
            assert error(solved(kind, teacher, world), other) < 1e-5
        else:
            assert error(trained(kind, teacher, world), other) < 0.02

    def test_batch_mates_do_not_change_what_it_says(self, kind, teacher):
        converter, tokens = shaken(kind, teacher), World.linear(teacher).tokens[:5]
        together = converter(tokens)
        for index, clip in enumerate(tokens):
            torch.testing.assert_close(
                converter(clip[None])[0], together[index], rtol=1e-4, atol=1e-4
            )

    def test_bfloat16_agrees_with_float32(self, kind, teacher):
        world = World.linear(teacher)
        converter = (
            trained(kind, teacher, world.bent(), steps=10)
            if kind in TRAINED
            else solved(kind, teacher, world)
        )
        with torch.no_grad():
            exact = converter(world.tokens)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rounded = converter(world.tokens).float()
        assert float((rounded - exact).norm() / exact.norm()) < 0.02

    def test_its_record_survives_a_checkpoint_file(self, kind, teacher, tmp_path):
        model = Translator("stu", {teacher: spec(kind, teacher)}).eval()
        model.converters[teacher] = shaken(kind, teacher)
        torch.save(model.record(), tmp_path / "record.pt")
        again = Translator.from_record(torch.load(tmp_path / "record.pt", weights_only=True)).eval()
        tokens = World.linear(teacher).tokens
        assert again.fingerprint() == model.fingerprint()
        assert torch.equal(again(tokens)[teacher], model(tokens)[teacher])

    def test_a_bundle_of_it_says_the_same(self, kind, teacher, tmp_path):
        model = distilled(kind, teacher)
        tokens = World.linear(teacher).tokens
        again = back_from("fp32", model, tmp_path)
        assert torch.equal(again(tokens).logits, model(tokens).logits)

    def test_a_bundle_of_it_in_half_the_size_says_nearly_the_same(self, kind, teacher, tmp_path):
        model = distilled(kind, teacher)
        again, tokens = back_from("fp16", model, tmp_path), World.linear(teacher).tokens
        with torch.no_grad():
            exact, rounded = (of.translator(tokens)[teacher] for of in (model, again))
        torch.testing.assert_close(rounded, exact, rtol=0, atol=0.01 * float(exact.abs().max()))


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("kind", TRAINED)
class TestEveryTrainedKind:
    def test_it_starts_at_ridge(self, kind, teacher):
        world = World.linear(teacher).bent()
        ridge = solved("ridge", teacher, world)
        for start in (solved(kind, teacher, world).eval(), solved(kind, teacher, world).train()):
            torch.testing.assert_close(start(world.tokens), ridge(world.tokens))

    def test_its_loss_falls(self, kind, teacher):
        world = World.linear(teacher).bent()
        torch.manual_seed(0)
        converter = Converter(spec(kind, teacher))
        before = error(converter, world)
        assert error(descend(converter, world, steps=30, lr=1e-2), world) < 0.9 * before


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("kind", BRANCHES)
def test_a_branch_learns_what_no_map_of_single_tokens_can(kind, teacher):
    world = World.linear(teacher).bent()
    ridge = error(solved("ridge", teacher, world), world)
    assert error(trained(kind, teacher, world, steps=150), world) < 0.9 * ridge


def distilled(kind: ConverterKind, teacher: str) -> Distilled:
    """Make what runs at inference, with weights that all count."""
    head = FusionSpec(
        student=STUDENT,
        teachers={teacher: TEACHERS[teacher]},
        class_names=("left", "right"),
        rank=2,
        dropout=0,
    )
    torch.manual_seed(0)
    model = Distilled(Translator("stu", {teacher: spec(kind, teacher)}), Fusion(head)).eval()
    model.translator.converters[teacher] = shaken(kind, teacher)
    torch.nn.init.normal_(model.fusion.head.linear.weight)
    return model
