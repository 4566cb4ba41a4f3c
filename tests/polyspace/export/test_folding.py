from typing import get_args

import pytest
import torch

from polyspace.export.folding import Folded, FoldedConverter, Regrid, folds, is_folded
from polyspace.export.source import Answers
from polyspace.models.converters import ConverterKind
from polyspace.models.grids import TokenShape, resample
from polyspace.models.heads.kinds import HeadKind
from tests.support.zoo import EVERY, STUDENT, answers, distilled, looks


@pytest.mark.parametrize("reach", [0, 2])
@pytest.mark.parametrize("trunk", [0, 5])
def test_a_fold_of_every_kind_of_converter_says_what_the_model_says(reach, trunk):
    model = distilled(*EVERY, reach=reach, trunk=trunk)
    tokens = looks(5)
    with torch.no_grad():
        torch.testing.assert_close(
            Folded(model)(tokens), answers(model, tokens), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("kind", EVERY)
def test_each_kind_folds_by_itself_on_every_grid(kind: ConverterKind):
    model = distilled(kind, kind, kind, kind)
    tokens = looks(3)
    with torch.no_grad():
        torch.testing.assert_close(
            Folded(model)(tokens), answers(model, tokens), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("head", get_args(HeadKind))
def test_a_fold_leads_into_every_head(head):
    model = distilled("ridge", "residual_mlp", head=head, depth=2)
    tokens = looks(3)
    with torch.no_grad():
        torch.testing.assert_close(
            Folded(model)(tokens), answers(model, tokens), rtol=1e-4, atol=1e-5
        )


def test_a_wide_translation_is_not_computed_and_a_narrow_one_is():
    folded = Folded(distilled("residual_mlp", "residual_mlp"))
    narrow, wide = folded.converters.values()
    assert isinstance(narrow, FoldedConverter)
    assert isinstance(wide, FoldedConverter)
    assert isinstance(narrow.look, torch.nn.Linear)
    assert isinstance(wide.look, torch.nn.Identity)
    assert wide.map.get_submodule("down").out_features == 2 * 4


def test_a_fold_leaves_the_model_as_it_was():
    model = distilled(*EVERY)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    Folded(model)(looks(2))
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_only_gates_fold():
    assert folds(distilled("ridge"))
    for join in ("attention", "concatenation", "experts"):
        assert not folds(distilled("ridge", join=join))


def test_a_fold_is_recognised_wherever_it_stands():
    model = distilled("ridge")
    assert is_folded(torch.nn.Sequential(Folded(model)))
    assert not is_folded(Answers(model))


@pytest.mark.parametrize("new", [(4, 4), (2, 1), (8, 9), (3, 4), (4, 16), (1, 1)])
def test_a_grid_changes_by_matrices_as_it_does_by_resampling(new):
    time, space = new
    tokens = looks(3)
    regrid = Regrid(STUDENT, time=time, space=space)
    torch.testing.assert_close(regrid(tokens), resample(tokens, time=time, space=space))


def test_a_grid_that_stays_costs_nothing():
    tokens = looks(2, TokenShape(3, 5, 2))
    regrid = Regrid(TokenShape(3, 5, 2), time=3, space=5)
    assert regrid(tokens) is tokens
    assert not list(regrid.buffers())
