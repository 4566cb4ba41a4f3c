"""What the exported formats weigh, and how well they agree with what they were made from."""

from collections.abc import Mapping

from polyspace.report import words
from polyspace.report.blocks import Block, Heading, Paragraph, Picture, Section
from polyspace.report.exports import formats
from polyspace.report.figures import sizes
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.exports import Exports


def section(evaluation: Evaluation, exports: Exports, stores: Mapping[str, int]) -> Section:
    """Show every format side by side, and what everything weighs."""
    clips = max((proof.clips for proof in exports.proofs), default=0)
    caption = (
        f"Weights of every format beside float32, and the features that the stores hold for each "
        f"backbone. n = {clips} clips in the proofs; {words.origin(evaluation)}."
    )
    blocks: list[Block] = [
        Paragraph(formats.sentence(exports)),
        *([formats.agreement(exports), *formats.cost(exports)] if exports.formats else []),
        Paragraph(
            "Every bundle was read back in a fresh process and compared with its source on "
            "held-out clips before it was published; the page of proof in each has the details.",
            quiet=True,
        ),
        Picture("sizes", sizes.draw(exports.proofs, stores), caption, "Sizes on disk"),
    ]
    if exports.refused:
        blocks += [Heading("Refused"), *formats.refused(exports)]
    return Section("export", "Export and sizes", blocks)
