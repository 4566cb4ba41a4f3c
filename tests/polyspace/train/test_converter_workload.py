from typing import get_args

import pytest
import torch
from torch import nn

from polyspace.engine.loop import Training
from polyspace.engine.recipe import Recipe
from polyspace.errors import ConfigError
from polyspace.losses.mix import LOSSES as LOSSES_OF_ALL
from polyspace.losses.mix import LossMix
from polyspace.models.converters import CLOSED_FORM, ConverterKind, ConverterSpec, Translator
from polyspace.models.normalizers import NormalizerKind
from polyspace.precision import resolve
from polyspace.train import fit
from polyspace.train.balance import BalanceKind
from polyspace.train.batches import divide
from polyspace.train.converter_workload import LOSSES, ConverterWorkload
from polyspace.train.sources import StoredClips
from tests.conformance import CPU, SteadyConformance, WorkloadConformance
from tests.support.stores import make_store


class TestConverterWorkload(WorkloadConformance):
    @pytest.fixture
    def fresh(self, train):
        return lambda: workload(train)

    def test_the_untrained_score_is_that_of_ridge(self, fresh):
        scores = self.run(fresh())[0].scores
        assert scores["r2/flow"] > 0.9999
        assert scores["r2"] == pytest.approx((scores["r2/flow"] + scores["r2/look"]) / 2)

    def test_training_explains_more_than_ridge_where_a_teacher_is_not_linear(self, train):
        self.epochs, self.lr = 25, 1e-2
        steps = self.run(workload(train, hidden=64))
        best = max(step.scores["r2/look"] for step in steps if step.scores)
        assert best > steps[0].scores["r2/look"] + 0.01

    def test_the_score_is_the_share_of_variance_explained_on_the_hold_out(self, train, fresh):
        work = fresh()
        work.model.eval()
        held = work.division.held
        with torch.no_grad():
            said = work.translator["look"](work.translator.student(train.tokens("stu", held)))
            true = work.translator["look"].teacher(train.tokens("look", held))
            expected = 1 - ((said - true) ** 2).sum() / (true**2).sum()
            assert work.score()["r2/look"] == pytest.approx(float(expected), abs=1e-5)

    def test_teachers_are_trained_as_if_each_were_alone(self, train):
        together, alone = workload(train), workload(train, teachers=("look",))
        alone.translator["look"].load_state_dict(together.translator["look"].state_dict())
        batch_of_both, batch_of_one = next(together.batches(1)), next(alone.batches(1))
        both = together.loss(together.forward(batch_of_both), batch_of_both)
        one = alone.loss(alone.forward(batch_of_one), batch_of_one)
        assert set(one) == {"look/cosine", "look/smooth_l1"}
        assert set(both) == {*one, "flow/cosine", "flow/smooth_l1"}
        both = {name: value for name, value in both.items() if name in one}
        torch.testing.assert_close(dict(both), dict(one), atol=0.05, rtol=0)  # dropout differs

    def test_standardizers_are_not_trained(self, fresh):
        work = fresh()
        before = {n: b.clone() for n, b in work.model.named_buffers()}
        self.run(work)
        assert before
        assert all(torch.equal(value, before[name]) for name, value in work.model.named_buffers())

    def test_the_default_losses_are_the_sum_that_they_always_were(self, fresh):
        work = fresh()
        batch = next(work.batches(1))
        outputs = work.model.eval()(batch.student)
        found = work.loss(outputs, batch)
        for teacher, said in outputs.items():
            cosine = nn.functional.cosine_similarity(said, batch.targets[teacher], dim=-1)
            smooth = nn.functional.smooth_l1_loss(said, batch.targets[teacher])
            assert torch.equal(found[f"{teacher}/cosine"], 0.9 * (1 - cosine.mean()))
            assert torch.equal(found[f"{teacher}/smooth_l1"], 0.1 * smooth)

    def test_a_rest_of_a_batch_is_left_out_only_where_clips_are_compared(self, train):
        plain = workload(train)
        rest = len(plain.division.fit) % 16
        assert 0 < rest < 16
        last = [batch.videos for batch in plain.batches(1)][-1]
        assert len(last) == rest
        compared = workload(train, losses=("info_nce=0.1", "l2=1"))
        assert compared.steps == plain.steps - 1
        assert [len(batch.videos) for batch in compared.batches(1)] == [16] * compared.steps

    def test_a_batch_that_takes_all_clips_is_kept_although_it_is_not_full(self, train):
        work = workload(train, losses=("vicreg=0.1",), batch=500)
        assert [len(batch.videos) for batch in work.batches(1)] == [len(work.division.fit)]

    def test_batches_too_small_for_a_loss_are_refused_in_one_line(self, train):
        with pytest.raises(ConfigError, match=r"relational compares .* 3 or more, but .* 2: raise"):
            workload(train, losses=("relational=1",), batch=2)

    def test_statistics_of_batches_need_whole_batches_of_two_clips_or_more(self, train):
        plain = workload(train)
        assert workload(train, kind="dsconv").steps == plain.steps - 1
        with pytest.raises(ConfigError, match=r"dsconv takes statistics .* has 1: raise --batch"):
            workload(train, kind="dsconv", batch=1)

    def test_views_are_of_their_clips_video(self, tmp_path):
        make_store(tmp_path, "train", clips=24, views=2)
        clips = StoredClips.find(tmp_path, dataset="toy", split="train", device=torch.device("cpu"))
        work = workload(clips)
        rows = work.division.fit[:4]
        assert work._read(rows).videos.tolist() == [row // 2 for row in rows]


class TestConvolutionWorkload(WorkloadConformance):
    """The kind with the most state: running statistics beside weights."""

    bf16_tolerance = 0.1

    @pytest.fixture
    def fresh(self, train):
        return lambda: workload(train, kind="dsconv", teachers=("look",))


class TestPerceiverWorkload(WorkloadConformance):
    """A kind that attends."""

    @pytest.fixture
    def fresh(self, train):
        return lambda: workload(train, kind="perceiver", teachers=("look",))


@pytest.mark.parametrize(
    "changes",
    [
        *({"kind": kind} for kind in get_args(ConverterKind) if kind not in CLOSED_FORM),
        *({"normalizer": normalizer} for normalizer in get_args(NormalizerKind)),
        *({"losses": (f"{loss}=1",)} for loss in sorted(LOSSES_OF_ALL)),
    ],
    ids=lambda changes: str(next(iter(changes.values()))),
)
class TestEveryPart(SteadyConformance):
    """Every kind, normaliser and loss, beside the defaults of the others."""

    bf16_tolerance = 0.1

    @pytest.fixture
    def fresh(self, train, changes):
        return lambda: workload(train, teachers=("look",), **changes)


class TestTrunkWorkload(WorkloadConformance):
    """Converters behind a trunk, whose teachers are weighed in every way."""

    @pytest.fixture(params=["none", "drop", "explained", "uncertainty"])
    def fresh(self, request, train):
        return lambda: workload(train, trunk=8, balance=request.param)

    def test_the_untrained_score_is_that_without_a_trunk(self, fresh, train):
        plain = self.run(workload(train))[0].scores
        assert self.run(fresh())[0].scores == plain

    def test_the_trunk_is_trained(self, fresh):
        work = fresh()
        before = {name: value.clone() for name, value in work.translator.trunk.state_dict().items()}
        self.run(work)
        after = work.translator.trunk.state_dict()
        assert all(not torch.equal(after[name], value) for name, value in before.items())

    def test_what_comes_out_knows_nothing_of_the_balance(self, fresh, train):
        plain = workload(train, trunk=8).translator
        assert fresh().translator.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("balance", ["drop", "explained", "uncertainty"])
def test_a_trunk_of_one_teacher_alone_learns(train, balance):
    steps = train_for(workload(train, trunk=8, balance=balance, teachers=("look",)), epochs=4)
    assert steps[-1] < steps[0]


@pytest.mark.parametrize("losses", [("l2=1",), ("l2=0.3",)])
def test_explained_squared_errors_are_the_share_of_variance_that_is_left(train, losses):
    work = workload(train, trunk=8, balance="explained", losses=losses, batch=500)
    work.model.eval()
    with torch.no_grad():
        batch = next(work.batches(1))
        outputs = work.forward(batch)
        terms = work.loss(outputs, batch)
        for teacher, said in outputs.items():
            true = batch.targets[teacher]
            left = (said - true).square().sum() / (true - true.mean((0, 1, 2))).square().sum()
            assert float(terms[f"{teacher}/l2"]) == pytest.approx(float(left), rel=1e-4)


def test_the_mean_loses_the_same_in_batches_of_any_size(train):
    found = []
    for batch in (7, 16, 500):
        balance = workload(train, trunk=8, balance="explained", losses=("l2=1",), batch=batch)
        found.append(balance.model.balance.means)
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[2])


