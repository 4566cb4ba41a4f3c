"""Which packets have to be decoded so that some frames come out: as few as the codec allows."""

from collections.abc import Collection, Iterable

import numpy as np

from polyspace.data.timeline import Timeline


def runs(timeline: Timeline, wanted: Collection[int]) -> list[list[int]]:
    """Choose packets to decode, in runs that each begin at a keyframe and end at a wanted one.

    What lies between two runs is jumped over.

    Args:
        timeline: Of a file whose order of presentation is known.
        wanted: Numbers of packets.
    """
    keys = [number for number, packet in enumerate(timeline.packets) if packet.is_keyframe]
    stretches = _merged(_stretch(timeline, keys, number) for number in wanted)
    return [
        # Frames ahead of the run's first keyframe refer to what isn't decoded.
        [n for n in range(first, last + 1) if not timeline.precedes(n, first)]
        for first, last in stretches
    ]


def _stretch(timeline: Timeline, keys: list[int], number: int) -> tuple[int, int]:
    """Give the packets from which one can be decoded: from its keyframe to itself.

    A frame that is decoded after a keyframe and shown before it (open groups of pictures) refers to
    the group before, too.
    """
    place = int(np.searchsorted(keys, number, side="right")) - 1
    opens = place > 0 and timeline.precedes(number, keys[place])
    return keys[place - opens], number


def _merged(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join stretches that overlap or follow each other without a gap."""
    joined = list[tuple[int, int]]()
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
