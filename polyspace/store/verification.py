"""The deep check: every byte of every file against its checksum and against the ledger."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from numpy import ndarray

from polyspace.errors import CorruptStoreError
from polyspace.progress import Progress
from polyspace.store import chunks, codec, ledger, metadata
from polyspace.store.journal import FOLDER, Entry, JournalReader
from polyspace.store.layout import Part
from polyspace.store.ledger import Ledger

Values = Mapping[Part, Shaped[ndarray, "clip ..."]]


@dataclass(frozen=True)
class Problem:
    """Something whose stored bytes are not the ones that were written."""

    clips: tuple[str, ...]
    """Whose features are damaged; none where the damage lies beside them."""
    what: str
    """The files, and what is wrong with them."""
    backbone: str = ""
    """Whose arrays they are; empty for the store's small files."""
    item: int = 0
    """The work item, where there is a backbone."""


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
        if not clips:
            return f"{self.path}: the clips are whole ({read}), other files are not: see above"
        return (
            f"{self.path}: {len(clips)} clips are damaged ({read}): run polyspace store repair "
            f"{self.path}, and then the extraction, which does exactly these again"
        )


@dataclass(frozen=True, eq=False)
class Inspection:
    """A work item of one backbone, read and compared with its line."""

    values: Values
    """By part; nothing where a file is missing or can't be understood."""
    bad: tuple[int, ...]
    """Rows that were done, and whose bytes are not what was written."""
    what: str
    """What is wrong with which files; empty if nothing is."""


def verify(path: Path) -> Generator[Progress, None, Verification]:
    """Read a whole store, one work item at a time, and compare it with what was written.

    Raises:
        StoreError: There is no store.
        CorruptStoreError: Its metadata or its ledger is damaged, so that nothing can be compared.
    """
    book = ledger.read(path)
    entries = list(book.entries.values())
    problems = list(_small_files(book))
    for done, entry in enumerate(entries, start=1):
        found = inspect(book, entry)
        if found.what:
            clips = tuple(book.layout.rows.ids[row] for row in found.bad)
            problems.append(Problem(clips, found.what, entry.backbone, entry.item))
        yield Progress(done, len(entries), f"{entry.backbone}, {len(problems)} problems")
    size = sum(entry.bytes for entry in entries)
    return Verification(path, len(entries), size, tuple(problems))


def inspect(book: Ledger, entry: Entry) -> Inspection:
    """Read the files of one work item of one backbone, and compare them with its line."""
    layout, values, wrong = book.layout, dict[Part, Shaped[ndarray, "clip ..."]](), list[str]()
    done = tuple(entry.start + place for place, digest in enumerate(entry.sha256) if digest)
    if entry.files == {}:
        return Inspection({}, (), "")
    for chunk in layout.chunks(layout.specs[entry.backbone], entry.item):
        try:
            values[chunk.part] = chunks.load(layout.storage, chunk, entry)
        except CorruptStoreError as error:
            wrong.append(str(error))
            if (salvaged := chunks.salvage(layout.storage, chunk)) is not None:
                values[chunk.part] = salvaged
    spec = layout.specs[entry.backbone]
    if set(values) != set(spec.parts):
        return Inspection({}, done, "; ".join(wrong))
    rows = [values[part][: len(entry.sha256)] for part in spec.parts]
    digests = codec.row_digests(rows)
    bad = tuple(
        row for row in done if digests[row - entry.start] != entry.sha256[row - entry.start]
    )
    if bad and not wrong:
        wrong.append(f"item {entry.item} of {entry.backbone} is replaced: its sha256 differs")
    return Inspection(values, bad, "; ".join(wrong))


def _small_files(book: Ledger) -> Generator[Problem]:
    """Check what opening a store doesn't: files that only some readers ask for."""
    place = book.layout.storage
    reader = JournalReader(place)
    known = reader.lines(book.sizes).vouched.keys() & book.sizes.keys()
    known |= metadata.statistics(book.sizes)
    for key in reader.torn(book.sizes):
        what = "ends in half a line, of a killed writer or by a flipped bit: polyspace store gc"
        yield Problem((), f"{place.path / key} {what} takes it out")
    files = place.read_many(dict.fromkeys(sorted(known), 0))
    # Again: a writer first says what a file will be, then writes it, then says so.
    lines, sizes = reader.lines(place.list(FOLDER)), place.list()
    for key, content in files.items():
        try:
            metadata.check(place.path, {key: content}, lines, sizes)
        except CorruptStoreError as error:
            yield Problem((), str(error))
