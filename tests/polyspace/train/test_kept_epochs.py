import pytest
import torch

from polyspace.engine.loop import Step
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.grids import TokenShape
from polyspace.train.kept_epochs import choices

SCORES = ((0.1, 0.4), (0.7, 0.2), (0.3, 0.5), (0.2, 0.7))
"""Of a and b, epoch by epoch: each has its best one, and the mean is best in two."""


def translator(trunk):
    shape = TokenShape(2, 1, 3)
    specs = {
        name: ConverterSpec(
            source=shape, target=shape, kind="linear", reach=0, hidden=4, trunk=trunk
        )
        for name in ("a", "b")
    }
    return Translator("stu", specs)


def trained(trunk):
    """Offer epochs in each of which every weight is the epoch's number; put the best back."""
    model = translator(trunk)
    kept = choices(model)
    for epoch, (first, second) in enumerate(SCORES):
        with torch.no_grad():
            for weights in model.parameters():
                weights.fill_(epoch)
        scores = {"r2": (first + second) / 2, "r2/a": first, "r2/b": second}
        for choice in kept.values():
            choice.offer(Step(epoch, epoch, 3, {}, 0.1, skipped=False, scores=scores))
    found = {name: r2 for choice in kept.values() for name, r2 in choice.restore().items()}
    return model, found


def epochs(module):
    return {value for weights in module.parameters() for value in weights.flatten().tolist()}


def test_without_a_trunk_each_teacher_keeps_its_own_best_epoch():
    model, scores = trained(0)
    assert scores == {"a": 0.7, "b": 0.7}
    assert [epochs(model[name]) for name in ("a", "b")] == [{1.0}, {3.0}]


def test_behind_a_trunk_all_keep_the_first_epoch_that_is_best_in_the_mean():
    model, scores = trained(4)
    assert scores == {"a": 0.7, "b": 0.2}
    assert epochs(model) == {1.0}


@pytest.mark.parametrize(("trunk", "names"), [(0, ["a", "b"]), (4, ["trunk"])])
def test_what_is_kept_apart_has_a_name(trunk, names):
    assert list(choices(translator(trunk))) == names
