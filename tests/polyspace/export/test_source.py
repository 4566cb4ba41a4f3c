import pytest
import torch

from polyspace.errors import StoreError
from polyspace.export import source
from polyspace.files import sha256_file
from tests.support.exported import exportable


def test_both_checkpoints_are_read_and_remembered(exported_source):
    found = exported_source.source()
    assert found.student == "stu"
    assert found.digests == {
        "converters": sha256_file(exported_source.converters),
        "fusion": sha256_file(exported_source.fusion),
    }
    assert not found.model.training


def test_what_leaves_is_shown_training_clips_spread_over_the_split(exported_source):
    subject, clips = exported_source.subject(count=4), exported_source.clips("train")
    rows = clips.rows(("stu",))[[0, 8, 15, 23]]
    assert torch.equal(subject.inputs, clips.tokens("stu", rows))
    assert len(exported_source.subject(count=1000).inputs) == 24


def test_the_way_from_tokens_is_the_model(exported_source):
    subject = exported_source.subject()
    reference = exported_source.source().reference("tokens", exported_source.clips())
    with torch.no_grad():
        expected = subject.model(subject.inputs).logits
        assert torch.equal(reference(subject.inputs), expected)
        # It may be folded, which is the same but for the last bits.
        torch.testing.assert_close(subject.module(subject.inputs), expected, rtol=1e-4, atol=1e-4)


def test_every_look_can_be_asked_for(tmp_path):
    clips = exportable(tmp_path, views=2).clips()
    rows = clips.rows(("stu",))[3:6]
    looks = source.inputs("tokens", "stu", clips, rows, None)
    assert torch.equal(looks, clips.tokens("stu", rows))
    assert not torch.equal(looks[0], looks[1])


def test_the_student_is_described_for_whoever_has_videos(exported_source):
    record = source.student_record(exported_source.clips(), "stu")
    assert record["tokens"] == {"time": 4, "space": 4, "dim": 6}
    assert record["views"] == 1
    assert record["provenance"]["weights"]["fingerprint"] == "stu-1"
    with pytest.raises(StoreError, match="other"):
        source.student_record(exported_source.clips(), "other")


def test_blanks_are_of_the_shape_that_the_model_takes(exported_source):
    record = source.student_record(exported_source.clips(), "stu")
    assert source.blank("tokens", record, 5).shape == (5, 4, 4, 6)
    seen = {"kind": "frames", "frames": 8, "height": 27, "width": 48, "mean": [0.0, 0.0, 0.0]}
    pictures = source.blank("pictures", {"provenance": {"inputs": seen}}, 2)
    assert (pictures.shape, pictures.dtype) == ((2, 8, 3, 27, 48), torch.uint8)
    motion = seen | {"kind": "motion", "mean": [0.0, 0.0]}
    fields = source.blank("pictures", {"provenance": {"inputs": motion}}, 2)
    assert (fields.shape, fields.dtype) == ((2, 8, 2, 27, 48), torch.float32)
