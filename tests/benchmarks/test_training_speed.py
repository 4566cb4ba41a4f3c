import re
from argparse import Namespace

import pytest

from tests.benchmarks import speed_beside_videos, speed_common, speed_of_runs, speed_of_steps

SMALL = Namespace(
    rounds=1,
    grids=["1 x 1", "8 x 1"],
    clips=64,
    seconds=0.01,
    videos=12,
    base_videos=0,
    epochs=5,
)


@pytest.fixture
def few_dimensions(monkeypatch):
    for module in (speed_common, speed_of_steps):
        monkeypatch.setattr(module, "STUDENT_DIM", 8)
        monkeypatch.setattr(module, "TEACHERS", dict.fromkeys(speed_common.TEACHERS, 6))


def rows(text):
    """Give the cells of the table's lines by what stands in the first one."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in lines[1:]}


def figures(cells):
    return [float(figure) for cell in cells for figure in re.findall(r"\d+\.\d+", cell)]


@pytest.mark.slow
def test_steps_of_every_grid_are_compared(few_dimensions, tmp_path):
    text = speed_of_steps.section(tmp_path, SMALL)
    found = rows(text)
    expected = [f"{what}, {grid}" for grid in SMALL.grids for what in ("fusion", "converters")]
    assert list(found) == expected
    assert all(len(figures(cells)) == 14 and min(figures(cells)) > 0 for cells in found.values())
    assert all(f"- {name}: " in text for name in expected)


@pytest.mark.slow
def test_decoding_in_every_step_is_slower_than_a_cache(tmp_path):
    (cells,) = rows(speed_beside_videos.section(tmp_path, SMALL)).values()
    _, beside, first_epoch, all_epochs = cells
    assert figures([beside])[0] > 1
    assert figures([first_epoch])[0] > 0
    assert figures([all_epochs])[0] > 0


@pytest.mark.slow
def test_runs_are_timed_and_their_memory_is_watched(few_dimensions, tmp_path):
    speed_common.make_features(tmp_path, 32, (1, 1))
    for what in ("converters", "fusion"):
        found = speed_of_runs.spawn(what, tmp_path, epochs=1)
        assert all(seconds > 0 for name in ("start", "epochs") for seconds in found[name])
        assert found["all"] == pytest.approx(
            [sum(parts) for parts in zip(found["start"], found["epochs"], strict=True)]
        )
        assert found["memory"] > 0


def test_memory_that_was_given_back_is_counted():
    with speed_of_runs.Watched() as memory:
        held = bytearray(b"\1") * (64 << 20)
        memory._done.wait(5 * speed_of_runs.LOOK_SECONDS)
        del held
    assert memory.grown > 60
