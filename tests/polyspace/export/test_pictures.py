import numpy as np
import pytest
import torch

from polyspace.errors import ExportError, StoreError, VideoError
from polyspace.export import pictures, source
from polyspace.export.formats import kinds
from polyspace.export.source import Source
from tests.support.filmed import distil, film
from tests.support.zoo import distilled_of, seen_by

CPU = torch.device("cpu")
TINY = ("videomae", "timesformer", "vivit", "vjepa2")
REAL = ("transnetv2", "efficientnet_lite0")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.delenv("POLYSPACE_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Real videos that transnetv2 has looked at, three segments of each."""
    folder = tmp_path_factory.mktemp("filmed")
    return film(folder, student="transnetv2", teachers=("motion_vectors",), segments=3)


@pytest.fixture(scope="module")
def made(filmed):
    return Source(distil(filmed.clips(), ("motion_vectors",)), {}, {})


def test_pictures_lead_to_the_logits_that_stored_tokens_do(filmed, made):
    clips = filmed.clips()
    rows = np.array([7, 0, 1, 11])
    shown = source.inputs("pictures", "transnetv2", clips, rows, filmed.root)
    stored = source.inputs("tokens", "transnetv2", clips, rows, None)
    assert shown.dtype == torch.uint8
    assert shown.shape == (4, 4, 3, 27, 48)
    with torch.no_grad():
        said, expected = (
            made.reference(entry, clips)(given)
            for entry, given in (("pictures", shown), ("tokens", stored))
        )
    # Tokens are stored as float16.
    torch.testing.assert_close(said, expected, rtol=0, atol=0.01)
    assert not torch.allclose(said[1], said[2])


def test_a_subject_of_pictures_shows_clips_where_there_are_videos(filmed, made):
    clips = filmed.clips()
    shown = source.subject(made, "pictures", clips, count=2, keep=(), root=filmed.root)
    drawn = source.subject(made, "pictures", clips, count=2, keep=())
    assert (shown.are_clips, drawn.are_clips) == (True, False)
    assert shown.inputs.shape == drawn.inputs.shape
    assert shown.student["provenance"]["inputs"]["height"] == 27


def test_drawn_pictures_are_the_same_every_time(filmed):
    spec = pictures.spec_of("transnetv2", filmed.clips())
    assert torch.equal(pictures.random(spec, 3), pictures.random(spec, 3))


def test_pictures_without_a_folder_of_videos_are_refused(filmed):
    with pytest.raises(ExportError, match=r"needs the videos .* --root"):
        source.inputs("pictures", "transnetv2", filmed.clips(), np.array([0]), None)


def test_a_video_that_can_not_be_read_is_named(filmed, tmp_path):
    moved = film(tmp_path, student="transnetv2", teachers=())
    sorted(moved.root.rglob("*.avi"))[0].write_bytes(b"gone")
    with pytest.raises(VideoError, match=r"v_ClassA_g01_c01\.avi") as error:
        source.inputs("pictures", "transnetv2", moved.clips(), np.array([0]), moved.root)
    assert "\n" not in str(error.value)


def test_what_has_no_network_is_refused_by_name(tmp_path):
    clips = seen_by("motion_vectors", None, tmp_path)
    made = Source(distilled_of("motion_vectors", clips), {}, {})
    with pytest.raises(ExportError, match="motion_vectors has no network to export"):
        made.reference("pictures", clips)


def test_a_format_of_weights_alone_refuses_pictures(filmed, made, tmp_path):
    given = source.subject(made, "pictures", filmed.clips(), count=2, keep=())
    with pytest.raises(ExportError, match="without the student's"):
        kinds.of("fp16").write("fp16", given, tmp_path)


def test_other_weights_than_the_store_was_made_with_are_refused(tmp_path, monkeypatch):
    clips = seen_by("transnetv2", None, tmp_path)
    clips.store.backbones["transnetv2"].provenance["weights"]["fingerprint"] = "0" * 64
    made = Source(distilled_of("transnetv2", clips), {}, {})
    with pytest.raises(StoreError, match="is not what the features were made with"):
        made.reference("pictures", clips)


def agrees(name, form, folder):
    clips = seen_by(name, "random-tiny" if name in TINY else None, folder)
    made = Source(distilled_of(name, clips), {}, {})
    given = source.subject(made, "pictures", clips, count=2, keep=())
    out = folder / form
    out.mkdir()
    kinds.of(form).write(form, given, out)
    run = kinds.of(form).load(form, out, made.model.specs(), CPU).run
    whole = made.reference("pictures", clips)
    for looks in (1, 3):
        shown = pictures.random(pictures.spec_of(name, clips), looks)
        with torch.no_grad():
            torch.testing.assert_close(run(shown), whole(shown), rtol=1e-4, atol=1e-5)


def test_a_real_backbone_leaves_with_the_distilled_model(tmp_path):
    agrees("transnetv2", "pt2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"), [*((name, "pt2") for name in (*REAL[1:], *TINY)), ("videomae", "onnx")]
)
def test_every_backbone_with_a_network_leaves_as_a_graph(name, form, tmp_path):
    agrees(name, form, tmp_path)
