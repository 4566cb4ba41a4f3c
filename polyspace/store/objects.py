"""A store under a prefix of an S3-compatible object store.

Credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL). The object store must know conditional puts
(If-None-Match and If-Match), as S3, MinIO, R2 and moto do: they decide who holds a lease, and keep
those who have lost theirs from replacing what others wrote.
"""

import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from polyspace.errors import ConfigError, LeaseError, StoreError

if TYPE_CHECKING:
    from obstore.store import S3Store

SCHEME = "s3:"
"""First part of an address, as a Path writes it: ``Path("s3://bucket/x")`` is ``s3:/bucket/x``."""

BUCKET = re.compile(r"[\w.-]{3,63}", re.ASCII)

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Environment variables that say where the object store is, if it isn't Amazon's."""

PATIENCE = timedelta(seconds=30)
"""How long a request is tried again that nobody answers."""

TRANSFER = timedelta(minutes=5)
"""How long a request may take that is answered: one chunk file, over a slow line."""

READERS = 32
"""Objects that are read at the same time: each of them costs a round trip."""

REMEDIES = {
    "NoSuchBucket": "make the bucket, or mend the address",
    "/latest/api/token": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "Generic S3 error: Missing": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "403 Forbidden": "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do there",
    "": "check the network, AWS_ENDPOINT_URL and AWS_REGION, and run the same command again; what "
    "was finished is kept",
}
"""What to do, by what the error says; the first that fits."""


class ObjectPrefix:
    """A prefix in a bucket; what each method promises stands in `storage.Storage`."""

    folder = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = _connect(path)

    def list(self, prefix: str = "") -> dict[str, int]:
        """Give the sizes of all files under a prefix, in bytes, by key."""
        import obstore

        with _explained(self.path):
            found = obstore.list(self._store, prefix=prefix or None).collect()
        return {entry["path"]: entry["size"] for entry in found}

    def names(self) -> Sequence[str]:
        """Name the files and folders right inside."""
        import obstore

        with _explained(self.path):
            found = obstore.list_with_delimiter(self._store)
        return sorted({*found["common_prefixes"], *(entry["path"] for entry in found["objects"])})

    def read(self, key: str, *, start: int = 0) -> bytes:
        """Read a file, from some byte on."""
        import obstore

        with _explained(self.path):
            return bytes(obstore.get(self._store, key).bytes())[start:]

    def read_many(self, starts: Mapping[str, int]) -> dict[str, bytes]:
        """Read several files, each from some byte on."""
        with ThreadPoolExecutor(READERS) as threads:
            coming = {key: threads.submit(self.read, key, start=starts[key]) for key in starts}
        return {key: content.result() for key, content in coming.items()}

    def publish(
        self,
        key: str,
        parts: Sequence[bytes | memoryview],
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a file, whole or not at all; it is durable when this returns."""
        admit()
        if not self.create(key, b"".join(parts)):
            self.replace(key, parts, admit)

    def replace(
        self, key: str, parts: Sequence[bytes | memoryview], admit: Callable[[], None]
    ) -> None:
        """Write a file anew that is there."""
        import obstore
        from obstore.exceptions import PreconditionError

        content = b"".join(parts)
        with _explained(self.path):
            try:
                seen = obstore.head(self._store, key)["e_tag"]
                admit()
                obstore.put(self._store, key, content, mode={"e_tag": seen}, use_multipart=False)
            except (FileNotFoundError, PreconditionError) as error:
                raise LeaseError(
                    f"{key} of {self.path} was written or deleted by another writer at the same "
                    f"moment: nothing of this one was written; run again"
                ) from error

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless there is one; tell whether this call wrote it."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _explained(self.path):
            try:
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """Delete a file, if it is there."""
        import obstore

        with _explained(self.path):
            obstore.delete(self._store, key)

    def journal(self, key: str) -> "ObjectJournal":
        """Give a new journal, made when its first line is written."""
        return ObjectJournal(self, key)

    def sweep(self, keys: Sequence[str]) -> None:
        """Do nothing: an object that is not whole can't be seen."""


class ObjectJournal:
    """Lines of which each is an object of its own, because objects can't grow."""

    def __init__(self, prefix: ObjectPrefix, key: str) -> None:
        self._prefix, self._stem, self._lines = prefix, key.removesuffix(".jsonl"), 0

    @property
    def key(self) -> str:
        """The object that the next line becomes."""
        return f"{self._stem}-{self._lines:06d}.jsonl"

    def append(self, line: bytes) -> None:
        """Write one line; it is durable when this returns."""
        key = self.key
        # One that failed may have come through all the same: it keeps its name.
        self._lines += 1
        self._prefix.publish(key, [line])

    def close(self) -> None:
        """Do nothing: nothing is held open."""


def _connect(path: Path) -> "S3Store":
    """Reach a bucket with what the environment says.

    Raises:
        ConfigError: The address or the environment can't be used, or obstore isn't installed.
    """
    _refuse_unusable(path)
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise ConfigError(
            f"{path} lies in an object store, which takes obstore: pip install 'polyspace[s3]'"
        ) from error
    with _explained(path):
        return S3Store(
            path.parts[1],
            prefix="/".join(path.parts[2:]) or None,
            # Whoever gives an endpoint with http:// means it; without one it is https.
            client_options={"allow_http": True, "timeout": TRANSFER},
            retry_config={"retry_timeout": PATIENCE},
        )


def _refuse_unusable(path: Path) -> None:
    """Refuse what obstore panics at, or takes for something else.

    Raises:
        ConfigError: The message says what it is.
    """
    if len(path.parts) < 2 or not BUCKET.fullmatch(path.parts[1]) or ".." in path.parts:
        raise ConfigError(f"{path} is no address in an object store: expected s3://BUCKET/FOLDER")
    for name in ENDPOINTS:
        if not re.match("https?://.", os.environ.get(name, "https://.")):
            raise ConfigError(
                f"{name} is {os.environ[name]!r}: expected a URL like http://localhost:9000"
            )


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """Say in one line what an object store refused, or that it didn't answer.

    Raises:
        StoreError: So it is.
        FileNotFoundError: There is no such object, which is for the caller to judge.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (FileNotFoundError, BaseError) as error:
        said = str(error)
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in said:
            raise
        remedy = next(remedy for sign, remedy in REMEDIES.items() if sign in said)
        raise StoreError(f"{path} can't be used ({_reason(said)}): {remedy}") from error


def _reason(said: str) -> str:
    """Find the one line that matters in an error: what the server answered, or else the first."""
    answer = re.search("<Code>(.*?)</Code>(?:<Message>(.*?)</Message>)?", said)
    if answer:
        return ": ".join(filter(None, answer.groups()))
    return said.partition("\n")[0].removeprefix("Generic S3 error: ").rstrip(": ")
