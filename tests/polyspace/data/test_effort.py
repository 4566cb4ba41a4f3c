import time

import pytest

from polyspace.data.effort import Effort, Stopwatch


def test_the_largest_share_is_the_bottleneck():
    effort = Effort({"decode": 1.0, "backbone": 6.0, "write": 3.0})

    assert list(effort.shares) == ["backbone", "write", "decode"]
    assert str(effort).startswith("bottleneck: backbone (backbone 60%, write 30%, decode 10%); ")
    assert "--batch" in str(effort)


def test_a_stopwatch_adds_up_by_stage():
    watch = Stopwatch()
    for _ in range(2):
        with watch.on("decode"):
            time.sleep(0.01)
    with watch.on("write"):
        pass

    assert watch.effort.seconds["decode"] >= 0.02
    assert watch.effort.shares["decode"] > 0.5


def test_what_fails_is_counted_too():
    watch = Stopwatch()
    with pytest.raises(RuntimeError), watch.on("write"):
        raise RuntimeError

    assert set(watch.effort.seconds) == {"write"}


def test_nothing_has_no_bottleneck():
    assert str(Effort()) == "nothing was done"
