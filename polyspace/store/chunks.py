"""Chunk files, read and written whole, with what the ledger says of them."""

from collections.abc import Callable

from jaxtyping import Shaped
from numpy import ndarray

from polyspace.errors import CorruptStoreError
from polyspace.store import codec
from polyspace.store.journal import Entry, StoredFile
from polyspace.store.layout import Chunk
from polyspace.store.storage import Storage


def publish(
    place: Storage,
    chunk: Chunk,
    values: Shaped[ndarray, "clip ..."],
    admit: Callable[[], None],
) -> StoredFile:
    """Write a chunk file durably, and say what it is.

    Args:
        place: Where the store is.
        chunk: Which file.
        values: All of its rows, in its type.
        admit: Raises, at the last moment, if it may no longer be written.
    """
    parts, crc32c = codec.encode(chunk, values)
    place.publish(chunk.key, parts, admit)
    return StoredFile(bytes=sum(map(len, parts)), crc32c=crc32c)


def load(place: Storage, chunk: Chunk, entry: Entry) -> Shaped[ndarray, "clip ..."]:
    """Read a chunk file and make sure that it is the one that was written.

    Raises:
        CorruptStoreError: It isn't, or it is missing; the message names the file.
    """
    file = place.path / chunk.key
    try:
        stored = codec.decode(chunk, place.read(chunk.key))
    except FileNotFoundError as error:
        raise CorruptStoreError(f"{file} is missing") from error
    except ValueError as error:
        raise CorruptStoreError(f"{file} is altered: {error}") from error
    if not stored.intact:
        raise CorruptStoreError(f"{file} is altered: its crc32c differs")
    if entry.files is not None and stored.crc32c != entry.files[chunk.part].crc32c:
        raise CorruptStoreError(f"{file} is replaced: the ledger has another crc32c")
    return stored.values


def salvage(place: Storage, chunk: Chunk) -> Shaped[ndarray, "clip ..."] | None:
    """Read what can still be understood of a damaged chunk file, for those who check every row."""
    try:
        return codec.decode(chunk, place.read(chunk.key)).values
    except (FileNotFoundError, ValueError):
        return None
