"""Speed of extraction: decoding alone, and decoding with the offline backbones."""

import pytest

from polyspace.data import featurize
from polyspace.data.clips import Request
from polyspace.data.datasets import motion
from polyspace.data.featurize import FeaturizeConfig
from polyspace.data.prefetch import decode_all


@pytest.fixture(scope="module")
def measured(request):
    """Whether it counts."""
    return not request.config.getoption("--benchmark-disable")


@pytest.fixture(scope="module")
def clips(tmp_path_factory, measured):
    """The demo's clips when it counts, a few tiny ones when it doesn't."""
    root = tmp_path_factory.mktemp("motion")
    for _ in motion.render(root, motion.MotionSettings() if measured else motion.TINY):
        pass
    return motion.read(root, "test")


@pytest.mark.parametrize("processes", [0, 2])
def test_decoding_for_frames_and_motion(benchmark, clips, processes):
    requests = [Request(clip.id, clip.path, (16,), 16) for clip in clips.clips]

    def decode():
        return sum(1 for _ in decode_all(clips.root, requests, processes=processes, ahead=8))

    assert benchmark(decode) == len(clips.clips)


def test_extraction_with_a_student_and_a_teacher(benchmark, clips, measured, tmp_path):
    runs = iter(range(1000))

    def extract():
        config = FeaturizeConfig(
            dataset="motion",
            root=clips.root,
            split=("test",),
            out=tmp_path / str(next(runs)),
            student="transnetv2",
            teachers=("motion_vectors",),
            frames=16 if measured else 2,
        )
        return [state.done for state in featurize.run(config)][-1]

    assert benchmark.pedantic(extract, rounds=3) == len(clips.clips)
