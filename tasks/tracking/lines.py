"""What a spool says of a run, line by line: everything that MLflow is to be told, and when it was.

A line may be told twice and does no more than once: each names what it sets.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Begin(_Line):
    """The run begins, or goes on; all that it takes to create it."""

    kind: Literal["begin"] = "begin"
    name: str
    experiment: str
    """The experiment's whole name."""
    location: str | None
    """Where the experiment's files go, if it has still to be made; None: the server decides."""
    tags: dict[str, str]
    params: dict[str, str]
    parent: str | None
    """Id of the run that this one nests under, ours or MLflow's."""
    again: bool
    """Whether it may be there already, and goes on."""
    at_ms: int


class Metrics(_Line):
    """Figures of one step."""

    kind: Literal["metrics"] = "metrics"
    values: dict[str, float]
    step: int
    at_ms: int


class Tags(_Line):
    """Words."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]


class Input(BaseModel):
    """A data set that a run reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What it is to the run: "train", "test" …"""
    dataset: str
    path: str
    digest: str
    """sha256 of its content."""


class Inputs(_Line):
    """What the run reads."""

    kind: Literal["inputs"] = "inputs"
    inputs: tuple[Input, ...]


class Artefact(_Line):
    """A file to keep a copy of."""

    kind: Literal["artefact"] = "artefact"
    path: str
    """Absolute."""
    held: str | None
    """Name, in the spool's folder of files, of a second link to the same bytes."""
    sha256: str


class End(_Line):
    """The run has ended."""

    kind: Literal["end"] = "end"
    status: Literal["FINISHED", "FAILED", "KILLED"]
    at_ms: int


Line = Annotated[Begin | Metrics | Tags | Inputs | Artefact | End, Field(discriminator="kind")]
"""One thing to tell."""

_LINE: TypeAdapter[Line] = TypeAdapter(Line)


def read(text: bytes) -> Line:
    """Parse a line.

    Raises:
        ValueError: It is none.
    """
    return _LINE.validate_json(text)
