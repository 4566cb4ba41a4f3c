"""What is asked of the decoder, for whoever wants something of a file."""

from collections.abc import Iterable

from polyspace.data.clips import Request
from polyspace.data.views import Viewing
from polyspace.models.backbones.protocol import InputSpec


def ask(
    clip: str, path: str, wanted: Iterable[InputSpec], *, viewing: Viewing, allow_damaged: bool
) -> Request:
    """Ask for everything that some backbones want of a file, at once.

    Args:
        clip: The clip's id.
        path: Where the file is, relative to the data set's root.
        wanted: What the backbones are fed.
        viewing: How the clip is looked at.
        allow_damaged: Whether what is left of a damaged file is used.
    """
    specs = tuple(wanted)
    steps = {spec.frames for spec in specs if spec.kind == "motion"}
    assert len(steps) <= 1, "a decoder makes one motion field"
    return Request(
        clip=clip,
        path=path,
        wanted=tuple(sorted({spec.frames for spec in specs if spec.kind == "frames"})),
        motion_steps=next(iter(steps), None),
        viewing=viewing,
        allow_damaged=allow_damaged,
    )
