import pytest
import torch
from pydantic import ValidationError

from polyspace.engine.loop import Training
from polyspace.models.fusion import FusionSpec
from polyspace.precision import resolve
from polyspace.train import fit
from polyspace.train.batches import divide
from polyspace.train.fusion_training import FusionSettings, best_of, make
from polyspace.train.fusion_workload import Inputs, ranked

CPU = torch.device("cpu")
FP32 = resolve("fp32", CPU)
SETTINGS = FusionSettings(epochs=3, batch=16, rank=4, device="cpu")


@pytest.fixture
def fresh(train):
    division = divide(train, train.rows(("stu",)), share=0.2, seed=0)
    standardizer = fit.standardizer(train, "stu", division.fit)

    def make_one(settings=SETTINGS):
        spec = FusionSpec(
            student=train.shape("stu"),
            teachers={"itself": train.shape("stu")},
            class_names=train.class_names,
            rank=settings.rank,
            dropout=settings.dropout,
        )

        def inputs(rows):
            student = standardizer(train.tokens("stu", rows))
            return Inputs(student, {"itself": student})

        return make(spec, inputs, train, division, settings)

    return make_one


def test_initial_weights_depend_on_the_seed_alone(fresh):
    first = fresh().model.state_dict()
    torch.rand(5)
    again = fresh().model.state_dict()
    name = "join.gates.itself.down.weight"
    other = fresh(SETTINGS.model_copy(update={"seed": 1})).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first[name], other[name])


def test_the_best_epoch_is_given_back(fresh):
    scores, states = [], []
    workload = fresh()
    for step in Training(workload, SETTINGS, precision=FP32, device=CPU).steps():
        if step.scores:
            scores.append(ranked(step.scores))
            states.append({n: v.clone() for n, v in workload.model.state_dict().items()})
    expected = states[scores.index(max(scores))]
    found = best_of(fresh(), SETTINGS, FP32, CPU).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_epochs_are_ranked_by_accuracy_and_ties_by_likelihood():
    pairs = [(0.5, -9.0), (0.6, -9.0), (0.6, -1.0), (float("nan"), 0.0)]
    found = [ranked({"top1": top1, "log_likelihood": likely}) for top1, likely in pairs]
    assert found[-1] < found[0] < found[1] < found[2]
    assert ranked({"top1/a": 0.5, "log_likelihood/a": -9.0}, "a") == found[0]


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch": 0}, {"lr": 0}, {"dropout": 1}, {"hold_out": 0}, {"hold_out": 1}],
)
def test_settings_outside_their_bounds_are_refused(wrong):
    with pytest.raises(ValidationError):
        FusionSettings(**wrong)
