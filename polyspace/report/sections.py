"""The sections of the page, in the order of the questions that a reader has."""

import json
from collections.abc import Mapping

from polyspace.data.quarantine import count_reasons, split_note
from polyspace.report import findings, words
from polyspace.report.figures import (
    canvas,
    confusion,
    curves,
    gates,
    intervals,
    per_class,
    sizes,
    vectors,
)
from polyspace.report.markup import Html, element, join
from polyspace.report.parts import Section, facts, folded, paragraph, picture, table
from polyspace.report.records import Curves, Evaluation, Method, Proof, Vectors

MISTAKES = 12
"""Confusions that are listed at most."""
LISTED = 12
"""Quarantined clips up to which their list is unfolded."""


def methods(evaluation: Evaluation) -> Section:
    """Every method and what it stands for."""
    caption = (
        f"Top-1 accuracy and its interval ({evaluation.interval}); dashed: chance. "
        f"{words.basis(evaluation)}."
    )
    body = join(
        paragraph(words.unbroken(findings.scale(evaluation))),
        picture(intervals.draw(evaluation), caption, alt="Accuracies with intervals"),
        _methods_table(evaluation),
        paragraph(
            "Covered: clips that could not be read count as wrong. Class mean: every class counts "
            "the same. ECE: expected calibration error. Parameters: everything that runs after "
            "the student.",
            "quiet",
        ),
    )
    return Section("methods", "All methods", body)


def coverage(evaluation: Evaluation) -> Section:
    """Which clips the figures speak of."""
    notes = evaluation.coverage.quarantined
    rows = ((element("code", name), *split_note(text)) for name, text in notes.items())
    said = paragraph(words.unbroken(findings.coverage(evaluation)))
    if not notes:
        return Section("coverage", "Coverage", said)
    counts = ((why, str(count)) for why, count in count_reasons(notes.values()).items())
    listed = table(("clip", "reason", "found"), rows, text=3)
    if len(notes) > LISTED:
        listed = folded(f"All {len(notes)} quarantined clips", listed)
    body = join(said, table(("reason", "clips"), counts), listed)
    return Section("coverage", "Coverage", body)


def classes(evaluation: Evaluation) -> Section:
    """Which classes are recognised, and what they are taken for."""
    compared, names = evaluation.comparison, evaluation.dataset.class_names
    own = evaluation.method(compared.method)
    pair = f"{words.method(compared.method)} and {words.method(compared.baseline)}"
    body = join(
        picture(
            confusion.draw(own.confusion, names),
            f"Confusion matrix of {words.method(own.name)}, in percent of each true class. "
            f"{words.basis(evaluation)}.",
            alt="Confusion matrix",
        ),
        element("h3", "Most frequent mistakes"),
        _mistakes(own, names),
        element("h3", f"Class by class: {pair}"),
        picture(
            per_class.draw(evaluation),
            f"Accuracy within each class, sorted by the difference; {_shown(evaluation)}. "
            f"{words.basis(evaluation)}.",
            alt=f"Accuracy by class of {pair}",
        ),
    )
    return Section("classes", "Classes", body)


def translation(evaluation: Evaluation, pooled: Vectors) -> Section:
    """How near translations come to what the teachers say."""
    caption = (
        "Pooled vectors of the test clips, one point a clip, coloured by class: the student's own "
        "(its own two principal components), what the converter makes of them, and what the "
        "teacher says (the last two on shared principal components). In brackets: the variance "
        f"that the two axes hold. {words.basis(evaluation)}."
    )
    drawn = vectors.draw(pooled, evaluation.teachers, evaluation.dataset.class_names)
    body = join(
        picture(drawn, caption, alt="Vectors before and after the converters"),
        element("h3", "Agreement with the true teachers"),
        _translation_table(evaluation),
        paragraph(
            "R² and centred cosine are about 0 for a converter that ignores the clip; the plain "
            "cosine is not, because a teacher's mean alone can make it high. In the teacher's own "
            "space, dimensions that vary much count more.",
            "quiet",
        ),
    )
    return Section("translation", "Translation", body)


def opening(evaluation: Evaluation) -> Section:
    """How much the head lets each teacher say."""
    body = join(
        picture(
            gates.means(evaluation.gates),
            f"Mean gate of each teacher, and its course over the clip. {words.basis(evaluation)}.",
            alt="Mean gates",
        ),
        picture(
            gates.by_class(evaluation),
            f"Mean gate by true class; {_shown(evaluation)}. {words.basis(evaluation)}.",
            alt="Gates by class",
        ),
    )
    return Section("gates", "Gates", body)


