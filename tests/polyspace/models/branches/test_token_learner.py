import torch
from torch import nn

from polyspace.models.branches.token_learner import SELECTORS, TokenLearner
from polyspace.models.grids import TokenShape


def test_a_selectors_weights_sum_to_one_over_all_tokens_of_a_clip():
    torch.manual_seed(0)
    branch = TokenLearner(TokenShape(4, 4, 3), TokenShape(2, 4, 5), 16).eval()
    tokens = branch.tokens(torch.randn(2, 4, 4, 3))
    weights = branch.select(tokens).softmax(dim=1)
    assert weights.shape == (2, 16, SELECTORS)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, SELECTORS))


def test_each_place_of_the_grid_has_a_query_of_its_own():
    torch.manual_seed(0)
    branch = TokenLearner(TokenShape(4, 4, 3), TokenShape(2, 4, 5), 16).eval()
    nn.init.normal_(branch.answer.out.weight)
    nn.init.normal_(branch.queries)
    said = branch(torch.randn(1, 4, 4, 3))[0].flatten(0, 1)
    assert torch.pdist(said).min() > 1e-3
