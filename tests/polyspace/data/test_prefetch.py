import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from polyspace.data import parcels
from polyspace.data.clips import DecodedClip, Request
from polyspace.data.decode import decode
from polyspace.data.prefetch import attempt, decode_all
from polyspace.data.workers import Containment
from polyspace.errors import ConfigError, VideoError
from tests.support.clips import ask
from tests.support.videos import numbered, numbers, write_video


@dataclass(frozen=True)
class Deadly(Request):
    """A file that kills its decoder: unpickling the request ends the process."""

    def __reduce__(self):
        return os._exit, (1,)


@dataclass(frozen=True)
class Endless(Request):
    """A file that its decoder never gets done with."""

    def __reduce__(self):
        return time.sleep, (60,)


@dataclass(frozen=True)
class Spinning(Request):
    """A file that its decoder computes for ever at."""

    def __reduce__(self):
        return exec, ("while True: pass",)


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


def blocks():
    return {file.name for file in Path("/dev/shm").glob(f"polyspace-{os.getpid()}-*")}


def test_a_file_that_takes_too_long_costs_its_own_clip(root):
    asked = requests(*range(4))
    asked[1] = Endless("1", "1.mp4", (2,))
    short = Containment(seconds=0.5)

    results = list(decode_all(root, asked, processes=2, ahead=3, containment=short))

    assert last_frames(results) == [9, "1.mp4: took its decoder longer than 0.5 s", 11, 12]
    assert isinstance(results[1], VideoError)
    assert results[1].reason == "time-out"


def test_a_file_that_fills_its_memory_costs_its_own_clip(tmp_path):
    frames = numbered(40, width=640, height=480)
    write_video(tmp_path / "large.mp4", frames)
    write_video(tmp_path / "small.mp4", numbered(10))
    asked = [ask("large.mp4", 40), ask("small.mp4", 2)]
    narrow = Containment(memory_bytes=frames.nbytes)

    large, small = decode_all(tmp_path, asked, processes=1, ahead=1, containment=narrow)

    assert isinstance(large, VideoError)
    assert large.reason == "memory"
    assert last_frames([small]) == [9]


def test_a_file_that_never_stops_computing_is_stopped_by_the_system(root):
    asked = requests(0)
    asked.append(Spinning("1", "1.mp4", (2,)))
    short = Containment(seconds=60.0, cpu_seconds=0)

    results = list(decode_all(root, asked, processes=1, ahead=1, containment=short))

    assert isinstance(results[1], VideoError)
    assert results[1].reason == "time-out"


def test_no_block_of_shared_memory_is_left(root):
    asked = [*requests(*range(4)), Deadly("2", "2.mp4", (2,))]
    list(decode_all(root, asked, processes=2, ahead=3))
    assert not blocks()

    results = decode_all(root, requests(*range(6)), processes=2, ahead=4)
    next(results)
    results.close()
    assert not blocks()


def test_shared_memory_that_is_too_small_is_said_with_the_remedy(root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    clip = decode(root, requests(0)[0])
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match=r"/dev/shm has \d+ MB free, .* --shm-size"):
        parcels.pack(clip, "polyspace-test")
    assert not Path("/dev/shm/polyspace-test").exists()


def test_what_is_packed_comes_out_again(root):
    clip = decode(root, requests(3)[0])
    nothing = decode(root, ask("3.mp4", motion_steps=2))

    for sent in (clip, nothing):
        found = parcels.unpack(parcels.pack(sent, "polyspace-test"))
        assert np.array_equal(found.frames, sent.frames)
        assert found.frames.shape == sent.frames.shape
        assert np.array_equal(found.seconds, sent.seconds)
    parcels.discard("polyspace-test")


@pytest.mark.parametrize("megabytes", [16, 48, 64, 80, 96, 128])
def test_a_file_that_fills_its_decoder_costs_its_own_clip(root, tmp_path, megabytes):
    write_video(tmp_path / "large.mp4", numbered(40, width=640, height=480))
    (tmp_path / "0.mp4").write_bytes((root / "0.mp4").read_bytes())
    asked = [ask("large.mp4", 40), ask("0.mp4", 2)]
    small = Containment(memory_bytes=megabytes * 2**20)

    large, neighbour = decode_all(tmp_path, asked, processes=1, ahead=1, containment=small)

    assert isinstance(large, DecodedClip) or large.reason in ("memory", "damaged")
    assert last_frames([neighbour]) == [9]
    assert not blocks()


def test_what_is_wrong_with_a_file_is_said_without_keeping_its_decoder(root):
    """A process that answers with what it caught would have the next file share its memory."""
    error = attempt(root, ask("gone.mp4", 2), "unused")

    assert isinstance(error, VideoError)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


MURDER = """
import os, sys
from pathlib import Path
from polyspace.data.clips import Request
from polyspace.data.prefetch import decode_all

class Murderous(Request):
    def __reduce__(self):
        block = f"/dev/shm/polyspace-{os.getpid()}-0"
        return exec, (f"open({block!r}, 'w'); import os; os.kill({os.getpid()}, 9)",)

list(decode_all(Path(), [Murderous("a", "a.mp4", (2,))], processes=1, ahead=0))
"""


def test_a_block_is_removed_if_all_die_before_its_maker_has_noted_it():
    killed = subprocess.Popen([sys.executable, "-c", MURDER], stderr=subprocess.DEVNULL)
    block = Path(f"/dev/shm/polyspace-{killed.pid}-0")

    assert killed.wait() == -signal.SIGKILL
    for _ in range(100):
        if not block.exists():
            break
        time.sleep(0.05)

    left = block.exists()
    block.unlink(missing_ok=True)
    assert not left
