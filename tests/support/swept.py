"""The record of a small sweep."""

from polyspace.report.sweeps import State, Sweep, Training, Trial

CURVES: dict[State, dict[int, float]] = {
    "complete": {1: 0.3, 2: 0.6, 3: 0.7},
    "pruned": {1: 0.4, 2: 0.35},
}


def trial_of(number: int, state: State, *scores: float, **changes) -> Trial:
    """Give a trial in some state, with its scores in the order of their names."""
    said = {
        "number": number,
        "settings": {"lr": 0.01, "rank": "64"},
        "state": state,
        "scores": dict(zip(("top1", "log_likelihood"), scores, strict=False)),
        "sd": None,
        "epochs": len(CURVES.get(state, {})),
        "seconds": 1.5,
        "why": {"pruned": "after epoch 2", "failed": "too wide"}.get(state, ""),
        "curve": CURVES.get(state, {}),
        "trainings": (),
    }
    return Trial.model_validate(said | changes)


def swept() -> Sweep:
    """Give a sweep of a complete, a pruned and a failed trial."""
    trainings = tuple(
        Training(
            seed=seed,
            scores={"top1": top1, "log_likelihood": -0.9},
            epochs=3,
            seconds=0.75,
            checkpoint=f"trials/000/seed_{seed}/fusion.pt",
        )
        for seed, top1 in enumerate((0.68, 0.72))
    )
    return Sweep(
        created="2026-01-01T00:00:00+00:00",
        stage="fusion",
        dataset="toy",
        split="train",
        score="top1",
        method="tpe",
        search=("lr=0.0001..0.1:log", "rank=16,64"),
        seeds=(0, 1),
        trials=(
            trial_of(0, "complete", 0.7, -0.9, sd=0.02, trainings=trainings),
            trial_of(1, "pruned", 0.4, settings={"lr": 0.001, "rank": "16"}),
            trial_of(2, "failed", settings={"lr": 0.05, "rank": "64"}),
        ),
    )
