"""What the figures of an exported model can't bear, as far as the records tell."""

from collections.abc import Iterator

from polyspace.report import findings, words
from polyspace.report.records.bundle import Bundle
from polyspace.report.records.evaluation import Evaluation
from polyspace.report.records.proof import Proof


def of(bundle: Bundle, proof: Proof, evaluation: Evaluation | None) -> Iterator[str]:
    """Give each limit in a sentence or two, the gravest first."""
    if bundle.random_weights:
        yield (
            f"The weights of {words.listed(bundle.random_weights)} are random: nothing that "
            f"depends on them is worth anything but to show that the pipeline runs."
        )
    if evaluation:
        yield from _of_another(proof, evaluation)
        yield from findings.warnings(evaluation)
    yield _width(proof, evaluation)
    yield (
        f"It knows {len(bundle.class_names)} classes and names one of them for every clip, also "
        f"for clips of none of them. What it does on videos unlike {proof.dataset} was not "
        f"measured."
    )
    yield _narrow(proof)
    if proof.first:
        machine = words.machine(proof.device, proof.threads)
        yield f"Times hold for {machine}; other machines and loads have others."
    if bundle.entry == "tokens":
        untimed = ", and are in none of the times" if proof.latency else ""
        yield (
            f"It starts from what {bundle.student.name} gives: decoding, preprocessing and "
            f"{bundle.student.name} itself come before it{untimed}."
        )


def groups(proof: Proof, evaluation: Evaluation | None) -> int | None:
    """Count the groups that the held-out clips are of; None where no record says so."""
    if proof.groups:
        return proof.groups
    same = evaluation and evaluation.dataset.fingerprint == proof.fingerprint
    return evaluation.dataset.groups if evaluation and same else None


def _of_another(proof: Proof, evaluation: Evaluation) -> Iterator[str]:
    """Say where an evaluation on the same clips found another accuracy of the same model.

    One clip may differ: devices round differently.
    """
    own = evaluation.method(evaluation.comparison.method).top1_by_seed[0]
    found = proof.top1_source.value
    ours = proof.fingerprint, proof.clips
    theirs = evaluation.dataset.fingerprint, evaluation.coverage.evaluated
    if ours == theirs and abs(own - found) > 1.5 / proof.clips:
        yield (
            f"The evaluation gives this model a top-1 of {words.percent(own)}, the proof "
            f"{words.percent(found)} on the same clips: the evaluation may be of another "
            f"checkpoint."
        )


def _width(proof: Proof, evaluation: Evaluation | None) -> str:
    """Say how little is known of the accuracy."""
    found, count = proof.top1_export, groups(proof, evaluation)
    said = (
        f"Its accuracy is known from {proof.clips} clips{f' of {count} groups' if count else ''}: "
        f"anything from {words.percent(found.low)} to {words.percent(found.high)} is in the "
        f"interval."
    )
    if count is None:
        return f"{said} How many independent groups these are is not recorded here."
    few = count < findings.FEW_GROUPS
    return f"{said} Intervals from so few groups are rough themselves." if few else said


def _narrow(proof: Proof) -> str:
    """Say that agreement is no more than what was looked at."""
    return (
        f"That it agrees with its source was seen on {proof.clips} clips of {proof.dataset}; other "
        f"clips may lie nearer to a border between classes."
    )
