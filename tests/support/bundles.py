"""Bundles without their proof, which takes a process and seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyspace.export import contents, source
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import FormatName
from polyspace.export.source import Answers
from polyspace.export.stored import quantization_info
from polyspace.models.fusion import Distilled
from polyspace.train.sources import StoredClips


def write_bundle(
    folder: Path,
    model: Distilled,
    clips: StoredClips,
    kind: FormatName = "fp16",
    *,
    student: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model as an export does; give the folder.

    Args:
        folder: Where to; named as a format, it can be found in the folder above.
        model: What leaves.
        clips: Features that it was made for.
        kind: The format.
        student: Changes what the bundle says of its student.
    """
    folder.mkdir(parents=True)
    name = model.translator.student_name
    tokens = clips.tokens(name, clips.rows((name,))[:2])
    subject = kinds.Subject(model, "tokens", Answers(model).eval(), tokens)
    stored = kinds.of(kind).write(kind, subject, folder)
    size = contents.size(folder, stored.files)
    config = {
        "format": contents.FORMAT,
        "kind": kind,
        "entry": "tokens",
        "model": model.specs(),
        "class_names": list(model.fusion.spec.class_names),
        "student": {**source.student_record(clips, name), **(student or {})},
        "quantization_info": quantization_info(
            stored, size=size, float32_size=2 * size, sources={}, keep_float32=()
        ),
        "provenance": {},
    }
    contents.write_json(folder / contents.CONFIG, config)
    contents.write_json(folder / contents.PROOF, {})
    (folder / contents.CARD).write_text("# A model of a test\n")
    contents.seal(folder)
    return folder
