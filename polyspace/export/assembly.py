"""A bundle put together: the model's files, what they are, and the list that seals them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from polyspace.export import contents
from polyspace.export.contents import CONFIG
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import Entry, FormatName, Subject
from polyspace.export.pictures import Looking
from polyspace.export.source import Source
from polyspace.export.stored import quantization_info

REFERENCES: Mapping[Entry, FormatName] = {"tokens": "fp32", "pictures": "pt2"}
"""The form in which torch runs the same model in float32, which others are timed beside."""


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk."""

    bytes: int
    """Of the model's files."""
    float32_bytes: int
    """Of all that runs, as float32 in safetensors."""


def assemble(
    name: FormatName,
    subject: Subject,
    source: Source,
    student: Mapping[str, Any],
    folder: Path,
) -> Sizes:
    """Write a bundle into an empty folder: all but the proof, and what is said of it.

    Args:
        name: The format.
        subject: The model.
        source: Where it comes from.
        student: What is said of the student (see `source.student_record`).
        folder: Where to.

    Raises:
        ExportError: The model can't leave in this form.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = kinds.of(name).write(name, subject, folder)
    sizes = Sizes(contents.size(folder, stored.files), _float32_bytes(subject))
    info = quantization_info(
        stored,
        size=sizes.bytes,
        float32_size=sizes.float32_bytes,
        sources=source.digests,
        keep_float32=subject.keep_float32,
    )
    own = {"format": contents.FORMAT, "kind": name, "entry": subject.entry}
    model = {
        "model": source.model.specs(),
        "class_names": list(source.model.fusion.spec.class_names),
        "student": student,
        "quantization_info": info,
        "provenance": source.provenance,
    }
    contents.write_json(folder / CONFIG, own | model)
    contents.seal(folder)
    return sizes


def _float32_bytes(subject: Subject) -> int:
    """Give the bytes of all that runs, the student's network included, in one safetensors file."""
    state = dict(subject.model.state_dict())
    if isinstance(subject.module, Looking):
        networks = subject.module.backbone.state_dict()
        # Copied, because tensors that share memory are refused.
        state |= {f"backbone.{name}": values.clone() for name, values in networks.items()}
    return len(save(state))
