"""What each storage type costs features of real clips: bytes, bits and time; one thread.

pytest tests/benchmarks/test_storage_types.py --real -o addopts=--import-mode=importlib
--benchmark-json=storage_types.json, which holds bytes and errors as `extra_info`.
"""

from typing import get_args

import pytest
import torch

from polyspace.data.datasets import motion
from polyspace.data.encode import Setup, feed
from polyspace.data.encode import encode as see
from polyspace.data.pipeline import request as ask
from polyspace.data.prefetch import decode_all
from polyspace.errors import VideoError
from polyspace.models.backbones import registry
from polyspace.precision import FeatureType, resolve, to_compute
from polyspace.store.encoding import as_tensor, encode

CPU = torch.device("cpu")
SETUP = Setup(CPU, resolve("fp32", CPU), spatial="2", batch=2, processes=0)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clips(request, tmp_path_factory):
    """The demo's held-out clips when it counts, a few tiny ones when it doesn't."""
    real = request.config.getoption("--real", default=False)
    root = tmp_path_factory.mktemp("motion")
    for _ in motion.render(root, motion.MotionSettings() if real else motion.TINY):
        pass
    return motion.read(root, "test")


@pytest.fixture(scope="module", params=["transnetv2", "efficientnet_lite0", "motion_vectors"])
def tokens(request, clips):
    """What a backbone sees of them."""
    backbone = registry.load(request.param, weights={}, frames=8, device=CPU)
    requests = (ask(clip, [backbone], SETUP) for clip in clips.clips)
    seen: list[torch.Tensor] = []
    for clip in decode_all(clips.root, requests, processes=0, ahead=1):
        assert not isinstance(clip, VideoError)
        seen.append(see(backbone, feed(backbone, [clip]), SETUP).tokens)
    return torch.cat(seen)


@pytest.mark.parametrize("dtype", get_args(FeatureType))
def test_storing_and_reading(benchmark, tokens, dtype):
    encoded = benchmark(encode, tokens, dtype)

    stored = as_tensor(torch.from_numpy(encoded.values), dtype)[:, 0]
    scale = None if encoded.scale is None else torch.from_numpy(encoded.scale)[:, 0]
    found = to_compute(stored, CPU, scale)[:, None]
    error = (found - tokens).flatten(1).norm(dim=1) / tokens.flatten(1).norm(dim=1)
    cosine = torch.cosine_similarity(found.double().flatten(1), tokens.double().flatten(1))
    size = encoded.values.nbytes + (0 if encoded.scale is None else encoded.scale.nbytes)
    benchmark.extra_info |= {
        "shape": list(tokens.shape),
        "bytes_per_value": size / tokens.numel(),
        "worst_relative_error": float(error.max()),
        "mean_relative_error": float(error.mean()),
        "mean_cosine_distance": float((1 - cosine).mean()),
        **encoded.lost.model_dump(include={"subnormal", "largest"}),
    }
    assert float(error.max()) < 0.02
