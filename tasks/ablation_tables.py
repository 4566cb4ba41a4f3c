"""What an ablation came to: its entries in the report's words, and the files that show them."""

import json
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polyspace import files
from polyspace.errors import SweepError
from polyspace.report import ablation as report
from polyspace.report.figures import ablation as figure
from polyspace.report.figures import canvas
from polyspace.report.records.ablation import Ablation
from polyspace.store.reader import FeatureStore, find_store
from polyspace.train import search
from polyspace.train.ablation import GROUPS, AblationConfig, Variation
from polyspace.train.ablation_results import Entry, scores, table
from polyspace.train.ablation_score import RECORD
from tasks import ablation_entries as entries
from tasks import ablation_stores as stores

PACKAGES = ("polyspace", "torch", "numpy")


def collect(config: AblationConfig, plan: Sequence[Variation]) -> Ablation:
    """Put what was measured in the words of the report.

    Args:
        config: The ablation.
        plan: What was to be measured, the base first.

    Raises:
        SweepError: The base has no score.
    """
    prints = stores.fingerprints(config)
    settled = [entries.settled(config, variation, prints) for variation in plan]
    base = settled[0]
    if base.gap:
        raise SweepError(f"nothing can be compared, because the base came to no score: {base.gap}")
    rows = table(settled, config.out, resamples=config.resamples)
    return Ablation.model_validate(
        {**_about(config, base), "looks": _looks(settled), "rows": [asdict(row) for row in rows]}
    )


def write(found: Ablation, out: Path) -> Sequence[Path]:
    """Write the table, the record and the picture; give their paths."""
    contents = {
        "ablation.md": report.markdown(found, "ablation.png").encode(),
        "ablation.csv": report.comma_separated(found).encode(),
        "ablation.json": found.model_dump_json(indent=1).encode(),
        "ablation.png": canvas.png(figure.draw(found)),
    }
    for name, content in contents.items():
        files.write_atomically(out / name, lambda file, content=content: file.write(content))
    return [out / name for name in contents]


def command(config: AblationConfig) -> str:
    """Write the command that does the same."""
    said = ["python -m flows.ablate", f"--dataset {config.dataset}"]
    said += [f"--features {shlex.quote(str(config.features))}", f"--student {config.student}"]
    said += [f"--teachers {' '.join(config.teachers)}", f"--out {shlex.quote(str(config.out))}"]
    said += [f"--seeds {config.seeds}"]
    defaults = AblationConfig.model_fields
    for name in ("converter", "fusion"):
        settings, usual = getattr(config, name), defaults[name].default
        for inner in type(settings).model_fields:
            if (value := getattr(settings, inner)) != getattr(usual, inner):
                said.append(f"--{name}.{inner} {shlex.quote(search.written(value))}")
    if config.groups != GROUPS:
        said.append(f"--groups {' '.join(config.groups)}")
    if config.features_float32:
        said.append(f"--features-float32 {shlex.quote(str(config.features_float32))}")
    return " ".join(said)


def _about(config: AblationConfig, base: Entry) -> dict[str, Any]:
    """Say what everything rests on."""
    train, test = (
        FeatureStore.open(find_store(config.features, config.dataset, split))
        for split in (config.train_split, config.split)
    )
    folder = base.trained[0].score
    said: dict[str, Any] = json.loads((config.out / folder / RECORD).read_text())
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(config),
        "device": said["device"],
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "dataset": config.dataset,
        "split": config.split,
        "clips": said["evaluated"],
        "coverage": said["clips"],
        "groups": len(set(scores(config.out, [folder]).groups)),
        "chance": 1 / len(test.class_names),
        "student": config.student,
        "teachers": config.teachers,
        "seeds": tuple(range(config.seeds)),
        "resamples": config.resamples,
        "fingerprint": test.fingerprint,
        "train_fingerprint": train.fingerprint,
        "base": _base(config),
    }


def _looks(settled: Sequence[Entry]) -> int:
    """Count what was scored: students are shared."""
    return len(
        {name for entry in settled for run in entry.trained for name in (run.score, run.student)}
    )


def _base(config: AblationConfig) -> dict[str, str]:
    """Name what variations change, and how long the base is trained."""
    converter, fusion = config.converter, config.fusion
    types = stores.stored(config)
    return {
        "teachers": " ".join(config.teachers),
        "converter.kind": converter.kind,
        "converter.losses": " ".join(converter.losses),
        "converter.normalizer": converter.normalizer,
        "converter.epochs": str(converter.epochs),
        "fusion.join": fusion.join,
        "fusion.head": fusion.head,
        "fusion.epochs": str(fusion.epochs),
        "stored as": " ".join(types.types),
        "views": str(types.views),
    }
