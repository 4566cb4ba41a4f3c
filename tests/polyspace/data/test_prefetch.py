import os
import signal
from dataclasses import dataclass
from multiprocessing import active_children

import pytest

from polyspace.data.clips import DecodedClip, Request
from polyspace.data.prefetch import decode_all
from polyspace.errors import VideoError
from tests.support.clips import ask
from tests.support.videos import numbered, numbers, write_video


@dataclass(frozen=True)
class Deadly(Request):
    """A file that kills its decoder: unpickling the request ends the worker."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Clips of 10, 11, 12, … frames."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(6):
        write_video(folder / f"{number}.mp4", numbered(10 + number))
    return folder


def requests(*names):
    return [ask(f"{name}.mp4", 2) for name in names]


def last_frames(results):
    return [numbers(r.frames)[-1] if isinstance(r, DecodedClip) else str(r) for r in results]


@pytest.mark.parametrize("processes", [0, 2])
def test_clips_come_in_the_order_of_the_requests(root, processes):
    results = decode_all(root, requests(*range(6)), processes=processes, ahead=3)

    assert last_frames(results) == [9, 10, 11, 12, 13, 14]


@pytest.mark.parametrize("processes", [0, 1])
def test_a_bad_file_costs_its_own_clip(root, processes):
    results = decode_all(root, requests(0, "gone", 2), processes=processes, ahead=3)

    first, error, last = list(results)
    assert isinstance(error, VideoError)
    assert str(error) == "gone.mp4: can't be read: No such file or directory"
    assert last_frames([first, last]) == [9, 11]


def test_no_more_is_decoded_ahead_than_may_wait(root):
    taken = []
    endless = (taken.append(1) or requests(0)[0] for _ in iter(int, 1))

    results = decode_all(root, endless, processes=1, ahead=4)
    next(results)
    results.close()

    assert len(taken) == 5


def test_a_file_that_kills_its_decoder_costs_its_own_clip(root):
    asked = requests(*range(6))
    asked[2] = Deadly("2", "2.mp4", (2,))

    results = list(decode_all(root, asked, processes=2, ahead=3))

    killed = "2.mp4: killed the process that decoded it"
    assert last_frames(results) == [9, 10, killed, 12, 13, 14]


def test_a_worker_that_somebody_kills_costs_nothing(root):
    results = decode_all(root, requests(*range(6)), processes=1, ahead=2)
    first = next(results)
    for child in active_children():
        if child.pid:
            os.kill(child.pid, signal.SIGKILL)

    assert last_frames([first, *results]) == [9, 10, 11, 12, 13, 14]


def test_stopping_early_ends_the_workers(root):
    before = set(active_children())
    results = decode_all(root, requests(*range(6)), processes=2, ahead=2)
    next(results)

    results.close()

    assert set(active_children()) <= before
