"""Tables of predictions: a row for each video, in one Parquet file that grows by parts.

::

    predictions.parquet         the table; appears whole, in one rename
    predictions.parquet.parts/  what a run has finished since; gone when the table is there

Each part is written whole or not at all, so a killed run loses what it had not written, and the
next one goes on from there. The table holds the videos that the folder held at the end, each once.
"""

import fcntl
import json
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter, write_table

from polyspace.errors import ConfigError, ExportError
from polyspace.files import write_atomically
from polyspace.inference.predictions import PASSING, Identity, Row

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("top1", pa.string()),
        ("top1_probability", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),
        ("bundle", pa.string()),
        ("seconds", pa.float64()),
    ]
)
FACTS = b"polyspace"
"""Key of the table's facts in the file's metadata: class names, bundle, device …"""
GROUP = 4096
"""Rows of a row group of the table, at least."""


class Table:
    """A table that one process at a time adds to; see `opened`."""

    def __init__(self, path: Path) -> None:
        self.path, self._parts = path, _parts(path)

    def known(self, bundle: str) -> set[Identity]:
        """Say which files a bundle has an answer to that will be the same the next time."""
        columns = [*Identity._fields, "bundle", "reason"]
        return {
            _identity(row)
            for file in self._files()
            for batch in file.iter_batches(columns=columns)
            for row in batch.to_pylist()
            if row["bundle"] == bundle and row["reason"] not in PASSING
        }

    def add(self, rows: Sequence[Row]) -> None:
        """Write a part."""
        table = pa.Table.from_pylist([row.plain() for row in rows], schema=SCHEMA)
        number = len(self._listed())
        path = self._parts / f"{number:06d}.parquet"
        write_atomically(path, lambda file: write_table(table, file))

    def finish(self, wanted: Iterable[Identity], bundle: str, facts: Mapping[str, Any]) -> None:
        """Put all parts into the table.

        Args:
            wanted: The files that are there now; rows of others are left out.
            bundle: Rows of other bundles are left out.
            facts: What the file says of itself.
        """
        chosen = self._latest(set(wanted), bundle)
        if not self._is_whole(chosen):
            self._write(chosen, facts)
        shutil.rmtree(self._parts)

    def _is_whole(self, chosen: Sequence[Sequence[int]]) -> bool:
        """Say whether the table as it is holds the chosen rows, and no others."""
        if self._listed(with_table=True) != [self.path]:
            return False
        with _read(self.path) as file:
            return len(chosen[0]) == file.metadata.num_rows

    def _write(self, chosen: Sequence[Sequence[int]], facts: Mapping[str, Any]) -> None:
        schema = SCHEMA.with_metadata({FACTS: json.dumps(facts)})

        def write(file: Any) -> None:  # noqa: ANN401
            with ParquetWriter(file, schema) as writer:
                for table in _regrouped(self._chosen(chosen)):
                    writer.write_table(table.cast(schema))

        write_atomically(self.path, write)

    def _latest(self, wanted: set[Identity], bundle: str) -> list[list[int]]:
        """Choose the latest row of each file; give the chosen rows of each file of the table."""
        latest: dict[Identity, tuple[int, int]] = {}
        for number, file in enumerate(self._files()):
            rows = file.read(columns=[*Identity._fields, "bundle"]).to_pylist()
            for place, row in enumerate(rows):
                if row["bundle"] == bundle and _identity(row) in wanted:
                    latest[_identity(row)] = number, place
        chosen: list[list[int]] = [[] for _ in self._listed(with_table=True)]
        for number, place in sorted(latest.values()):
            chosen[number].append(place)
        return chosen

    def _chosen(self, rows: Sequence[Sequence[int]]) -> Iterator[pa.Table]:
        for file, places in zip(self._files(), rows, strict=True):
            yield file.read().take(pa.array(places, pa.int64()))

    def _files(self) -> Iterator[ParquetFile]:
        for path in self._listed(with_table=True):
            with _read(path) as file:
                yield file

    def _listed(self, *, with_table: bool = False) -> list[Path]:
        table = [self.path] if with_table and self.path.exists() else []
        return [*table, *sorted(self._parts.glob("*.parquet"))]


@contextmanager
def opened(path: Path) -> Generator[Table]:
    """Open a table to add to, or begin one.

    Raises:
        ConfigError: Another process is adding to it.
        ExportError: There is something else, or a file that is damaged.
    """
    if path.exists():
        with _read(path):
            pass
    parts = _parts(path)
    parts.mkdir(parents=True, exist_ok=True)
    with (parts / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process is adding to {path}: wait for it, or name another --out"
            ) from error
        yield Table(path)


def facts(path: Path) -> dict[str, Any]:
    """Read what a table says of itself.

    Raises:
        ExportError: There is none, or it is damaged.
    """
    with _read(path) as file:
        return json.loads(file.schema_arrow.metadata[FACTS])


def rows(path: Path, *columns: str) -> Iterator[dict[str, Any]]:
    """Read a table row by row; all columns, unless some are named.

    Raises:
        ExportError: There is none, or it is damaged.
    """
    with _read(path) as file:
        for batch in file.iter_batches(columns=list(columns) or None):
            yield from batch.to_pylist()


def _parts(path: Path) -> Path:
    return path.with_name(f"{path.name}.parts")


@contextmanager
def _read(path: Path) -> Generator[ParquetFile]:
    """Open a file that polyspace wrote.

    Raises:
        ExportError: It didn't.
    """
    try:
        file = ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).partition("\n")[0]
        raise ExportError(f"{path} can't be read as a table ({first}): {_REMEDY}") from error
    with file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ExportError(f"{path} is no table of predictions of this version: {_REMEDY}")
        yield file


_REMEDY = "nothing was written; name another --out, or remove it"


def _identity(row: Mapping[str, Any]) -> Identity:
    return Identity(*(row[name] for name in Identity._fields))


def _regrouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables, so that row groups aren't as small as the parts were."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
