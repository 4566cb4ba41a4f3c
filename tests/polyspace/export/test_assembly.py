from dataclasses import replace

import pytest
from safetensors.torch import load_file
from torch import nn

from polyspace.errors import CheckpointError
from polyspace.export import assembly, contents, source
from polyspace.export.assembly import assemble
from polyspace.export.formats.kinds import FormatName
from polyspace.export.pictures import Looking


def assembled(exported_source, folder, kind: FormatName = "fp16"):
    student = source.student_record(exported_source.clips(), "stu")
    return assemble(kind, exported_source.subject(), exported_source.source(), student, folder)


def test_a_bundle_is_sealed_before_it_is_proved(exported_source, tmp_path):
    sizes = assembled(exported_source, tmp_path / "made")
    contents.verify(tmp_path / "made", needed=("config.json",))
    with pytest.raises(CheckpointError, match=r"lists no proof\.json"):
        contents.verify(tmp_path / "made")
    info = contents.read_config(tmp_path / "made")["quantization_info"]
    assert (info["bytes"], info["float32_bytes"]) == (sizes.bytes, sizes.float32_bytes)


def test_float32_is_as_large_as_float32(exported_source, tmp_path):
    sizes = assembled(exported_source, tmp_path / "made", "fp32")
    # But for the note of who wrote the file.
    assert sizes.float32_bytes <= sizes.bytes <= sizes.float32_bytes + 64
    assert len(load_file(tmp_path / "made" / "model.safetensors")) > 0


def test_of_pictures_the_students_network_counts_too(exported_source):
    subject = exported_source.subject()
    looking = Looking.__new__(Looking)
    nn.Module.__init__(looking)
    looking.backbone = nn.ModuleDict({"network": nn.Linear(100, 100, bias=False)})
    seeing = replace(subject, module=looking)
    more = assembly._float32_bytes(seeing) - assembly._float32_bytes(subject)
    assert 40_000 <= more < 40_200
