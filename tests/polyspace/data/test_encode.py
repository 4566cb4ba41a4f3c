from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from polyspace.data.clips import Clip
from polyspace.data.decode import decode
from polyspace.data.encode import Setup, array_spec, encode, feed, pool
from polyspace.data.pipeline import request
from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Features, InputSpec, TokenGrid, Weights
from polyspace.precision import resolve
from tests.support.clips import ask
from tests.support.videos import moving, write_video

CPU = torch.device("cpu")
SETUP = Setup(device=CPU, precision=resolve("fp32", CPU), spatial="2", batch=2, processes=0)


INPUTS = InputSpec("frames", 4, 32, 48)
GRID = TokenGrid(4, 2, 2)
NOTHING = Weights("none", "0" * 64, random=False)


@dataclass
class MeanColour:
    """A backbone that sees the mean colour of each quarter of each frame."""

    name: str = "mean_colour"
    inputs: InputSpec = INPUTS
    grid: TokenGrid = GRID
    dim: int = 3
    weights: Weights = NOTHING

    def forward(self, inputs):
        quarters = torch.nn.functional.adaptive_avg_pool2d(inputs.flatten(0, 1), 2)
        tokens = quarters.flatten(2).transpose(1, 2).unflatten(0, inputs.shape[:2])
        return Features(tokens, tokens.mean((1, 2)))


def test_pooling_averages_equal_parts_of_the_picture():
    rows = torch.arange(4.0)[:, None].expand(4, 6)
    columns = torch.arange(6.0)[None, :].expand(4, 6)
    tokens = torch.stack([rows, columns], dim=-1).reshape(1, 1, 24, 2)

    pooled = pool(tokens, TokenGrid(1, 4, 6), "2")

    assert pooled[0, 0].tolist() == [[0.5, 1.0], [0.5, 4.0], [2.5, 1.0], [2.5, 4.0]]


def test_pooling_to_one_is_the_mean_and_full_is_everything():
    tokens = torch.randn(3, 2, 49, 5)
    grid = TokenGrid(2, 7, 7)

    assert pool(tokens, grid, "1") == pytest.approx(tokens.mean(2, keepdim=True), abs=1e-6)
    assert pool(tokens, grid, "full") is tokens


def test_one_request_asks_for_what_all_backbones_want():
    colour, more = MeanColour(), MeanColour(inputs=replace(INPUTS, frames=7))
    motion = registry.load("motion_vectors", weights={}, frames=5, device=CPU)

    asked = request(Clip("a", "a.mp4", 0, "g"), [colour, more, colour, motion], SETUP)

    assert (asked.path, asked.wanted, asked.motion_steps) == ("a.mp4", (4, 7), 5)


def test_encoding_gives_features_and_when_they_were_seen(tmp_path):
    write_video(tmp_path / "a.mp4", moving(12, right=1, down=0, width=96, height=64))
    clip = decode(tmp_path, ask("a.mp4", 4))

    block = encode(MeanColour(), feed(MeanColour(), [clip, clip]), SETUP)

    assert block.tokens.shape == (2, 1, 4, 4, 3)
    assert block.summary.shape == (2, 1, 3)
    quarter = clip.frames[0, :32, :48].mean((0, 1)) / 255
    assert block.tokens[0, 0, 0, 0].numpy() == pytest.approx(quarter, abs=0.01)
    assert block.seconds[0, 0, :, 0] == pytest.approx(clip.seconds)
    assert np.all(block.seconds[..., 1] > block.seconds[..., 0])


def test_the_record_of_an_array_tells_one_way_of_seeing_from_another():
    bf16 = replace(SETUP, precision=resolve("bf16", CPU))

    first = array_spec(MeanColour(), role="student", setup=SETUP)

    assert first.identity == array_spec(MeanColour(), role="teacher", setup=SETUP).identity
    assert first.identity != array_spec(MeanColour(), role="student", setup=bf16).identity
    other = MeanColour(inputs=replace(INPUTS, mean=(0.5, 0.5, 0.5)))
    assert first.identity != array_spec(other, role="student", setup=SETUP).identity


def test_the_record_of_an_array_says_where_it_comes_from():
    record = array_spec(MeanColour(), role="student", setup=SETUP).provenance

    assert record["weights"] == {
        "source": "none",
        "fingerprint": "0" * 64,
        "random": False,
        "card": {},
    }
    assert record["grid"] == {"time": 4, "height": 2, "width": 2}
    assert record["inputs"]["frames"] == 4
    assert set(record["versions"]) >= {"av", "torch", "transformers", "polyspace"}
