from time import perf_counter

import numpy as np
import pytest
import torch

from polyspace.export.proof import latency
from polyspace.export.proof.latency import BATCHES, FEWEST, LEAST, MOST, WARM_UP, Ratio, measure

INPUTS = torch.arange(3.0)[:, None]


def nothing(inputs):
    return inputs


def also_nothing(inputs):
    return inputs.clone()


class Pretended:
    """A clock under which a batch of the export takes half a second and one of the source two."""

    def __init__(self):
        self.calls = []

    def __call__(self, run, given):
        self.calls.append((run, given))
        return 2.0 if run is nothing else 0.5


def test_both_are_timed_in_turns_over_the_same_clips():
    clock = Pretended()
    rows = list(measure(nothing, also_nothing, INPUTS, clock))
    assert [row.batch for row in rows] == list(BATCHES)
    pairs = list(zip(clock.calls[::2], clock.calls[1::2], strict=True))
    assert all({first[0], second[0]} == {nothing, also_nothing} for first, second in pairs)
    assert all(first[1] is second[1] for first, second in pairs)
    counted = pairs[WARM_UP : WARM_UP + FEWEST]
    assert [pair[0][0] is nothing for pair in counted[:4]] in (
        [True, False, True, False],
        [False, True, False, True],
    )
    assert len(pairs) == sum(row.repeats + WARM_UP for row in rows)


def test_clips_are_repeated_until_a_batch_is_full():
    clock = Pretended()
    list(measure(nothing, also_nothing, INPUTS, clock))
    sizes = {len(given): given for _, given in clock.calls}
    assert set(sizes) == set(BATCHES)
    assert sizes[8].flatten().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_times_are_milliseconds_and_ratios_the_exports_over_the_sources():
    for row in measure(nothing, also_nothing, INPUTS, Pretended()):
        assert (row.source_ms.low, row.source_ms.median, row.source_ms.high) == (2e3, 2e3, 2e3)
        assert row.export_ms.median == 500
        assert row.ratio == Ratio(0.25, 0.25, 0.25)
        assert FEWEST <= row.repeats <= MOST


def test_without_time_there_are_still_enough_rounds(monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    assert {row.repeats for row in measure(nothing, also_nothing, INPUTS, Pretended())} == {FEWEST}


def test_rounds_that_take_minutes_are_few(monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    monkeypatch.setattr(latency, "LONGEST", 0.0)
    assert {row.repeats for row in measure(nothing, also_nothing, INPUTS, Pretended())} == {LEAST}


def test_quantiles_of_ratios_are_numpys():
    values = np.random.default_rng(0).lognormal(size=101)
    ratio = Ratio.of(values)
    expected = np.quantile(values, [0.1, 0.5, 0.9])
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx(tuple(expected))


def test_on_a_processor_the_clock_runs_while_the_model_does():
    def slow(inputs):
        until = perf_counter() + 0.02
        while perf_counter() < until:
            pass
        return inputs

    assert latency.clock_for(torch.device("cpu"))(slow, INPUTS) >= 0.02


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_events_wait_for_the_work():
    device = torch.device("cuda")
    wide = torch.randn(4096, 4096, device=device)
    seconds = latency.clock_for(device)(lambda inputs: wide @ wide @ wide @ wide, INPUTS)
    assert seconds > 4e-5
