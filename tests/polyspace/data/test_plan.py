from fractions import Fraction

import numpy as np
import pytest
from av.packet import Packet

from polyspace.data.plan import runs
from polyspace.data.timeline import Timeline


def packet(*, key: bool) -> Packet:
    made = Packet(1)
    made.is_keyframe = key
    return made


def film(coded: str) -> Timeline:
    """Make a timeline of packets by type and place in presentation: "I0 P3 B1 B2"."""
    words = coded.split()
    stamps = np.array([float(word[1:]) for word in words])
    shown = np.argsort(stamps).tolist()
    packets = [packet(key=word[0] == "I") for word in words]
    return Timeline(packets, shown, True, stamps, Fraction(1), Fraction(1), True)


CLOSED = film("I0 P3 B1 B2 P4 I5 P8 B6 B7 I9 P10 P11 I12 P13")
OPEN = film("I0 P3 B1 B2 I6 B4 B5 P9 B7 B8 I12 B10 B11 P15")


@pytest.mark.parametrize(
    ("of", "wanted", "expected"),
    [
        (CLOSED, [], []),
        (CLOSED, [0], [[0]]),
        (CLOSED, [3], [[0, 1, 2, 3]]),
        (CLOSED, [0, 12], [[0], [12]]),
        (CLOSED, [6, 10], [[5, 6], [9, 10]]),
        (CLOSED, [4, 5], [[0, 1, 2, 3, 4, 5]]),
        (OPEN, [0, 7], [[0], [4, 7]]),
        (OPEN, [5], [[0, 1, 2, 3, 4, 5]]),
        (OPEN, [11], [[4, 7, 8, 9, 10, 11]]),
        (OPEN, [10, 11], [[4, 7, 8, 9, 10, 11]]),
    ],
)
def test_runs_begin_at_keyframes_and_end_at_wanted_packets(of, wanted, expected):
    assert runs(of, wanted) == expected
