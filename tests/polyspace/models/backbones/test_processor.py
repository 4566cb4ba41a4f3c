import json

import pytest

from polyspace.errors import WeightsError
from polyspace.models.backbones.processor import read
from polyspace.models.backbones.protocol import InputSpec

TABLE = InputSpec(
    kind="frames",
    frames=16,
    height=224,
    width=224,
    short_side=256,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@pytest.fixture
def said(tmp_path):
    """Write settings beside imaginary weights and read them back."""

    def write_and_read(name="preprocessor_config.json", **settings) -> InputSpec:
        (tmp_path / name).write_text(json.dumps(settings))
        return read(tmp_path, TABLE)

    return write_and_read


def test_without_a_file_the_table_holds(tmp_path):
    assert read(tmp_path, TABLE) == TABLE


def test_what_the_file_leaves_open_is_the_tables(said):
    assert said() == TABLE


def test_the_file_wins_over_the_table(said):
    spec = said(
        size={"shortest_edge": 224},
        crop_size={"height": 224, "width": 224},
        image_mean=[0.45, 0.45, 0.45],
        image_std=0.225,
        rescale_factor=0.5,
    )
    assert spec.short_side == 224
    assert spec.mean == (0.45, 0.45, 0.45)
    assert spec.std == (0.225, 0.225, 0.225)
    assert spec.scale == 0.5


def test_a_plain_number_is_the_short_side(said):
    assert said(size=240, crop_size=224).short_side == 240


def test_height_and_width_squash(said):
    spec = said(size={"height": 224, "width": 224}, do_center_crop=False)
    assert spec.short_side is None


def test_switches_that_are_off_leave_the_values_alone(said):
    spec = said(do_normalize=False, do_rescale=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    assert (spec.mean, spec.std, spec.scale) == ((0.0,) * 3, (1.0,) * 3, 1.0)


@pytest.mark.parametrize(
    "kind", [{"offset": True}, {"video_processor_type": "VivitVideoProcessor"}]
)
def test_vivits_offset_is_subtracted_before_the_mean(said, kind):
    """Its library computes (x / 127.5 - 1 - mean) / std."""
    spec = said(rescale_factor=1 / 127.5, image_mean=[0.5] * 3, image_std=[0.5] * 3, **kind)
    assert (spec.mean, spec.std) == ((1.5,) * 3, (0.5,) * 3)
    assert said(rescale_factor=1 / 127.5, do_normalize=False, **kind).mean == (1.0,) * 3


def test_the_video_file_is_read_first(said):
    said(size=300)
    assert said("video_preprocessor_config.json", size=280).short_side == 280


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"crop_size": 256}, "network takes"),
        ({"size": {"height": 256, "width": 256}, "crop_size": 224}, "network takes"),
        ({"size": 200}, "short side is 200"),
        ({"resample": 3}, "another resize than bilinear"),
        ({"do_resize": False}, "another resize than bilinear"),
        ({"do_center_crop": False}, "no fixed size"),
        ({"size": "large"}, "Mend it"),
        ({"size": {"height": 224}}, "Mend it"),
    ],
)
def test_what_cannot_be_done_is_refused(said, settings, complaint):
    with pytest.raises(WeightsError, match=complaint):
        said(**settings)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(WeightsError, match="Mend it, or delete it"):
        read(tmp_path, TABLE)
