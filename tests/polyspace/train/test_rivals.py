import json

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.engine.loop import Training
from polyspace.errors import ConfigError
from polyspace.precision import resolve
from polyspace.ranks import ALONE as ALONE_HERE
from polyspace.ranks import Ranks
from polyspace.train import fit, train_fusion
from polyspace.train.batches import divide
from polyspace.train.fusion_training import Choice, FusionSettings, make, rivals
from polyspace.train.fusion_workload import Inputs
from tests.conformance import WorkloadConformance
from tests.support.stages import finish

CPU = torch.device("cpu")
FP32 = resolve("fp32", CPU)
SETTINGS = FusionSettings(
    epochs=3, batch=16, dropout=0.0, device="cpu", lr_factors=(1.0, 0.1), weight_decays=(0.0, 0.4)
)
ALONE = {"lr_factors": (1.0,), "weight_decays": ()}


@pytest.fixture
def fresh(train):
    def made(settings=SETTINGS, ranks=ALONE_HERE):
        division = divide(train, train.rows(("stu",)), share=0.2, seed=0)
        standardizer = fit.standardizer(train, "stu", division.fit)
        spec = settings.spec(train.shape("stu"), {}, train.class_names)

        def inputs(rows):
            return Inputs(standardizer(train.tokens("stu", rows)), {})

        return rivals(make(spec, inputs, train, division, settings, ranks), settings)

    return made


def run(workload, settings=SETTINGS):
    training = Training(workload, settings, precision=FP32, device=CPU, parts=workload.parts)
    return list(training.steps())


class TestRivals(WorkloadConformance):
    @pytest.fixture
    def fresh(self, fresh):
        return fresh


def test_each_is_trained_as_if_it_were_alone(fresh):
    together = fresh()
    run(together)
    for index, (rate, decay) in enumerate([(1.0, 0.0), (1.0, 0.4), (0.1, 0.0), (0.1, 0.4)]):
        changes = {**ALONE, "lr": SETTINGS.lr * rate, "weight_decay": decay}
        settings = SETTINGS.model_copy(update=changes)
        alone = fresh(settings)
        run(alone, settings)
        for name, value in alone.model.state_dict().items():
            found = together.model[index].state_dict()[name]
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-6)


def test_the_best_of_them_is_chosen_on_the_hold_out(fresh):
    workload = fresh()
    choice = Choice(workload)
    for step in Training(
        workload, SETTINGS, precision=FP32, device=CPU, parts=workload.parts
    ).steps():
        if step.scores:
            fusion = choice.offer(step)
            assert workload.one.score_of(fusion)["top1"] == step.scores["top1"]
    fusion, scores = choice.settle()
    assert scores["top1"] == max(best.score[0] for best in choice.bests.values())
    assert workload.one.score_of(fusion)["top1"] == scores["top1"]
    assert scores["chosen"] in choice.bests


def test_one_that_diverges_does_not_hold_the_others_up(fresh):
    settings = SETTINGS.model_copy(update={"lr_factors": (1.0, 1e38), "weight_decays": ()})
    workload = fresh(settings)
    steps = run(workload, settings)
    assert not steps[-1].skipped
    good, _ = workload.members.values()
    assert workload.one.score_of(good)["top1"] > 0.9
    choice = Choice(workload)
    choice.offer(steps[-1])
    assert choice.settle()[0] is good


def test_a_checkpoint_says_which_pace_was_chosen(features, converters, fusion_settings, tmp_path):
    config = fusion_settings(features, converters, tmp_path, lr_factors=(1.0, 0.01))
    path = finish(train_fusion.run(config))
    scores = checkpoint.load(path, "fusion")["scores"]
    assert scores["chosen"] in ("rate 1 decay 0.05", "rate 0.01 decay 0.05")


def test_a_run_with_one_that_diverges_is_saved_and_ends(
    features, converters, fusion_settings, tmp_path
):
    settings = {"lr": 0.05, "lr_factors": (1.0, 1e30), "weight_decay": 0.0}
    settings["save_every_steps"] = 1
    finish(train_fusion.run(fusion_settings(features, converters, tmp_path, **settings)))
    last = json.loads((tmp_path / "curves.json").read_text())["epochs"][-1]
    assert last["loss"] > 0
    assert "cross_entropy/rate 1 decay 0" in last


def test_the_same_pace_twice_is_refused(fresh):
    with pytest.raises(ConfigError, match="come to 4 pairs, expected each once"):
        fresh(SETTINGS.model_copy(update={"lr_factors": (1.0, 1.0)}))


def test_several_ranks_leave_nobody_behind_by_themselves(fresh):
    def terms(ranks):
        workload = fresh(ranks=ranks)
        with torch.no_grad():
            workload.model[1].head.linear.bias.fill_(float("nan"))
        batch = next(workload.batches(1))
        return workload.loss(workload.forward(batch), batch)

    # A rank that dropped a term that another has would wait for it for ever.
    assert len(terms(Ranks(0, 2))) == 4
    assert len(terms(ALONE_HERE)) == 3
