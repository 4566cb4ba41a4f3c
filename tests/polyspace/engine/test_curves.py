import json

from polyspace.engine.curves import Curves
from polyspace.engine.loop import Step


def step(epoch, losses=None, scores=None, *, skipped=False):
    return Step(epoch, 0, 4, losses or {}, 0.1, skipped, scores or {})


def test_an_epoch_has_its_mean_losses_and_its_scores():
    curves = Curves()
    curves.add(step(0, scores={"top1": 0.1}))
    curves.add(step(1, {"loss": 3.0}))
    curves.add(step(1, {"loss": 1.0}, {"top1": 0.5}))
    curves.add(step(2, {"loss": 1.0}, {"top1": 0.6}))
    assert curves.epochs == [
        {"epoch": 0, "top1": 0.1},
        {"epoch": 1, "loss": 2.0, "top1": 0.5},
        {"epoch": 2, "loss": 1.0, "top1": 0.6},
    ]


def test_skipped_steps_do_not_spoil_the_mean():
    curves = Curves()
    curves.add(step(1, {"loss": float("nan")}, skipped=True))
    curves.add(step(1, {"loss": 2.0}, {"top1": 0.5}))
    assert curves.epochs == [{"epoch": 1, "loss": 2.0, "skipped_steps": 1, "top1": 0.5}]


def test_an_epoch_whose_steps_were_all_skipped_has_only_scores():
    curves = Curves()
    curves.add(step(1, {"loss": float("nan")}, {"top1": 0.5}, skipped=True))
    assert curves.epochs == [{"epoch": 1, "skipped_steps": 1, "top1": 0.5}]


def test_curves_go_on_in_the_middle_of_an_epoch():
    steps = [
        step(0, scores={"top1": 0.1}),
        step(1, {"loss": 3.0}),
        step(1, {"loss": float("nan")}, skipped=True),
        step(1, {"loss": 1.0}, {"top1": 0.5}),
    ]
    whole, first, second = Curves(), Curves(), Curves()
    for taken in steps:
        whole.add(taken)
    for taken in steps[:3]:
        first.add(taken)
    second.load_state_dict(first.state_dict())
    second.add(steps[3])
    assert second == whole


def test_they_are_written_as_json(tmp_path):
    curves = Curves()
    curves.add(step(0, scores={"r2": 0.25}))
    curves.write(tmp_path / "curves.json")
    assert json.loads((tmp_path / "curves.json").read_text()) == {
        "epochs": [{"epoch": 0, "r2": 0.25}]
    }
