"""How much the fusion lets each teacher say."""

from polyspace.report import words
from polyspace.report.blocks import Picture, Section
from polyspace.report.figures import gates
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.sections.classes import shown


def section(evaluation: Evaluation) -> Section:
    """Show each teacher's gate, over time and by class."""
    return Section(
        "gates",
        "Gates",
        [
            Picture(
                "gates",
                gates.means(evaluation.gates),
                "Mean gate of each teacher, and its course over the clip. "
                f"{words.basis(evaluation)}.",
                "Mean gates",
            ),
            Picture(
                "gates_by_class",
                gates.by_class(evaluation),
                f"Mean gate by true class; {shown(evaluation)}. {words.basis(evaluation)}.",
                "Gates by class",
            ),
        ],
    )
