"""Studies: which trials there are, whose each of them is, and what became of it.

A study lies in the sweep's folder; workers on any machines share it without a server. A trial
belongs to whoever holds its lease, and one whose worker is gone is taken up again under its own
number. What comes next is decided under one lease, so that nothing is tried twice.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from pydantic import JsonValue

from polyspace.errors import ConfigError
from polyspace.store import storage
from polyspace.store.lease import Lease, Leases
from polyspace.train.sweep import SweepConfig
from tasks import proposals
from tasks.journal import Journal
from tasks.sharing import Sight

NAME = "sweep"
FILE = "study.jsonl"
IDENTITY = "identity"
OUTCOME = "outcome"
"""Attribute of a trial that has ended: what its trainings came to, as JSON values."""
RECORD = "record of seed"
"""Attribute of a trial that was begun, for each seed: the MLflow run of the training."""


class Study:
    """One process's view of a study."""

    def __init__(self, config: SweepConfig, leases: Leases) -> None:
        """Open the study of a sweep's folder, or begin it."""
        self.config, self.leases, self.space = config, leases, config.space()
        self._storage = JournalStorage(Journal(config.out / FILE, leases))
        with leases.hold("claim"):
            if not self._storage.get_all_studies():
                self._storage.create_new_study([StudyDirection.MAXIMIZE], NAME)
        self._id = self._storage.get_study_id_from_name(NAME)
        self._study = optuna.load_study(
            study_name=NAME, storage=self._storage, pruner=proposals.pruner(config)
        )

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        """All trials so far, by their numbers."""
        return self._study.get_trials(deepcopy=False)

    @property
    def wanted(self) -> int:
        """How many trials there are to be."""
        return proposals.wanted(self.config, self.space)

    @property
    def is_done(self) -> bool:
        """Whether all trials have ended."""
        return not self.look().pending

    def look(self) -> Sight:
        """Say how far the study is."""
        trials = self.trials
        running = [trial for trial in trials if not trial.state.is_finished()]
        return Sight(
            total=max(self.wanted, len(trials)),
            pending=max(self.wanted - len(trials), 0) + len(running),
            is_held=any(not self.leases.is_free(_lease(trial.number)) for trial in running),
        )

    def claim(self) -> "Claimed | None":
        """Take a trial: one whose worker is gone, or the next; None if others have all the rest."""
        with self.leases.hold("claim"):
            trials = self.trials
            for trial in trials:
                if not trial.state.is_finished() and (lease := self._acquire(trial.number)):
                    return self._claimed(trial.number, lease, was_begun=True)
            point = proposals.following(self.config, self.space, trials)
            if point is None:
                return None
            # One line of the journal, so that no kill leaves half a trial; nobody else looks for
            # its lease before the claim is given back.
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=dict(point),
                    distributions=proposals.distributions(self.space),
                )
            )
            while (lease := self._acquire(len(trials))) is None:
                time.sleep(self.leases.pause_seconds)
            return self._claimed(len(trials), lease, was_begun=False)

    def tell(self, number: int, state: TrialState, outcome: JsonValue, value: float | None) -> None:
        """Write down how a trial ended."""
        self._trial(number).set_user_attr(OUTCOME, outcome)
        self._study.tell(number, value, state)

    def remembered(self, name: str) -> Any:  # noqa: ANN401
        """Give something that was noted about the study; None if nothing was."""
        return self._study.user_attrs.get(name)

    def note(self, name: str, value: JsonValue) -> None:
        """Note something about the study."""
        self._study.set_user_attr(name, value)

    def settle(self, identity: Mapping[str, JsonValue]) -> None:
        """Refuse to go on with another sweep's study.

        Raises:
            ConfigError: It was begun with other settings, features or code.
        """
        with self.leases.hold("claim"):
            theirs = self.remembered(IDENTITY)
            if theirs is None:
                self.note(IDENTITY, dict(identity))
                return
        for name in sorted(theirs.keys() | identity.keys()):
            was, now = theirs.get(name), identity.get(name)
            if was != now:
                raise ConfigError(
                    f"{self.config.out} holds a sweep with {name} {was}, now it is {now}: give the "
                    f"same to go on with it, or another --out"
                )

    def _acquire(self, number: int) -> Lease | None:
        return self.leases.acquire(_lease(number))

    def _trial(self, number: int) -> Trial:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return Trial(self._study, trial_id)

    def _claimed(self, number: int, lease: Lease, *, was_begun: bool) -> "Claimed":
        return Claimed(self, self._trial(number), lease, was_begun=was_begun)


class Claimed:
    """A trial that is this process's to run, until it is given back."""

    def __init__(self, study: Study, trial: Trial, lease: Lease, *, was_begun: bool) -> None:
        self.number, self.point, self.was_begun = trial.number, trial.params, was_begun
        self._study, self._trial, self._lease = study, trial, lease
        self._reported = set(study.trials[trial.number].intermediate_values)

    def record_of(self, seed: int) -> str | None:
        """Give the MLflow run of a training that was begun by whoever had the trial before."""
        return self._trial.user_attrs.get(f"{RECORD} {seed}")

    def note_record(self, seed: int, run_id: str | None) -> None:
        """Note a training's MLflow run, for whoever takes the trial up if this process is lost."""
        if run_id not in (None, self.record_of(seed)):
            self._trial.set_user_attr(f"{RECORD} {seed}", run_id)

    def assert_held(self) -> None:
        """Make sure that nobody else has taken the trial up.

        Raises:
            LeaseError: Somebody has.
        """
        self._study.leases.assert_held(self._lease)

    def report(self, epoch: int, score: float) -> bool:
        """Take in what an epoch scored; tell whether the trial is to be pruned."""
        if epoch not in self._reported and isfinite(score):
            self._trial.report(score, epoch)
            self._reported.add(epoch)
        return self._trial.should_prune()

    def complete(self, score: float, outcome: JsonValue) -> None:
        """End the trial with its score."""
        self._end(TrialState.COMPLETE, outcome, score)

    def prune(self, outcome: JsonValue) -> None:
        """End the trial early; the epochs that it had are its score."""
        self._end(TrialState.PRUNED, outcome)

    def fail(self, outcome: JsonValue) -> None:
        """End the trial without a score."""
        self._end(TrialState.FAIL, outcome)

    def give_back(self) -> None:
        """Let others have it; one that has not ended is taken up again."""
        self._study.leases.release(self._lease)

    def _end(self, state: TrialState, outcome: JsonValue, value: float | None = None) -> None:
        self.assert_held()
        self._study.tell(self.number, state, outcome, value)


@contextmanager
def opened(config: SweepConfig, identity: Mapping[str, JsonValue]) -> Generator[Study]:
    """Open a sweep's study while the block runs; what was not ended by then is given back.

    Raises:
        ConfigError: The folder holds another sweep, or is none.
    """
    place = storage.at(config.out)
    if place.folder is None:
        raise ConfigError(f"--out {config.out} is no folder: give one that all workers see")
    config.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    leases = Leases(place)
    try:
        study = Study(config, leases)
        study.settle(identity)
        yield study
    finally:
        leases.close()


def _lease(number: int) -> str:
    return f"trial-{number:05d}"
