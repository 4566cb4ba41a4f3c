"""What a checkpoint says of its making, and the check that it meets the same features again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyspace.config import Config
from polyspace.errors import ConfigError, StoreError
from polyspace.precision import Precision
from polyspace.train.sources import StoredClips


def of_run(
    config: Config, clips: StoredClips, backbones: Sequence[str], types: Precision
) -> dict[str, Any]:
    """Record settings, data, weights and types of a run, as plain JSON values."""
    return {
        "config": config.model_dump(mode="json"),
        "dataset": clips.dataset,
        "split": clips.split,
        "fingerprint": clips.fingerprint,
        "class_names": list(clips.class_names),
        "weights": {name: dict(clips.weights(name)) for name in backbones},
        "precision": asdict(types),
    }


def check_weights(
    provenance: Mapping[str, Any], clips: StoredClips, backbone: str, what: str
) -> None:
    """Refuse features of other weights than a checkpoint was trained on.

    Raises:
        StoreError: The backbone is unknown to the checkpoint, or its weights have another
            fingerprint.
    """
    trained = provenance["weights"]
    if backbone not in trained:
        raise StoreError(f"{what} were trained on {', '.join(trained)}, not on {backbone}")
    mine, theirs = clips.weights(backbone), trained[backbone]
    if mine["fingerprint"] != theirs["fingerprint"]:
        raise StoreError(
            f"{what} were trained on {backbone} from {theirs['source']}, but these features are of "
            f"{mine['source']}: extract again with the same weights, or train {what} again"
        )


def check_teachers(fused: Iterable[str], asked: Iterable[str], path: Path) -> None:
    """Refuse other teachers than a fusion was trained with.

    Raises:
        ConfigError: They differ; the message lists both.
    """
    if set(fused) != set(asked):
        raise ConfigError(f"{path} fuses {' '.join(fused)}, not {' '.join(asked)}: mend --teachers")
