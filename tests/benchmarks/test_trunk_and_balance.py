"""The table of trunk and balances, on a store of a few clips."""

import pytest

from tests.benchmarks import trunk_and_balance as benchmark
from tests.support.stores import make_store


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    make_store(folder, "train", clips=36, groups=12)
    make_store(folder, "test", clips=18, groups=6)
    options = f"--features {folder} --student stu --teachers flow look --seeds 1 --epochs 1"
    return benchmark.parse([*options.split(), "--batch", "16", "--trunk", "8"])


def test_every_balance_has_a_line_beside_the_one_without_a_trunk(asked):
    said = benchmark.table(asked)
    head, _, *lines = [line for line in said.splitlines() if line.startswith("|")]
    assert head.startswith("| converters | R² of flow | gain | R² of look | gain |")
    cells = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in lines}
    kinds = ("none", "drop", "explained", "uncertainty")
    assert list(cells) == ["no trunk", *(f"trunk, {kind}" for kind in kinds)]
    assert cells["no trunk"][2] == "—"
    assert all(line[1].startswith(("1.000", "0.99")) for line in cells.values())


def test_a_gain_is_measured_clip_by_clip(asked):
    plain, behind = (benchmark.train(trunk, "none", 0, asked) for trunk in (0, 8))
    assert plain.shares.shape == (2, 18)
    line = benchmark._line("no trunk again", [plain], [plain], asked)
    assert " 0.000 [0.000, 0.000] ± 0.000 " in line
    assert "/" in plain.epoch
    assert len(set(behind.epoch.split("/"))) == 1
