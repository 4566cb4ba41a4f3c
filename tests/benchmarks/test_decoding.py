"""Readers of videos: each gives the frames that were asked for; tiny."""

import pytest

from tests.benchmarks import flipped_bits
from tests.benchmarks import readers_against_peers as readers
from tests.support.videos import scene, write_video


@pytest.fixture(scope="module", params=readers.KINDS, ids=lambda kind: kind.name)
def samples(request, tmp_path_factory):
    return readers.make(request.param, tmp_path_factory.mktemp("clips"), share=0, frames=40)


@pytest.mark.parametrize("name", readers.READERS)
def test_a_reader_gives_the_pictures_of_a_full_decode(samples, name):
    if name not in readers.installed():
        pytest.skip(f"{name} takes torchcodec")
    if name == "torchcodec, approximate" and "variable" in samples[0].file.name:
        pytest.skip("it takes the rate for constant")

    assert readers.exact(readers.READERS[name], samples) == len(samples)


def test_every_reader_is_measured_in_every_round(samples):
    rates = readers.measure(samples, 2, resize=True)

    assert set(rates) == set(readers.installed())
    assert all(len(found) == 2 and min(found) > 0 for found in rates.values())


def test_flipped_bits_are_counted_by_what_came_of_them(tmp_path):
    file = write_video(tmp_path / "a.mp4", scene(40, width=160, height=120))

    counts = flipped_bits.outcomes(file, 12)

    assert counts.total() == 12
    assert counts["refused"] > 0
