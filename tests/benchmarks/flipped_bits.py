"""How many flipped bits of a video are noticed when all of its frames are wanted.

python -m tests.benchmarks.flipped_bits
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from polyspace.data.clips import Request
from polyspace.data.decode import decode
from polyspace.errors import VideoError
from tests.support.videos import scene, write_video

FRAMES = 40
CODECS = {
    "a.mp4": ("libx264", {}),
    "b.avi": ("mpeg4", {"g": "12"}),
    "c.mp4": ("libx265", {"x265-params": "log-level=none"}),
    "d.webm": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
}


def outcomes(file: Path, flips: int, seed: int = 0) -> Counter[str]:
    """Flip one bit at a time of all but the file's first and last twentieth."""
    draw, content = np.random.default_rng(seed), file.read_bytes()
    request = Request(file.name, file.name, (FRAMES,))
    good, counts = decode(file.parent, request).frames, Counter[str]()
    for _ in range(flips):
        flipped = bytearray(content)
        place = int(draw.integers(len(content) // 20, len(content) * 19 // 20))
        flipped[place] ^= 1 << int(draw.integers(8))
        file.write_bytes(flipped)
        try:
            equal = np.array_equal(decode(file.parent, request).frames, good)
        except VideoError:
            counts["refused"] += 1
        else:
            counts["without effect" if equal else "unseen"] += 1
    file.write_bytes(content)
    return counts


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (codec, options) in CODECS.items():
            frames = scene(FRAMES, width=160, height=120)
            file = write_video(Path(folder) / name, frames, codec=codec, options=options)
            sys.stdout.write(f"{codec}: {dict(outcomes(file, 150))}\n")


if __name__ == "__main__":
    main()
