import pytest
import torch

from polyspace.models.converters import ConverterSpec, Translator
from polyspace.train import fit
from polyspace.train.batches import divide
from polyspace.train.converter_workload import ConverterWorkload
from tests.conformance import WorkloadConformance


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
        model, held = work.model.eval(), work.division.held
        with torch.no_grad():
            said = model["look"](model.student(train.tokens("stu", held)))
            true = model["look"].teacher(train.tokens("look", held))
            expected = 1 - ((said - true) ** 2).sum() / (true**2).sum()
            assert work.score()["r2/look"] == pytest.approx(float(expected), abs=1e-5)

    def test_teachers_are_trained_as_if_each_were_alone(self, train):
        together, alone = workload(train), workload(train, teachers=("look",))
        alone.model["look"].load_state_dict(together.model["look"].state_dict())
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


def workload(train, *, teachers=("flow", "look"), hidden=16):
    torch.manual_seed(0)
    specs = {
        name: ConverterSpec(
            source=train.shape("stu"),
            target=train.shape(name),
            kind="residual_mlp",
            reach=0,
            hidden=hidden,
        )
        for name in teachers
    }
    translator = Translator("stu", specs)
    division = divide(train, train.rows(("stu", *teachers)), share=0.2, seed=0)
    with torch.no_grad():
        fit.start(translator, train, division)
    return ConverterWorkload(translator, train, division, batch=16, seed=0)
