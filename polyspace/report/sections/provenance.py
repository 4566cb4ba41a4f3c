"""Where the figures come from, so that they can be made again."""

from polyspace.report import words
from polyspace.report.blocks import Code, Facts, Section
from polyspace.report.records.evaluation import Evaluation


def section(evaluation: Evaluation) -> Section:
    """List what decides every figure."""
    of = evaluation.dataset
    given = {
        "command": Code(evaluation.command),
        "made": f"{words.moment(evaluation.created)}, in {evaluation.seconds:.0f} s",
        "device": evaluation.device,
        "seeds": f"{', '.join(map(str, evaluation.seeds))} in training, "
        f"{evaluation.seed} for the bootstrap",
        "data set": f"{of.name}, {of.split} split: {of.clips} clips in {of.groups} groups, "
        f"{len(of.class_names)} classes",
        "student": evaluation.student,
        "teachers": ", ".join(evaluation.teachers),
        "random weights": ", ".join(evaluation.random_weights) or "none",
        "intervals": evaluation.interval,
        "features, test": Code(of.fingerprint),
        "features, train": Code(of.train_fingerprint),
        "versions": " · ".join(f"{name} {number}" for name, number in evaluation.versions.items()),
    }
    return Section("provenance", "Provenance", [Facts(given)])
