"""How near translations come to what the teachers say."""

from collections.abc import Iterator

from polyspace.report import words
from polyspace.report.blocks import Block, Heading, Noted, Paragraph, Picture, Section, Table
from polyspace.report.figures import agreement
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.sections.classes import shown


def section(evaluation: Evaluation) -> Section:
    """Measure translations against the true features, then against what those are good for."""
    blocks: list[Block] = [
        Heading("Agreement with the true teachers"),
        _table(evaluation),
        Paragraph(
            "R² and the cosine around the training mean (centred) are about 0 for a converter that "
            "ignores the clip; the plain cosine is not, because a teacher's mean alone can make it "
            "high. Own: in the teacher's own space, where dimensions that vary much count more. "
            "Dead: translated worse than by the training mean.",
            quiet=True,
        ),
        Picture(
            "agreement",
            agreement.draw(evaluation),
            "R² of each teacher's trained converter in standardised space. Left: its dimensions, "
            "from the worst translated to the best. Right: class by class; "
            f"{shown(evaluation)}. {words.basis(evaluation)}.",
            "R² by dimension and by class",
        ),
        *_retrieval(evaluation),
        *_recovery(evaluation),
    ]
    return Section("translation", "Translation", blocks)


def _table(evaluation: Evaluation) -> Table:
    rows = [
        (
            teacher,
            converter.replace("_", " "),
            words.decimal(said.r2),
            words.decimal(said.cosine),
            words.decimal(said.centred_cosine),
            words.decimal(said.r2_own),
            words.decimal(said.centred_cosine_own),
            words.percent(said.dimensions.below_mean),
        )
        for teacher, converters in evaluation.translation.items()
        for converter, said in converters.items()
    ]
    head = ("teacher", "converter", "R²", "cosine", "centred")
    own = ("own R²", "own centred", "dead dimensions")
    return Table((*head, *own), rows, text=2)


def _retrieval(evaluation: Evaluation) -> list[Block]:
    """Show whether a translated clip finds its own true features."""
    found = evaluation.retrieval
    if not found:
        return []
    rows = [
        (
            teacher,
            words.percent(of.top1),
            words.percent(of.top5),
            f"{of.mean_rank:.1f}",
            f"{of.median_rank:g}",
            f"{(of.clips + 1) / 2:.1f} of {of.clips}",
        )
        for teacher, of in found.items()
    ]
    head = ("teacher", "first", "in first five", "mean rank", "median rank", "rank by chance")
    return [
        Heading("Finding the true features of a clip by its translation"),
        Table(head, rows),
    ]


def _recovery(evaluation: Evaluation) -> list[Block]:
    """Show what is left of the teachers' own decisions."""
    found = evaluation.recovery
    if not found:
        return []
    head = (
        "teacher",
        "its classes",
        "same class",
        "interval",
        "of the top 5",
        "if it said its mean",
    )
    rows = [
        (
            Noted(teacher, of.note),
            f"{of.classes:,}",
            words.percent(of.agreement.value),
            words.interval(of.agreement),
            "" if of.agreement_top5 is None else words.percent(of.agreement_top5),
            words.percent(of.ignorant),
        )
        for teacher, of in found.items()
    ]
    said = (
        "The classifier of a teacher's own checkpoint, which was trained on true features alone, "
        "decides on true and on translated ones: how often it names the same class."
    )
    return [
        Heading("What is left of the teachers' own decisions"),
        Paragraph(said),
        Table(head, rows),
        *(Paragraph(text) for text in _accuracies(evaluation)),
    ]


def _accuracies(evaluation: Evaluation) -> Iterator[str]:
    """Say how often these decisions are right, where the teacher knows classes of the data set."""
    for teacher, of in evaluation.recovery.items():
        if of.accuracy is not None:
            kept = "" if of.accuracy.kept is None else f": {words.percent(of.accuracy.kept)} kept"
            yield (
                f"On {of.accuracy.clips} clips of {of.accuracy.classes} classes that {teacher} "
                f"knows by name, it is right on {words.percent(of.accuracy.true)} from true "
                f"features and {words.percent(of.accuracy.translated)} from translated ones{kept}."
            )
