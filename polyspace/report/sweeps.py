"""What a sweep came to: its record for programs, and one table for people."""

from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from rich.table import Table

from polyspace.config import Config
from polyspace.report import words

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"

State = Literal["complete", "pruned", "failed", "unfinished"]


class Training(Config):
    """One training of a trial."""

    seed: int
    scores: dict[str, float]
    """On the hold-out, of the epoch that was kept; the first is the one that ranks."""
    epochs: int
    seconds: float
    checkpoint: str
    """Its path in the sweep's folder."""


class Trial(Config):
    """One setting of everything that was searched, and what became of it."""

    number: int
    settings: dict[str, str | int | float]
    state: State
    scores: dict[str, float]
    """Means over the seeds; of a pruned trial, its best epoch."""
    sd: float | None
    """Of the score that ranks, over the seeds; null of less than two."""
    epochs: int
    seconds: float
    why: str
    """Of a pruned trial after which epoch, of a failed one its error."""
    curve: dict[int, float]
    """Score on the hold-out by epoch, of the first seed."""
    trainings: tuple[Training, ...]

    @property
    def checkpoint(self) -> str | None:
        """Give the first seed's checkpoint: what the stage's own command would have made."""
        return self.trainings[0].checkpoint if self.trainings else None


class Sweep(Config):
    """Everything that a sweep came to."""

    version: int = 1
    created: str
    stage: str
    dataset: str
    split: str
    score: str
    """Name of the score that ranks."""
    method: str
    search: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    """The best first."""

    @property
    def best(self) -> Trial | None:
        """Give the best trial; None if none is complete."""
        first = self.trials[0] if self.trials else None
        return first if first and first.state == "complete" else None


def means(trainings: Sequence[Training]) -> tuple[dict[str, float], float | None]:
    """Give the mean of every score over the seeds, and the spread of the one that ranks."""
    if not trainings:
        return {}, None
    names = list(trainings[0].scores)
    scores = {name: fmean(one.scores[name] for one in trainings) for name in names}
    first = [one.scores[names[0]] for one in trainings]
    return scores, stdev(first) if len(first) > 1 else None


def ranked(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Put complete trials first, then pruned ones, then the rest; the best of each first."""
    states: Sequence[State] = ("complete", "pruned", "failed", "unfinished")

    def place(trial: Trial) -> tuple[int, list[float], int]:
        # Of equal scores the later ones decide: of top-1, the likelihood.
        scores = [-value for value in trial.scores.values()] or [inf]
        return states.index(trial.state), scores, trial.number

    return tuple(sorted(trials, key=place))


def sentence(sweep: Sweep) -> str:
    """Say what was found, and how far it goes."""
    states = [trial.state for trial in sweep.trials]
    kinds = [f"{states.count(kind)} {kind}" for kind in dict.fromkeys(states)]
    tried = f"{len(states)} trials: {', '.join(kinds)}."
    best = sweep.best
    if best is None:
        return f"No trial came to a score. {tried}"
    chosen = ", ".join(f"{name} {setting(value)}" for name, value in best.settings.items())
    seeds = f", mean of {len(sweep.seeds)} seeds" if len(sweep.seeds) > 1 else ""
    return (
        f"Best is trial {best.number} ({chosen}): {title(sweep.score)} {_score(sweep, best)} on "
        f"held-out groups of {sweep.dataset} {sweep.split}{seeds}. {tried} The best of many is a "
        f"hopeful figure: evaluation on the test split, once, says what it is worth."
    )


def rows(sweep: Sweep) -> Iterator[dict[str, str]]:
    """Give the table, best trial first, as texts by column."""
    for place, trial in enumerate(sweep.trials, start=1):
        further = [name for name in trial.scores if name != sweep.score and "/" not in name]
        yield {
            "place": str(place) if trial.state == "complete" else words.NONE,
            "trial": str(trial.number),
            **{name: setting(value) for name, value in trial.settings.items()},
            title(sweep.score): _score(sweep, trial),
            **({"to the best": _behind(sweep, trial)} if len(sweep.seeds) > 1 else {}),
            **{title(name): number(name, trial.scores[name]) for name in further},
            "epochs run": str(trial.epochs),
            "state": f"{trial.state} {trial.why}".strip(),
            "seconds": f"{trial.seconds:.1f}",
            "checkpoint": trial.checkpoint or words.NONE,
        }


def markdown(sweep: Sweep, picture: str) -> str:
    """Write the page: what was found, the table, and where the picture is."""
    table = list(rows(sweep))
    columns = _columns(table)
    lines = [_line(columns), _line(["---"] * len(columns))]
    for row in table:
        path = row["checkpoint"]
        link = path if path == words.NONE else f"[{path}]({path})"
        cells = {**row, "checkpoint": link}
        lines.append(_line([cells.get(name, words.NONE) for name in columns]))
    head = f"# Sweep: {sweep.stage} on {sweep.dataset}\n\n{sentence(sweep)}\n"
    searched = f"Searched with {sweep.method}: {', '.join(f'`{term}`' for term in sweep.search)}.\n"
    seeds = f"Seeds: {', '.join(map(str, sweep.seeds))}.\n"
    body = "\n".join(lines)
    return f"{head}\n{searched}{seeds}\n{body}\n\n![score by epoch and by setting]({picture})\n"


def table(sweep: Sweep, most: int = 20) -> Table:
    """Draw the table for a terminal.

    Args:
        sweep: The record.
        most: Trials shown.
    """
    found = list(rows(sweep))[:most]
    columns = [name for name in _columns(found) if name != "checkpoint"]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        drawn.add_column(name, justify="left" if name == "state" else "right")
    for row in found:
        # Why a trial ended early was said when it did.
        cells = {**row, "state": row["state"].partition(" ")[0]}
        drawn.add_row(*(cells.get(name, words.NONE) for name in columns))
    return drawn


def setting(value: str | int | float) -> str:
    """Write the value of a setting; of a file, its name."""
    if isinstance(value, str):
        return Path(value).name if value.startswith("/") else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def title(score: str) -> str:
    """Write the name of a score."""
    return {"top1": "top-1", "r2": "R²"}.get(score, score.replace("_", " "))


def number(score: str, value: int | float) -> str:
    """Write a score: accuracies in percent."""
    return (
        words.percent(value).replace("-", words.MINUS) if score == "top1" else words.decimal(value)
    )


def _score(sweep: Sweep, trial: Trial) -> str:
    """Write the score that ranks, with its spread over the seeds."""
    value = trial.scores.get(sweep.score)
    if value is None:
        return words.NONE
    spread = "" if trial.sd is None else f" {PLUS_MINUS} {number(sweep.score, trial.sd)}"
    return f"{number(sweep.score, value)}{spread}"


def _behind(sweep: Sweep, trial: Trial) -> str:
    """Write how far a trial is behind the best, seed by seed: seeds draw the same hold-outs."""
    best = sweep.best
    if best is None or trial.state != "complete" or trial is best:
        return words.NONE
    pairs = zip(trial.trainings, best.trainings, strict=True)
    apart = [one.scores[sweep.score] - other.scores[sweep.score] for one, other in pairs]
    return f"{number(sweep.score, fmean(apart))} {PLUS_MINUS} {number(sweep.score, stdev(apart))}"


def _columns(table: Sequence[dict[str, str]]) -> list[str]:
    """Give the columns of all rows: those without a score lack some."""
    fullest = max(table, key=len, default={})
    return list(fullest)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
