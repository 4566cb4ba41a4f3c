"""Every format gives back what was written, in the order that was asked for; tiny."""

import numpy as np
import pytest
import torch

from tests.benchmarks.peers import PEERS


@pytest.fixture(autouse=True)
def _threads():
    """Give the process its threads back: one of the formats takes all cores."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tokens():
    return np.random.default_rng(0).standard_normal((40, 16, 8)).astype(np.float16)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_what_comes_out_is_what_was_written(peer, shuffled, tokens, tmp_path):
    if not peer.installed:
        pytest.skip(f"{peer.name} takes {', '.join(peer.packages)}")
    peer.write(tmp_path, tokens)
    order = np.random.default_rng(1).permutation(40) if shuffled else np.arange(40)
    seen = []
    for rows, batch in peer.open(tmp_path).batches(order, 16, shuffled=shuffled):
        assert np.array_equal(np.asarray(batch).view(np.uint16), tokens[rows].view(np.uint16))
        seen += rows.tolist()
    assert sorted(seen) == list(range(40))