@pytest.mark.parametrize("name", sorted(LOSSES_OF_ALL))
def test_the_mean_of_a_teacher_has_a_loss_to_divide_by_under_every_name(train, name):
    work = workload(train, trunk=8, balance="uncertainty", losses=(f"{name}=1",))
    assert torch.isfinite(work.model.balance.state_dict()["log_variance"]).all()


@pytest.mark.parametrize("name", sorted(LOSSES_OF_ALL))
@pytest.mark.parametrize("pooled", ["", "pooled_"])
def test_every_loss_falls(train, name, pooled):
    work = workload(train, losses=(f"{pooled}{name}=1",), kind="linear")
    with torch.no_grad():
        for weights in work.model.parameters():
            weights.copy_(0.3 * torch.randn(weights.shape, generator=draw()))
    steps = train_for(work)
    assert steps[-1] < steps[0]


def draw():
    return torch.Generator().manual_seed(0)


def train_for(work, epochs=6):
    """Give each epoch's mean loss."""
    recipe = Recipe(epochs=epochs, lr=1e-2, weight_decay=0.0)
    losses = {}
    for step in Training(work, recipe, precision=resolve("fp32", CPU), device=CPU).steps():
        if step.losses:
            losses.setdefault(step.epoch, []).append(step.losses["loss"])
    return [sum(values) / len(values) for values in losses.values()]


def workload(
    train,
    *,
    teachers=("flow", "look"),
    hidden=16,
    losses=LOSSES,
    batch=16,
    kind: ConverterKind = "residual_mlp",
    normalizer: NormalizerKind = "per_dimension",
    trunk=0,
    balance: BalanceKind = "none",
):
    torch.manual_seed(0)
    specs = {
        name: ConverterSpec(
            source=train.shape("stu"),
            target=train.shape(name),
            kind=kind,
            reach=0,
            hidden=hidden,
            normalizer=normalizer,
            trunk=trunk,
        )
        for name in teachers
    }
    translator = Translator("stu", specs)
    division = divide(train, train.rows(("stu", *teachers)), share=0.2, seed=0)
    with torch.no_grad():
        fit.start(translator, train, division)
    work = ConverterWorkload(
        translator,
        train,
        division,
        losses=LossMix.parse(losses),
        batch=batch,
        seed=0,
        balance=balance,
    )
    work.start_balance()
    return work
