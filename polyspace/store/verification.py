"""The deep check: every byte of every chunk against its checksum and against the ledger."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyspace.store import codec, ledger, metadata
from polyspace.store.layout import Chunk, Layout
from polyspace.store.ledger import Entry


@dataclass(frozen=True)
class Checked:
    """How far a verification is; satisfies `polyspace.console.Advance`."""

    done: int
    """Work items checked, each backbone's counted by itself."""
    total: int
    words: str

    def __str__(self) -> str:
        """Say what was checked last."""
        return self.words


@dataclass(frozen=True)
class Problem:
    """Clips whose stored bytes are not the ones that were written."""

    clips: tuple[str, ...]
    what: str
    """The files, and what is wrong with them."""
    files: tuple[Path, ...] = ()
    """The files that are there, but not as they were written."""


@dataclass(frozen=True)
class Verification:
    """What a verification found."""

    path: Path
    items: int
    """Work items read, each backbone's counted by itself."""
    bytes: int
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        read = f"{self.items} work items, {self.bytes / 2**20:.1f} MiB"
        if not self.problems:
            return f"{self.path}: every byte is as it was written ({read})"
        clips = {clip for problem in self.problems for clip in problem.clips}
        return (
            f"{self.path}: {len(clips)} clips are damaged ({read}): delete the files named above "
            f"and run featurize again, which redoes only what is missing"
        )


def verify(path: Path) -> Generator[Checked, None, Verification]:
    """Read a whole store, one work item at a time, and compare it with what was written.

    Raises:
        StoreError: There is no store.
        CorruptStoreError: Its metadata or its ledger is damaged, so that nothing can be compared.
    """
    layout = metadata.read(path)
    entries = list(ledger.read(layout).entries.values())
    problems: list[Problem] = []
    for done, entry in enumerate(entries, start=1):
        problems += _problems(layout, entry)
        yield Checked(done, len(entries), f"{entry.backbone}, {len(problems)} problems")
    size = sum(entry.bytes for entry in entries)
    return Verification(path, len(entries), size, tuple(problems))


def discard(verification: Verification) -> None:
    """Delete the files that a verification found damaged: featurize then makes them again."""
    for problem in verification.problems:
        for file in problem.files:
            file.unlink()


def _problems(layout: Layout, entry: Entry) -> list[Problem]:
    """Compare the files of one work item of one backbone with its line in the ledger."""
    ids = layout.rows.ids[entry.start : entry.stop]
    chunks = layout.chunks(layout.specs[entry.backbone], entry.item)
    missing = [what for chunk in chunks if (what := codec.wrong_size(chunk))]
    if missing:
        return [Problem(ids, "; ".join(missing))]
    stored = [codec.read(chunk) for chunk in chunks]
    digests = codec.row_digests([part.values[: len(ids)] for part in stored])
    altered = tuple(
        clip
        for clip, found, written in zip(ids, digests, entry.sha256, strict=True)
        if written not in (None, found)
    )
    failing = [chunk for chunk, part in zip(chunks, stored, strict=True) if not part.intact]
    if failing:
        # Damage in the fill or in the checksum alters no clip, but other readers refuse the file.
        return [_problem(altered or ids, failing, "altered: the crc32c differs")]
    if altered:
        return [_problem(altered, chunks, "replaced: the ledger has another sha256")]
    return []


def _problem(clips: tuple[str, ...], chunks: Sequence[Chunk], what: str) -> Problem:
    files = tuple(chunk.path for chunk in chunks)
    return Problem(clips, f"{', '.join(map(str, files))} {what}", files)
