"""Every error that PolySpace raises on purpose.

A message holds what was found, what was expected and what to do; the command line prints it in
one line and exits with 2. Each class is also the builtin that others would catch::

    PolySpaceError
    ├── ConfigError(ValueError)          an option or a config file that can't be used
    │   └── UnknownNameError             a data set, backbone, converter … that doesn't exist
    ├── PrecisionError(ValueError)       a type that the device can't compute in
    ├── DatasetError(ValueError)         a data set's folder, split files or labels
    │   └── LabelError                   a label outside the classes
    ├── VideoError(ValueError)           one bad video: quarantined, never fatal to a run
    ├── WeightsError(OSError)            weights not found, or not the ones asked for
    │   └── MissingWeightsError          found nowhere, and none were given
    ├── StoreError(OSError)              a feature store that can't be opened, or another one
    │   ├── StorageRangeError(+OverflowError)   a value that the storage type can't hold
    │   ├── LeaseError                   a work item that another writer has
    │   └── CorruptStoreError            bytes that are not the ones that were written
    ├── CheckpointError(OSError)         a checkpoint that is missing, damaged or of another kind
    ├── MetricError(ValueError)          figures that can't be computed from what was measured
    ├── DivergedError(ArithmeticError)   training whose gradients stay infinite or undefined
    ├── StoppedError(InterruptedError)   a run that saved its state and stopped, as it was told
    ├── RankError(RuntimeError)          another of the processes that train together has ended
    ├── ExportError(RuntimeError)        an export that doesn't agree with its source
    ├── SelectionError(ValueError)       checkpoints that can't be chosen among, or none that may be
    ├── InputError(ValueError)           features or frames that a model doesn't take
    ├── RecordError(ValueError)          a stage's record that a report can't be made from
    └── SweepError(RuntimeError)         a sweep that came to nothing, or that nobody is left to end
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal


class PolySpaceError(Exception):
    """Root of the tree; never raised itself."""


class ConfigError(PolySpaceError, ValueError):
    """An option or a config file that can't be used."""


class UnknownNameError(ConfigError):
    """A name that is not among the known ones; the message offers the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Say which name of which kind was not found, and what is there.

        Args:
            kind: What was looked for, in the user's words ("data set", "backbone").
            name: What was given.
            known: Every name that would have been right.
        """
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known are {', '.join(names) or 'none'}")


class PrecisionError(PolySpaceError, ValueError):
    """A type that the device can't compute in."""


class DatasetError(PolySpaceError, ValueError):
    """A data set's folder, split files or labels are not as its layout demands."""


class LabelError(DatasetError):
    """A label outside the classes."""


VideoReason = Literal[
    "path",
    "missing",
    "format",
    "no-video",
    "truncated",
    "damaged",
    "times",
    "limit",
    "time-out",
    "memory",
    "crash",
    "motion",
]
"""Why there is nothing of a video, for tables; what each means stands in docs/extraction.md."""


class VideoError(PolySpaceError, ValueError):
    """One video that can't be decoded: it is quarantined with this message as the reason."""

    def __init__(self, message: str, reason: VideoReason) -> None:
        """Say what is wrong, and of which kind that is."""
        super().__init__(message, reason)
        self.message = message
        self.reason: VideoReason = reason

    def __str__(self) -> str:
        """Give the message alone."""
        return self.message


class WeightsError(PolySpaceError, OSError):
    """Weights that were not found, or are not those of the architecture asked for."""


class MissingWeightsError(WeightsError):
    """Weights that are nowhere where they are looked for, and that nobody gave."""


class StoreError(PolySpaceError, OSError):
    """A feature store that can't be opened, or that holds something else than was asked for."""


class StorageRangeError(StoreError, OverflowError):
    """A value that the storage type can't hold; nothing was written."""


class LeaseError(StoreError):
    """A work item that another writer has, or has taken over; nothing was written."""


class CorruptStoreError(StoreError):
    """Stored bytes that are not the ones that were written."""


class CheckpointError(PolySpaceError, OSError):
    """A checkpoint that is missing, damaged, or of another kind than was asked for."""


class MetricError(PolySpaceError, ValueError):
    """Figures that can't be computed: too few clips, values that aren't numbers, no variance."""


class DivergedError(PolySpaceError, ArithmeticError):
    """Training whose gradients stay infinite or undefined; no such step moved a weight."""


class StoppedError(PolySpaceError, InterruptedError):
    """A run that was told to stop, by SIGTERM or the clock: its state is saved, and goes on."""


class RankError(PolySpaceError, RuntimeError):
    """Another of the processes that train one model has ended, or doesn't answer."""


class ExportError(PolySpaceError, RuntimeError):
    """An export that doesn't agree with its source; nothing was published."""


class SelectionError(PolySpaceError, ValueError):
    """Checkpoints that can't be chosen among, or none that may be chosen; nothing was published."""


class InputError(PolySpaceError, ValueError):
    """Features or frames of another shape or type than a model takes."""


class RecordError(PolySpaceError, ValueError):
    """A record of a stage that is missing, or that a report can't be made from."""


class SweepError(PolySpaceError, RuntimeError):
    """A sweep none of whose trials came to a score, or whose trials nobody is left to run."""