def training(converters: Curves, head: Curves, evaluation: Evaluation) -> Section:
    """How training went."""
    basis = f"seed {evaluation.seed}; {evaluation.device}"
    body = join(
        element("h3", "Converters"),
        picture(
            curves.converters(converters, evaluation.teachers, together=evaluation.trunk > 0),
            "Losses, and the variance explained on the hold-out, a part of the training split. "
            f"The dots are the epochs that were kept. n = {_epochs(converters)} epochs; {basis}.",
            alt="Training curves of the converters",
        ),
        element("h3", "Fusion"),
        picture(
            curves.fusion(head, evaluation.chance),
            "Cross-entropy and accuracy; the hold-out is a part of the training split. "
            f"The dot is the epoch that was kept. n = {_epochs(head)} epochs; {basis}.",
            alt="Training curves of the fusion head",
        ),
    )
    return Section("training", "Training", body)


def export(proof: Proof, stores: Mapping[str, int], evaluation: Evaluation) -> Section:
    """What the bundle weighs, and how well it agrees with what it was made from."""
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
        f"for each backbone. n = {proof.clips} clips in the proof; seed {evaluation.seed}; "
        f"{evaluation.device}."
    )
    body = join(
        paragraph(
            "The bundle was read back in a fresh process and compared with its source on held-out "
            "clips before it was published."
        ),
        facts(proved),
        picture(sizes.draw(proof, stores), caption, alt="Sizes of weights and features"),
        folded("How the weights were stored", _json(proof.quantization_info)),
    )
    return Section("export", "Export and sizes", body)


def provenance(evaluation: Evaluation) -> Section:
    """Where the figures come from, so that they can be made again."""
    of = evaluation.dataset
    versions = " · ".join(f"{name} {number}" for name, number in evaluation.versions.items())
    given = {
        "command": element("code", evaluation.command),
        "made": f"{words.moment(evaluation.created)}, in {evaluation.seconds:.0f} s",
        "device": evaluation.device,
        "seed": str(evaluation.seed),
        "data set": f"{of.name}, {of.split} split: {of.clips} clips in {of.groups} groups, "
        f"{len(of.class_names)} classes",
        "student": evaluation.student,
        "teachers": ", ".join(evaluation.teachers),
        "random weights": ", ".join(evaluation.random_weights) or "none",
        "intervals": evaluation.interval,
        "features, test": element("code", of.fingerprint),
        "features, train": element("code", of.train_fingerprint),
        "versions": versions,
    }
    return Section("provenance", "Provenance", facts(given))


def _methods_table(evaluation: Evaluation) -> Html:
    head = ("method", "kind", "top-1", "interval", "top-5", "covered", "class mean", "ECE")
    rows = sorted(evaluation.methods, key=lambda method: -method.top1.value)
    own = [row.name for row in rows].index(evaluation.comparison.method)
    cells = [_row(method) for method in rows]
    return table((*head, "parameters"), cells, text=2, marked=own)


def _row(method: Method) -> tuple[str, ...]:
    dot = f"--dot: {canvas.KINDS[method.kind]}"
    return (
        join(words.method(method.name), element("small", method.words)),
        element("span", method.kind, class_="kind", style=dot),
        words.percent(method.top1.value),
        words.interval(method.top1),
        words.percent(method.top5.value),
        words.percent(method.covered_top1),
        words.percent(method.mean_class),
        words.decimal(method.ece),
        f"{method.parameters:,}",
    )


def _mistakes(method: Method, names: tuple[str, ...]) -> Html:
    """List the cells beside the diagonal that hold the most clips."""
    counts = [
        (count, names[true], names[said], count / sum(row))
        for true, row in enumerate(method.confusion)
        for said, count in enumerate(row)
        if count and said != true
    ]
    most = sorted(counts, key=lambda cell: -cell[0])[:MISTAKES]
    rows = [(true, said, str(count), words.percent(share)) for count, true, said, share in most]
    if not rows:
        return paragraph("None: every clip was recognised.")
    return table(("true", "taken for", "clips", "of the class"), rows, text=2)


def _translation_table(evaluation: Evaluation) -> Html:
    rows = [
        (
            teacher,
            converter.replace("_", " "),
            words.decimal(said.r2),
            words.decimal(said.cosine),
            words.decimal(said.centred_cosine),
            "" if said.r2_own is None else words.decimal(said.r2_own),
        )
        for teacher, converters in evaluation.translation.items()
        for converter, said in converters.items()
    ]
    head = ("teacher", "converter", "R²", "cosine", "centred cosine", "R², own space")
    return table(head, rows, text=2)


def _shown(evaluation: Evaluation) -> str:
    count = len(evaluation.dataset.class_names)
    if count <= per_class.SHOWN:
        return f"all {count} classes"
    half = per_class.SHOWN // 2
    return f"of {count} classes the {half} lowest and the {half} highest"


def _epochs(training: Curves) -> int:
    return max((int(epoch["epoch"]) for epoch in training.epochs), default=0)


def _json(value: object) -> Html:
    return element("pre", json.dumps(value, indent=1, ensure_ascii=False))
