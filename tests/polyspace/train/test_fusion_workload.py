import numpy as np
import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.models.converters import Translator
from polyspace.models.heads.pooled import pool
from polyspace.train.batches import divide
from polyspace.train.fusion_training import FusionSettings, make
from polyspace.train.fusion_workload import Predictions, predict, translated
from tests.conformance import WorkloadConformance


@pytest.fixture
def translator(converters):
    return Translator.from_record(checkpoint.load(converters, "converters")).eval()


@pytest.fixture
def workload_of(train, translator):
    def make_workload(*teachers, **changes):
        settings = FusionSettings(device="cpu", batch=16, rank=4, **changes)
        shapes = {name: train.shape(name) for name in teachers}
        spec = settings.spec(train.shape("stu"), shapes, train.class_names)
        division = divide(train, train.rows(("stu",)), share=0.2, seed=0)
        inputs = translated(train, translator.only(teachers or ("flow",)))
        return make(spec, inputs, train, division, settings)

    return make_workload


class TestFusionWorkload(WorkloadConformance):
    lr = 1e-2

    @pytest.fixture
    def fresh(self, workload_of):
        return lambda: workload_of("flow", "look")

    def test_a_few_epochs_learn_the_labels(self, fresh):
        *_, last = self.run(fresh())
        assert last.scores["top1"] > 0.9

    def test_the_untrained_score_is_that_of_guessing(self, fresh):
        scores = self.run(fresh())[0].scores
        assert scores["log_likelihood"] == pytest.approx(-np.log(3), abs=1e-6)

    def test_converters_are_not_trained(self, fresh, translator):
        before = {name: value.clone() for name, value in translator.state_dict().items()}
        self.run(fresh())
        for name, value in translator.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_the_mean_gate_is_part_of_the_loss_where_there_are_gates(self, fresh, workload_of):
        def terms(work):
            batch = next(work.batches(1))
            return set(work.loss(work.forward(batch), batch))

        assert terms(fresh()) == {"cross_entropy", "gates"}
        assert terms(workload_of()) == {"cross_entropy"}

    def test_an_untrained_fusion_scores_as_the_student_alone(self, fresh, workload_of):
        both, alone = fresh().model.eval(), workload_of().model.eval()
        torch.nn.init.normal_(both.head.linear.weight)
        alone.head.load_state_dict(both.head.state_dict())
        inputs = fresh().inputs
        first, second = (predict(m, inputs, np.arange(10), batch=4) for m in (both, alone))
        assert torch.equal(first.logits, second.logits)
        assert first.gates.keys() == {"flow", "look"}
        assert second.gates.keys() == set()

    @pytest.mark.parametrize("batch", [1, 7, 72])
    def test_silent_error_6_predictions_do_not_depend_on_the_batch_size(self, fresh, batch):
        work = fresh()
        self.run(work)
        found, expected = (
            predict(work.model, work.inputs, np.arange(72), batch=size) for size in (batch, 16)
        )
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
        assert found.gates["look"].shape == (72, 4, 4)
        assert not work.model.training

    def test_the_scaler_of_the_classifier_is_measured_on_the_rows_that_are_fitted_on(self, fresh):
        work = fresh()
        norm = work.model.head.norm
        pooled = pool(work.inputs(work.division.fit).student)
        torch.testing.assert_close(norm.mean, pooled.mean(0))
        torch.testing.assert_close(norm.std, pooled.std(0, correction=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"join": "concatenation", "head": "linear"},
        {"join": "attention", "head": "mean_attention"},
        {"join": "experts", "head": "attentive", "depth": 2},
    ],
    ids=["concatenation-linear", "attention-mean_attention", "experts-attentive"],
)
class TestOtherKinds(WorkloadConformance):
    lr = 1e-2

    @pytest.fixture
    def fresh(self, workload_of, changes):
        return lambda: workload_of("flow", "look", **changes)


class TestDroppedTeachersUnderMuon(WorkloadConformance):
    lr = 1e-2
    optimizer = "muon"

    @pytest.fixture
    def fresh(self, workload_of):
        return lambda: workload_of("flow", "look", teacher_dropout=0.3)


def test_the_chances_of_a_clips_views_are_averaged():
    chances = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.2, 0.8]])
    gates = {"flow": torch.arange(4.0).reshape(4, 1, 1)}

    said = Predictions(chances.log(), gates).over_views(2)

    torch.testing.assert_close(said.logits.exp(), torch.tensor([[0.6, 0.4], [0.2, 0.8]]))
    assert said.gates["flow"].flatten().tolist() == [0.5, 2.5]


def test_one_view_is_what_it_is():
    said = Predictions(torch.randn(3, 2), {})

    assert said.over_views(1) is said


def test_a_view_that_excludes_a_class_leaves_a_number():
    said = Predictions(torch.tensor([[0.0, -1e4], [0.0, -1e4]]), {}).over_views(2)

    assert torch.isfinite(said.logits).all()
