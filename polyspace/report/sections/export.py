"""What the bundle weighs, and how well it agrees with what it was made from."""

import json
from collections.abc import Mapping

from polyspace.report import words
from polyspace.report.blocks import Facts, Folded, Listing, Paragraph, Picture, Section
from polyspace.report.figures import sizes
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.training import Proof


def section(evaluation: Evaluation, proof: Proof, stores: Mapping[str, int]) -> Section:
    """Show what was proved, and what everything weighs."""
    proved = {
        "weights": f"{words.size(proof.bytes)} instead of {words.size(proof.float32_bytes)}, "
        f"{proof.ratio:.3f} of the size",
        "top-1": f"{words.percent(proof.top1_export)}, of the source "
        f"{words.percent(proof.top1_source)}: {proof.difference_points:+.2f} points, "
        f"{proof.threshold_points:g} allowed",
        "same class named": f"{words.percent(proof.agreement)} of {proof.clips} clips",
        "largest change of a logit": f"{proof.max_abs_logit:.3g}",
    }
    caption = (
        f"Weights before and after export as {proof.dtype}, and the features that the stores hold "
        f"for each backbone. n = {proof.clips} clips in the proof; {words.origin(evaluation)}."
    )
    info = json.dumps(proof.quantization_info, indent=1, ensure_ascii=False)
    return Section(
        "export",
        "Export and sizes",
        [
            Paragraph(
                "The bundle was read back in a fresh process and compared with its source on "
                "held-out clips before it was published."
            ),
            Facts(proved),
            Picture("sizes", sizes.draw(proof, stores), caption, "Sizes of weights and features"),
            Folded("How the weights were stored", [Listing(info)]),
        ],
    )
