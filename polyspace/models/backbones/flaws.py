"""Releases of libraries that get something wrong without saying so: nothing is to run on them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Flaw:
    """What is wrong with some releases of a library."""

    library: str
    first: tuple[int, int, int]
    """First release that has it."""
    last: tuple[int, int, int]
    """Last one."""
    backbones: tuple[str, ...]
    """Those whose features it would change."""
    what: str
    """What the library does, as the rest of a sentence."""
    remedy: str

    def is_in(self, version: str) -> bool:
        """Tell whether a release has it."""
        release = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
        return self.first <= release <= self.last


FLAWS = (
    # Source: huggingface/transformers pull request 48675.
    Flaw(
        library="transformers",
        first=(5, 5, 4),
        last=(5, 17, 0),
        backbones=("videomae",),
        what="loses videomae's query and value biases in silence",
        remedy="install transformers>=5.18",
    ),
)
