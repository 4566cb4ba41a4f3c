"""Every kind of converter, join and head leaves as a graph, for any number of clips."""

from typing import get_args

import pytest
import torch

from polyspace.export.formats import onnx, program
from polyspace.models.heads.kinds import HeadKind
from polyspace.models.joins.kinds import JoinKind
from tests.support.zoo import EVERY, answers, distilled, looks, subject

CPU = torch.device("cpu")
JOINS, HEADS = get_args(JoinKind), get_args(HeadKind)
PAIRS = list(zip(JOINS, HEADS, strict=True))
FORMS = {"onnx": onnx, "pt2": program}


def leaves_and_agrees(name, model, folder):
    """Export a model, and ask it in batches."""
    FORMS[name].write(name, subject(model), folder)
    run = FORMS[name].load(name, folder, model.specs(), CPU).run
    for clips in (1, 3, 7):
        tokens = looks(clips, seed=clips)
        torch.testing.assert_close(run(tokens), answers(model, tokens), rtol=1e-4, atol=1e-5)


def test_every_kind_of_converter_leaves(tmp_path):
    leaves_and_agrees("pt2", distilled(*EVERY), tmp_path)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("join", "head"), PAIRS)
def test_every_join_and_every_head_leaves_behind_a_trunk(join, head, name, tmp_path):
    model = distilled("mean", "residual_mlp", join=join, head=head, depth=2, trunk=5)
    leaves_and_agrees(name, model, tmp_path)
