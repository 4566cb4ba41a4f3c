"""What the compute types cost on this processor; one thread, so that figures can be compared.

pytest tests/benchmarks/test_number_types.py --real -o addopts=--import-mode=importlib
"""

import pytest
import torch
from torch import nn

from polyspace.models.maps import ResidualMap
from polyspace.precision import COMPUTE_TYPES, resolve

CPU = torch.device("cpu")


@pytest.fixture(params=list(COMPUTE_TYPES))
def name(request):
    return request.param


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def side(request):
    return 1024 if request.config.getoption("--real", default=False) else 16


def test_a_matrix_product(benchmark, name, side):
    left, right = (torch.randn(side, side).to(COMPUTE_TYPES[name]) for _ in range(2))
    assert benchmark(lambda: left @ right).dtype == COMPUTE_TYPES[name]


def test_a_convolution(benchmark, name, side):
    layer = nn.Conv2d(64, 64, 3, padding=1).to(COMPUTE_TYPES[name])
    maps = torch.randn(8, 64, side // 16, side // 16).to(COMPUTE_TYPES[name])
    with torch.no_grad():
        assert benchmark(lambda: layer(maps)).dtype == COMPUTE_TYPES[name]


def test_a_converters_map_forward_and_backward(benchmark, name, side):
    types, layer = resolve(name, CPU), ResidualMap(side, side, side // 4)
    tokens = torch.randn(2 * side, side)

    def step():
        with types.autocast(CPU):
            said = layer(tokens)
        said.float().square().mean().backward()
        return layer.linear.weight.grad

    assert benchmark(step).dtype == torch.float32
