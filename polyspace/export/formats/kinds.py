"""What the formats have in common, and the list of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from polyspace.errors import ExportError
from polyspace.export.stored import Stored
from polyspace.models.fusion import Distilled
from polyspace.precision import Precision

FormatName = Literal[
    "fp32",
    "fp16",
    "bf16",
    "mixed",
    "int8",
    "onnx",
    "onnx_int8",
    "onnx_int8_static",
    "pt2",
    "torchao_int8",
    "aotinductor",
]
"""What each is stands in docs/export.md."""

Entry = Literal["tokens", "pictures"]
"""What a model takes: the student's stored tokens, or the pictures that the student is fed."""

MODULES: Mapping[FormatName, str] = {
    "fp32": "weights",
    "fp16": "weights",
    "bf16": "weights",
    "mixed": "weights",
    "int8": "weights",
    "onnx": "onnx",
    "onnx_int8": "onnx",
    "onnx_int8_static": "onnx",
    "pt2": "program",
    "aotinductor": "inductor",
    "torchao_int8": "torchao",
}
"""Where in this package each is written and read."""

COMPILED: Collection[FormatName] = ("aotinductor",)
"""Formats that hold machine code: whoever loads one runs what its author compiled."""

CALIBRATED: Collection[FormatName] = ("onnx_int8_static",)
"""Formats that look at training clips; the others trace two of them at most."""


@runtime_checkable
class Runner(Protocol):
    """A model that was loaded: what it is fed (see `Entry`) in, logits out."""

    def __call__(self, inputs: Tensor) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of clips."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that is to leave."""

    model: Distilled
    """From the student's tokens to logits; in evaluation mode, on the CPU."""
    entry: Entry
    module: nn.Module
    """The way from `entry` on: takes such as `inputs`, gives logits [clip label]. It may be folded
    (see `polyspace.export.folding`); then its weights are others than the model's."""
    inputs: Tensor
    """Training clips as the module takes them: examples to trace and to calibrate with."""
    keep_float32: tuple[str, ...] = ()
    """Modules, by the start of their names, whose weights stay float32."""
    student: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the student is and how it looks at clips (see `source.student_record`)."""
    are_clips: bool = True
    """Whether `inputs` are clips; where there are no videos, they are random pictures."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that is back, and the types that it computes in."""

    run: Runner
    precision: Precision
    module: nn.Module | None = None
    """The network itself, where the format holds one that torch runs."""


@runtime_checkable
class Format(Protocol):
    """A way to write a model into a folder and to run what lies there."""

    def write(self, name: FormatName, subject: Subject, folder: Path) -> Stored:
        """Write the model's files.

        Raises:
            ExportError: The model can't leave in this form; the message says why.
        """
        ...

    def load(
        self, name: FormatName, folder: Path, specs: Mapping[str, Any], device: torch.device
    ) -> Loaded:
        """Make ready to run what lies in a folder whose files have been verified.

        Args:
            name: The format.
            folder: The bundle.
            specs: What `Distilled.from_specs` needs.
            device: Where it will run.
        """
        ...


def of(name: FormatName) -> Format:
    """Give what writes and reads a format.

    Raises:
        ExportError: It needs a package that isn't installed.
    """
    try:
        module = import_module(f"polyspace.export.formats.{MODULES[name]}")
    except ModuleNotFoundError as error:
        extra = "torchao" if name == "torchao_int8" else "onnx"
        raise ExportError(
            f"the format {name} needs {error.name}, which isn't installed: "
            f"pip install 'polyspace[{extra}]', or export another format"
        ) from error
    return cast(Format, module)
