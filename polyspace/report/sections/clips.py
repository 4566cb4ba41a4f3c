"""Clips worth looking at: where the fusion was surest, wrongly and rightly."""

from collections.abc import Sequence

from polyspace.report import words
from polyspace.report.blocks import Block, Heading, Paragraph, Picture, Section
from polyspace.report.figures import clips
from polyspace.report.figures.clips import Frames
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.inference import Shown

TITLES = {"worst": "Surest mistakes", "best": "Surest successes"}


def section(evaluation: Evaluation, frames: Sequence[Frames | None]) -> Section:
    """Show strips of frames over the gates, mistakes first."""
    pairs = list(zip(evaluation.shown, frames, strict=True))
    blocks: list[Block] = []
    for rank, title in TITLES.items():
        some = [(shown, strip) for shown, strip in pairs if shown.rank == rank]
        blocks.append(Heading(title))
        blocks += _strips(evaluation, rank, some)
    return Section("clips", "Clips", blocks)


def _strips(
    evaluation: Evaluation, rank: str, some: Sequence[tuple[Shown, Frames | None]]
) -> list[Block]:
    if not some:
        return [Paragraph("There is none.")]
    names = evaluation.dataset.class_names
    drawn = clips.draw([shown for shown, _ in some], [strip for _, strip in some], names)
    caption = (
        "Frames of clips with their class, what the model under test said, and how far each "
        "teacher's gate was open meanwhile; at most one clip of a group. "
        f"{words.basis(evaluation)}."
    )
    picture = Picture(f"clips_{rank}", drawn, caption, TITLES[rank], photographic=True)
    return [picture, *map(Paragraph, _missing([shown for shown, _ in some]))]


def _missing(shown: Sequence[Shown]) -> list[str]:
    """Say once why frames are missing, and of how many clips."""
    reasons = [clip.missing["frames"] for clip in shown if "frames" in clip.missing]
    return [f"No frames of {reasons.count(why)} clips: {why}." for why in dict.fromkeys(reasons)]
