import torch
from torch import nn
from torch.nn import functional

from polyspace.train.cost.flops import count


def test_products_and_convolutions_count_two_for_a_multiplication_and_its_addition():
    linear, convolution = nn.Linear(4, 5), nn.Conv3d(4, 6, 3, padding=1, groups=2)
    assert count(lambda: linear(torch.zeros(3, 4))) == 2 * 3 * 4 * 5
    assert count(lambda: convolution(torch.zeros(1, 4, 5, 6, 7))) == 2 * (5 * 6 * 7) * 6 * 2 * 27


@torch.no_grad()
def test_attention_counts_on_a_cpu_too():
    query, key = torch.zeros(2, 3, 5, 16), torch.zeros(2, 3, 7, 16)
    work = 2 * 2 * (2 * 3) * 5 * 7 * 16
    assert count(lambda: functional.scaled_dot_product_attention(query, key, key)) == work


@torch.no_grad()
def test_attention_that_torch_fuses_into_one_operation_counts():
    layer, tokens = nn.MultiheadAttention(16, 2, batch_first=True).eval(), torch.zeros(2, 5, 16)
    project = 2 * (2 * 5) * 16 * 16 * 4
    attend = 2 * 2 * (2 * 2) * 5 * 5 * 8
    was = torch.backends.mha.get_fastpath_enabled()
    assert count(lambda: layer(tokens, tokens, tokens)) == project + attend
    assert torch.backends.mha.get_fastpath_enabled() is was
