"""The table of converters and losses, on a store of a few clips."""

import numpy as np
import pytest

from tests.benchmarks import converters_by_losses as benchmark
from tests.support.stores import make_store


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=36, groups=12)
    make_store(folder, "test", clips=18, groups=6)
    return folder


def asked(features, *more):
    options = f"--features {features} --student stu --teacher flow --seeds 2 --epochs 1 --batch 16"
    return benchmark.parse([*options.split(), *more])


def test_each_kind_has_a_line_and_each_loss_a_column(features):
    losses = ["--losses", "l2=1", "cosine=1 l1=0.1"]
    said = benchmark.table(asked(features, "--kinds", "mean", "ridge", "linear", *losses))
    head, _, *lines = [line for line in said.splitlines() if line.startswith("|")]
    assert head == "| converter | solved, no loss | l2=1 | cosine=1 l1=0.1 | seconds |"
    cells = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in lines}
    assert list(cells) == ["mean", "ridge", "linear"]
    assert cells["ridge"][1].startswith("1.000 [1.000, 1.000]")
    assert cells["linear"][1] == ""
    assert all(cell.startswith(("1.000", "0.99")) for cell in cells["linear"][2:4])


def test_the_mean_of_the_clips_shares_is_the_share_of_variance_explained(features):
    explained = benchmark.explain("mean", "per_dimension", "l2=1", 0, asked(features))
    assert explained.share.shape == (18,)
    assert explained.share.mean() == pytest.approx(0, abs=0.1)
    assert np.ptp(explained.share) > 0.1


def test_normalizers_are_rows_of_their_own(features):
    more = ("--kinds", "ridge", "--normalizers", "none", "pca_whitening", "--space", "own")
    said = benchmark.table(asked(features, *more))
    assert "| ridge, none | 1.000 " in said
    assert "| ridge, pca_whitening | 1.000 " in said


def test_a_kind_beside_itself_is_no_better(features):
    options = asked(features, "--beside", "ridge")
    found = benchmark.cell("ridge", "per_dimension", "l2=1", options)
    assert (found.r2.value, found.r2.low, found.r2.high, found.spread) == (0, 0, 0, 0)
    worse = benchmark.cell("mean", "per_dimension", "l2=1", options)
    assert worse.r2.high < -0.8
