"""What a study came to: its trials in the report's words, written, and said in the terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from polyspace import console, files
from polyspace.report import sweeps as report
from polyspace.report.figures import canvas
from polyspace.report.figures import sweep as figure
from polyspace.report.sweeps import State, Sweep, Training, Trial
from polyspace.store.reader import FeatureStore
from polyspace.train.sweep import StageName, SweepConfig
from tasks import studies

NEXT: Mapping[StageName, str] = {
    "fusion": "python -m polyspace.train.evaluate --fusion",
    "converter": "python -m polyspace.train.train_fusion --converters",
}
STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def record(config: SweepConfig, store: FeatureStore, found: Sequence[FrozenTrial]) -> Sweep:
    """Put a study in the words of the report, best trial first."""
    seed = config.stage.seed
    return Sweep(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        stage=config.stage_name,
        dataset=store.dataset,
        split=store.split,
        score=config.score,
        method=config.method,
        search=tuple(str(setting) for setting in config.space().settings),
        seeds=tuple(seed + number for number in range(config.seeds)),
        trials=report.ranked([_trial(config, trial) for trial in found]),
    )


def write(found: Sweep, out: Path) -> Sequence[Path]:
    """Write the table, the record and the picture; give their paths."""
    contents = {
        "sweep.md": report.markdown(found, "sweep.png").encode(),
        "sweep.json": found.model_dump_json(indent=1).encode(),
        "sweep.png": canvas.png(figure.draw(found)),
    }
    for name, content in contents.items():
        files.write_atomically(out / name, lambda file, content=content: file.write(content))
    return [out / name for name in contents]


def say(found: Sweep, config: SweepConfig, written: Sequence[Path]) -> None:
    """Print the table, where everything is, and what comes next."""
    console.present(report.table(found))
    console.say(report.sentence(found))
    if found.best:
        console.say(f"best     {config.out / 'trials' / f'{found.best.number:03d}'}")
    console.say(f"table    {written[0]}, {written[1]}")
    console.say(f"picture  {written[2]}")
    if found.best and found.best.checkpoint:
        console.say(f"next     {NEXT[config.stage_name]} {config.out / found.best.checkpoint} …")


def _trial(config: SweepConfig, trial: FrozenTrial) -> Trial:
    outcome: dict[str, Any] = trial.user_attrs.get(studies.OUTCOME, {})
    state = STATES.get(trial.state, "unfinished")
    trainings = tuple(map(Training.model_validate, outcome.get("trainings", ())))
    curve = dict(sorted(trial.intermediate_values.items()))
    scores, sd = report.means(trainings) if state == "complete" else ({}, None)
    if state == "pruned":
        scores = {config.score: max(curve.values())}
    return Trial(
        number=trial.number,
        settings=trial.params,
        state=state,
        scores=scores,
        sd=sd,
        epochs=max([*curve, *(training.epochs for training in trainings)], default=0),
        seconds=outcome.get("seconds", 0.0),
        why=outcome.get("why", ""),
        curve=curve,
        trainings=trainings,
    )
