"""The record of a folder of bundles: every format that is there, and every one that was refused."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from polyspace.report.records.proof import Proof
from polyspace.report.records.record import Record, read


class Exported(Record):
    """A bundle."""

    folder: str
    """Its name in the folder of the bundles."""
    sources: dict[str, str]
    """sha256 of the checkpoints that it was made of, by what they hold."""
    proof: Proof


class Exports(Record):
    """exports.json."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    formats: tuple[Exported, ...]
    """The largest first."""
    refused: dict[str, str]
    """By format, why there is no bundle of it, or why the one that is there is of before."""

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """Give the proof of every format."""
        return tuple(exported.proof for exported in self.formats)


def read_exports(path: Path) -> Exports:
    """Read exports.json.

    Raises:
        RecordError: It isn't there, or isn't one.
    """
    return read(path, Exports)
