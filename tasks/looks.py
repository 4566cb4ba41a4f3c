"""How often a test split has been looked at: each look is a chance to choose by what it showed.

Every tracked evaluation is tagged with the model, the test store and the split. What came before
is asked of MLflow, runs that failed and runs that were deleted included, and told in the terminal,
with the run, and in protocol.json beside the evaluation. A result that is reused is no look.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from polyspace import console, files
from tasks.stages import Work
from tasks.tracking import Record

NAME = "protocol.json"


@dataclass(frozen=True)
class Look:
    """An evaluation that is about to begin."""

    model: str
    """sha256 of the fusion's checkpoint."""
    test: str
    """Fingerprint of the test store."""
    dataset: str
    split: str

    @property
    def tags(self) -> dict[str, str]:
        """What finds it again."""
        return {"test_model": self.model, "test_fingerprint": self.test, "test_split": self.split}


@dataclass(frozen=True)
class Looks:
    """What came before it."""

    tracked: bool
    """Whether anybody counts; if not, the numbers are None."""
    looks_model: int | None = None
    """Earlier evaluations of the same model on this test store, ended or not."""
    looks_dataset: int | None = None
    """Earlier evaluations of any model on it."""
    deleted: int | None = None
    """How many of those have been deleted in MLflow since."""


def watched(work: Work, record: Record, look: Look, folder: Path) -> Work:
    """Count and tell the earlier looks at once; give the work, which ends in protocol.json.

    Args:
        work: The evaluation, not yet started.
        record: Its MLflow run, open.
        look: What it looks at.
        folder: Where the evaluation's files are.
    """
    # First tagged, then counted: of two that begin at once, both know of each other.
    record.tags(look.tags)
    looks = count(record, look)
    if looks.looks_dataset is not None and looks.looks_model is not None:
        figures = {"test_looks": looks.looks_dataset, "test_looks_model": looks.looks_model}
        record.tags({name: str(value) for name, value in figures.items()})
        record.metrics(figures)
    console.say(f"{look.dataset} {look.split}: {words(looks)}")
    return _noted(work, look, looks, folder)


def count(record: Record, look: Look) -> Looks:
    """Ask MLflow for earlier evaluations on the same test store."""
    others = record.others("test_fingerprint", look.test)
    if others is None:
        return Looks(tracked=False)
    own = sum(other.tags.get("test_model") == look.model for other in others)
    return Looks(True, own, len(others), sum(other.is_deleted for other in others))


def words(looks: Looks) -> str:
    """Say it in a line."""
    if not looks.tracked:
        return "looks at it are not counted, because tracking is off or failed"
    if not looks.looks_dataset:
        return "the first tracked look at it"
    deleted = f", {looks.deleted} of them deleted since" if looks.deleted else ""
    return (
        f"looked at {_times(looks.looks_dataset)} before, {_times(looks.looks_model or 0)} of this "
        f"model{deleted}"
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _noted(work: Work, look: Look, looks: Looks, folder: Path) -> Work:
    """Run the evaluation, and write beside it what came before."""
    result = yield from work
    content = {
        **asdict(looks),
        **look.tags,
        "words": words(looks),
        "evaluation_sha256": files.sha256_file(result),
    }
    text = json.dumps(content, indent=1).encode()
    files.write_atomically(folder / NAME, lambda file: file.write(text))
    return result
