"""The data at the head of a model card, as the Hugging Face hub reads it."""

from huggingface_hub import EvalResult, ModelCardData

from polyspace.models.backbones.licences import licence
from polyspace.report.records.bundle import Bundle
from polyspace.report.records.proof import Proof

TASK = "video-classification"
UNKNOWN = "unknown"
"""The hub's word where nobody has declared a licence."""


def render(bundle: Bundle, proof: Proof, spdx: str | None) -> str:
    """Write it with its fences; only what was measured of this very export is a result.

    Source: the hub's model card specification,
    https://huggingface.co/docs/hub/model-cards#model-card-metadata.
    """
    data = ModelCardData(
        license=(spdx or inherited(bundle)).lower(),
        library_name="polyspace",
        pipeline_tag=TASK,
        tags=[TASK, "distillation", bundle.student.name, bundle.kind],
        datasets=[proof.dataset],
        metrics=["accuracy"],
        base_model=_base_model(bundle),
        model_name=name(bundle, proof),
        eval_results=[_top1(proof)],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def name(bundle: Bundle, proof: Proof) -> str:
    """Name the model after its student, its data and its form."""
    return f"{bundle.student.name}-{proof.dataset}-{bundle.kind}"


def inherited(bundle: Bundle) -> str:
    """Give the licence that a bundle has where its owner has put it under none.

    What was trained here has none then; the weights of a backbone that is inside keep theirs.
    """
    weights = bundle.weights.get(bundle.student.name)
    if bundle.entry == "tokens" or weights is None:
        return UNKNOWN
    return licence(weights.model_dump()).identifier or UNKNOWN


def _base_model(bundle: Bundle) -> str | None:
    """Name the student's repository on the hub, if its weights came from there."""
    weights = bundle.weights.get(bundle.student.name)
    repository, at, _ = weights.source.partition(" @ ") if weights else ("", "", "")
    return repository if at else None


def _top1(proof: Proof) -> EvalResult:
    found = proof.top1_export
    return EvalResult(
        task_type=TASK,
        dataset_type=proof.dataset,
        dataset_name=proof.dataset,
        dataset_split=proof.split,
        metric_type="accuracy",
        metric_name="top-1 accuracy",
        metric_value=found.value,
        metric_args={"interval_95": [found.low, found.high], "clips": proof.clips},
    )
