"""Everything that a selection came to, as the record that is written beside the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polyspace import files
from polyspace.export.selection import matching, options, scoring, spectral, stability, table
from polyspace.export.selection.policy import Bound, Policy
from polyspace.export.selection.scoring import Judged
from polyspace.export.selection.table import Table
from polyspace.report.records.selection import Selection

VERSION = 1


@dataclass(frozen=True)
class Chosen:
    """A finished choice: nothing is written yet."""

    table: Table
    policy: Policy
    judged: tuple[Judged, ...]
    """By step."""
    winner: Judged
    unmeasured: tuple[str, ...]
    """Names of checkpoints that no row is of."""


def choose(metrics: Path, folder: Path, wanted: options.PolicyOptions | Policy) -> Chosen:
    """Choose one checkpoint of a folder by a table of metrics; read everything, write nothing.

    Args:
        metrics: The table, a CSV.
        folder: Where the checkpoints are.
        wanted: A policy, or the options that lead to one.

    Raises:
        SelectionError: The table can't be used, a checkpoint is missing, or none may win.
        CheckpointError: A checkpoint is not the one that was measured.
        ConfigError: The policy doesn't fit the table.
    """
    measured = table.read(metrics)
    policy = wanted if isinstance(wanted, Policy) else options.resolve(wanted, measured.names)
    found = matching.match(measured, folder)
    judged = tuple(scoring.judge(one, _all(one.row.metrics), policy) for one in found)
    return Chosen(
        table=measured,
        policy=policy,
        judged=judged,
        winner=scoring.choose(judged, policy),
        unmeasured=matching.unmeasured(found, folder),
    )


def _all(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """Give metrics, and what is derived where all that it takes is there."""
    return metrics if spectral.missing(metrics) else spectral.derived(metrics)


def record(chosen: Chosen, published: str) -> Selection:
    """Put a choice in the words of its record.

    Args:
        chosen: The choice.
        published: Name that the chosen checkpoint goes by beside the record.
    """
    policy = chosen.policy
    return Selection.model_validate(
        {
            "version": VERSION,
            "export_info": {
                "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
                "selection_criteria": criteria(policy),
                "weights": {term.metric: term.weight for term in policy.objective},
            },
            "policy": policy.model_dump(mode="json"),
            "metrics_table": {
                "path": str(chosen.table.path),
                "sha256": files.sha256_file(chosen.table.path),
                "rows": len(chosen.table.rows),
            },
            "published": published,
            "best_checkpoint": _candidate(chosen.winner, chosen),
            "all_checkpoints": [_candidate(one, chosen) for one in chosen.judged],
            "unmeasured": chosen.unmeasured,
            "pareto": stability.front(chosen.judged, policy),
            "sensitivity": list(stability.variations(chosen.judged, policy)),
        }
    )


def criteria(policy: Policy) -> str:
    """Say in a sentence what was wanted."""
    parts = [
        f"{'+' if term.direction == 'up' else '-'}{term.weight:g} {term.metric}"
        for term in policy.objective
    ]
    held = (
        f", subject to {' and '.join(map(str, policy.constraints))}" if policy.constraints else ""
    )
    ties = "".join(f", then {tie.metric} {tie.direction}" for tie in policy.tie_break)
    return f"highest {' '.join(parts)}{held}{ties}, then the lowest step"


def _candidate(one: Judged, chosen: Chosen) -> dict[str, Any]:
    row, policy = one.found.row, chosen.policy
    over, improvements = _improvements(one, chosen)
    return {
        "path": str(one.found.path),
        "sha256": one.found.sha256,
        "step": row.step,
        "epoch": row.epoch,
        "metrics": dict(row.metrics),
        "derived": {k: value for k, value in one.metrics.items() if k not in row.metrics},
        "improvements": improvements,
        "improvements_over": over,
        "score": {"composite_score": one.score, "passes_hard_constraints": one.passes},
        "constraints": [_held(bound, one) for bound in policy.constraints],
        "targets": [_held(bound, one) for bound in policy.targets],
        "total_violation": one.violation,
    }


def _improvements(one: Judged, chosen: Chosen) -> tuple[str, dict[str, float]]:
    """Say how much better it is than before: the refinement, or the earliest checkpoint."""
    if not spectral.missing(one.metrics):
        return "v1", {index: one.metrics[f"d_{index}"] for index in spectral.INDICES}
    first = chosen.judged[0]
    gains = {
        term.metric: term.gain(one.metrics) - term.gain(first.metrics)
        for term in chosen.policy.objective
    }
    return f"step {first.step}", gains


def _held(bound: Bound, one: Judged) -> dict[str, Any]:
    value = one.metrics[bound.metric]
    return {**bound.model_dump(), "value": value, "met": bound.holds(one.metrics)}
