"""The lines of the ledger, and how they get there.

A line on a work item says what was finished. A line that begins with ``vouched`` says what the
store's small files (metadata, columns, statistics) are. Each writer has a file of its own, so that
writers never wait for each other and a line torn by a kill can only be the last one of its file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import ValidationError

from polyspace.config import Config
from polyspace.errors import CorruptStoreError, StoreError
from polyspace.store.encoding import Lost
from polyspace.store.layout import CHECKSUM_BYTES, Chunk
from polyspace.store.seal import seal, unseal
from polyspace.store.storage import Journal, Storage

FOLDER = "ledger/"


class StoredFile(Config):
    """What a chunk file was when it was written."""

    bytes: int
    """Its size."""
    crc32c: str
    """Of what stands before its own checksum, eight hexadecimal digits."""


class Entry(Config):
    """One work item of one backbone: finished, durable, and what its bytes were."""

    item: int
    start: int
    """First row."""
    stop: int
    """The row after the last."""
    backbone: str
    array: str
    """What the line vouches for (see `fingerprint.of_arrays`)."""
    sha256: tuple[str | None, ...]
    """Of each clip, over its stored bytes in all arrays; None where there is nothing of it: it was
    quarantined, or has to be done again."""
    quarantined: dict[str, str]
    """Clip ids and the reason why there is nothing of them."""
    bytes: int
    """Size of the item's files."""
    written_at: str
    """When the files were durable: UTC, ISO 8601, microseconds."""
    fence: int = 0
    """Number of the lease under which it was written. Of two lines on the same item and backbone
    the one with the higher number counts, and of equal ones the later."""
    files: dict[str, StoredFile] | None = None
    """By part. None in lines of schema 1: all files are there, in the sizes of the layout."""
    lost: Lost = Lost()
    """What the storage type cost the tokens."""

    def size(self, chunk: Chunk) -> int | None:
        """Give the bytes that a chunk file must have; None if there is nothing in the item."""
        if self.files is None:
            return chunk.payload_bytes + CHECKSUM_BYTES
        return self.files[chunk.part].bytes if chunk.part in self.files else None


class Vouched(Config):
    """What small files of the store may be, and which of them must be there.

    The line is written first and says what a file will be; a second one says that it is there. A
    kill in between leaves the old file, which an earlier line vouches for.
    """

    vouched: dict[str, str]
    """sha256 of files, by key."""
    present: tuple[str, ...] = ()
    """Keys of files that are there now."""


@dataclass(frozen=True)
class Lines:
    """All lines of a store, not yet compared with its layout."""

    entries: Mapping[str, tuple[Entry, ...]]
    """By file of the ledger, in the order in which they were written."""
    vouched: Mapping[str, frozenset[str]]
    """By key, every sha256 that a small file may have."""
    present: frozenset[str]
    """Small files that must be there."""
    counts: Mapping[str, int]
    """How many of any kind each file of the ledger has."""


class JournalReader:
    """The lines of a store; asked again, it reads only what was added meanwhile."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._files: dict[str, list[Entry | Vouched]] = {}
        self._read: dict[str, int] = {}
        """Bytes of each file that were understood: up to its last line break."""

    def lines(self, sizes: Mapping[str, int]) -> Lines:
        """Give all lines, of those files whose sizes are given.

        Raises:
            CorruptStoreError: A line is damaged.
            StoreError: A line of another version.
        """
        keys = sorted(key for key in sizes if key.startswith(FOLDER) and key.endswith(".jsonl"))
        known = {key: self._read.get(key, 0) for key in keys}
        grown = {key: start for key, start in known.items() if sizes[key] > start}
        for key, content in self._storage.read_many(grown).items():
            self._follow(key, content)
        return _sorted({key: self._files[key] for key in keys if key in self._files})

    def torn(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Give the files that end in half a line, and how many bytes of each are whole lines."""
        return {key: end for key, end in self._read.items() if sizes[key] > end}

    def _follow(self, key: str, content: bytes) -> None:
        """Read on; what follows a file's last line break was never acknowledged."""
        known, start = self._files.get(key, []), self._read.get(key, 0)
        lines = content.split(b"\n")[:-1]
        fresh = _parse(lines, len(known), f"{self._storage.path / key}")
        self._files[key] = [*known, *fresh]
        self._read[key] = start + content.rfind(b"\n") + 1


def _sorted(files: Mapping[str, Sequence[Entry | Vouched]]) -> Lines:
    """Part the lines on work items from those on small files."""
    vouched, present = dict[str, frozenset[str]](), set[str]()
    for line in (line for lines in files.values() for line in lines if isinstance(line, Vouched)):
        present.update(line.present)
        for key, digest in line.vouched.items():
            vouched[key] = vouched.get(key, frozenset()) | {digest}
    named = {key.removeprefix(FOLDER): lines for key, lines in files.items()}
    return Lines(
        {
            name: tuple(line for line in own if isinstance(line, Entry))
            for name, own in named.items()
        },
        vouched,
        frozenset(present),
        {name: len(own) for name, own in named.items()},
    )


def mend(storage: Storage) -> int:
    """Take damaged lines out of a ledger, so that their clips are done again; tell how many."""
    dropped = 0
    for key in [key for key in storage.list(FOLDER) if key.endswith(".jsonl")]:
        lines = storage.read(key).split(b"\n")[:-1]
        good = [line for line in lines if _is_sealed(line)]
        if len(good) < len(lines):
            storage.publish(key, [b"".join(line + b"\n" for line in good)])
            dropped += len(lines) - len(good)
    return dropped


class LedgerFile:
    """One writer's file of the ledger, made when its first line is written."""

    def __init__(self, storage: Storage) -> None:
        name = f"{now().replace(':', '')}-{uuid4().hex[:8]}.jsonl"
        self._journal: Journal = storage.journal(f"{FOLDER}{name}")

    @property
    def next(self) -> str:
        """Name of the file that the next line goes to."""
        return self._journal.key.removeprefix(FOLDER)

    def append(self, line: Entry | Vouched) -> None:
        """Write one line; it is durable when this returns."""
        self._journal.append(seal(line.model_dump_json()))

    def close(self) -> None:
        """Close the file, if there is one."""
        self._journal.close()


def now() -> str:
    """Give the time as `Entry.written_at` wants it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _is_sealed(line: bytes) -> bool:
    try:
        unseal(line)
    except ValueError:
        return False
    return True


def _parse(lines: Sequence[bytes], before: int, file: str) -> Iterator[Entry | Vouched]:
    """Understand some lines of a file, `before` of which were read already."""
    for number, line in enumerate(lines, start=before + 1):
        kind = Vouched if line.startswith(b'{"vouched"') else Entry
        try:
            yield kind.model_validate_json(unseal(line))
        except ValidationError as error:
            raise StoreError(
                f"line {number} of {file} is whole, but not one that this version of polyspace "
                f"understands: use the version that wrote it"
            ) from error
        except ValueError as error:
            raise CorruptStoreError(
                f"line {number} of {file} is damaged ({error}): run polyspace store repair, which "
                f"takes it out so that its clips are done again"
            ) from error
