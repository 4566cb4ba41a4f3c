from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil
from transformers.models.vivit.image_processing_vivit import VivitImageProcessor

from polyspace.data.clips import DecodedClip
from polyspace.data.preprocess import normalise, prepare, resize, temporal_spans
from polyspace.data.sampling import sample_indices, union
from polyspace.data.views import View
from polyspace.models.backbones.protocol import InputSpec
from tests.support.clips import whole

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def film(count, rate_hz=25.0, height=2, width=2, motion=None) -> DecodedClip:
    """A clip whose frames are painted with their own number."""
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[:] = np.arange(count).reshape(-1, 1, 1, 1)
    return whole(frames, np.arange(count) / rate_hz, count / rate_hz, motion)


def spec(frames, **settings) -> InputSpec:
    return InputSpec(kind="frames", frames=frames, height=2, width=2, scale=1.0, **settings)


def numbers(clip, frames):
    return prepare(clip, spec(frames))[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("count", [2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("frames", [1, 2, 3, 15, 16, 17, 100, 251])
def test_sampling_is_even_over_the_whole_clip(count, frames):
    seconds = np.arange(frames) / 29.97
    expected = np.rint(np.linspace(0, frames - 1, count)).astype(int)
    assert sample_indices(seconds, View(0.0, seconds[-1]), count) == expected.tolist()


def test_sampling_goes_by_time_where_frames_are_uneven():
    seconds = np.array([0.0, 0.1, 0.2, 0.3, 2.0, 4.0])
    assert sample_indices(seconds, View(0.0, 4.0), 3) == [0, 4, 5]


def test_a_short_clip_repeats_frames_in_place():
    assert numbers(film(3), 8) == [0, 0, 1, 1, 1, 1, 2, 2]
    assert numbers(film(1), 4) == [0, 0, 0, 0]


@pytest.mark.parametrize("frames", [9, 37, 250])
def test_what_one_backbone_gets_does_not_depend_on_the_others(frames):
    """The decoder hands over the union of everybody's frames."""
    everything = film(frames)
    wanted = (2, 3, 5, 8, 16, 31)
    kept = union(everything.seconds, everything.views, wanted)
    shared = replace(everything, frames=everything.frames[kept], seconds=everything.seconds[kept])
    for count in wanted:
        assert numbers(shared, count) == numbers(everything, count)


def test_normalisation_is_scale_then_mean_then_deviation():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    settings = spec(1, mean=(0.5, 0.1, 0.0), std=(0.5, 0.25, 2.0))
    values = normalise(pixels, settings).flatten().tolist()
    assert values == [(0 - 0.5) / 0.5, pytest.approx((51 - 0.1) / 0.25), 255 / 2]


def test_the_centre_is_cropped_after_the_short_side_is_resized():
    """7 x 10 at short side 7: nothing is resized, rows 2..4 and columns 3..5 are the centre."""
    pixels = torch.arange(70, dtype=torch.uint8).view(1, 1, 7, 10).expand(1, 3, 7, 10)
    cropped = resize(pixels, InputSpec("frames", 1, 3, 3, short_side=7))
    assert torch.equal(cropped, pixels[:, :, 2:5, 3:6])


def test_without_a_short_side_the_picture_is_squashed():
    pixels = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    pixels[..., :20] = 200
    squashed = resize(pixels, InputSpec("frames", 1, 4, 2))
    assert squashed.shape == (1, 3, 4, 2)
    assert torch.equal(squashed, squashed[..., :1, :].expand(-1, -1, 4, -1))
    assert (squashed[..., 0] > 128).all()
    assert (squashed[..., 1] < 64).all()


def test_halving_averages_with_the_triangle_filter_and_rounds():
    """Antialiased bilinear at 1/2 weighs four pixels 1:3:3:1; at the border 3:3:1 of them."""
    row = torch.tensor([0, 0, 80, 160, 0, 0], dtype=torch.uint8)
    pixels = row.expand(1, 3, 6, 6)
    halved = resize(pixels, InputSpec("frames", 1, 3, 3, short_side=3))
    first, middle, last = 80 / 7, (0 + 3 * 80 + 3 * 160 + 0) / 8, 160 / 7
    assert halved[0, 0, 1].tolist() == [round(first), round(middle), round(last)]


@pytest.mark.parametrize("shape", [(480, 640), (427, 640), (333, 251), (224, 224), (100, 150)])
def test_preprocessing_agrees_with_the_librarys_videomae(shape):
    """Pillow's fixed-point filter and torch's may round differently: one level at most."""
    frame = photograph(shape)
    theirs = VideoMAEImageProcessorPil(image_mean=list(MEAN), image_std=list(STD))
    expected = theirs([frame], return_tensors="pt")["pixel_values"][0]
    ours = InputSpec("frames", 1, 224, 224, 224, MEAN, STD)
    assert levels(normalise(prepare(still(frame), ours), ours), expected, ours) <= 1.001


@pytest.mark.parametrize("shape", [(480, 640), (427, 640), (333, 251)])
def test_preprocessing_agrees_with_the_librarys_vivit(shape):
    frame = photograph(shape)
    expected = VivitImageProcessor(do_normalize=False)([frame], return_tensors="pt")[
        "pixel_values"
    ][0]
    ours = InputSpec("frames", 1, 224, 224, 256, mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
    assert levels(normalise(prepare(still(frame), ours), ours), expected, ours) <= 1.001


def test_the_memory_layout_of_frames_does_not_change_a_bit():
    pixels = torch.from_numpy(photograph((300, 400))).permute(2, 0, 1)[None]
    ours = InputSpec("frames", 1, 224, 224, 256)
    assert torch.equal(resize(pixels, ours), resize(pixels.contiguous(), ours))


def test_the_motion_field_is_averaged_over_coarser_cells_and_untouched_otherwise():
    field = np.random.default_rng(0).standard_normal((8, 4, 8, 12)).astype(np.float32)
    coarse = InputSpec("motion", 4, 4, 4, mean=(0.0,) * 4, std=(1.0,) * 4, scale=1.0)
    pooled = prepare(film(2, motion=field), coarse).numpy()
    expected = field.reshape(4, 2, 4, 4, 2, 4, 3).mean(axis=(1, 4, 6))
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


def test_a_position_saw_from_its_first_frame_to_the_end_of_its_last():
    spans = temporal_spans(film(10, rate_hz=10.0), spec(4), 2)
    np.testing.assert_allclose(spans, [[0.0, 0.4], [0.6, 1.0]])


def test_each_sampled_frame_is_seen_as_long_as_it_is_shown():
    spans = temporal_spans(film(10, rate_hz=10.0), spec(4), 4)
    np.testing.assert_allclose(spans, [[0, 0.1], [0.3, 0.4], [0.6, 0.7], [0.9, 1.0]])


def test_backbones_of_different_frame_counts_agree_on_the_clips_time():
    clip = film(250)
    for frames, time in ((8, 8), (16, 8), (32, 16), (64, 32)):
        spans = temporal_spans(clip, spec(frames), time)
        assert spans.shape == (time, 2)
        assert (spans[0, 0], spans[-1, 1]) == (0.0, 10.0)
        assert (np.diff(spans.mean(axis=1)) > 0).all()


def test_a_motion_step_saw_its_equal_part_of_the_clip():
    coarse = InputSpec("motion", 4, 4, 4, mean=(0.0,) * 4, std=(1.0,) * 4)
    spans = temporal_spans(film(50), coarse, 4)
    np.testing.assert_allclose(spans, [[0, 0.5], [0.5, 1.0], [1.0, 1.5], [1.5, 2.0]])


def photograph(shape):
    """A real picture of any size: detail, edges, all levels."""
    picture = np.tile(load_sample_image("china.jpg"), (2, 2, 1))
    return np.ascontiguousarray(picture[: shape[0], : shape[1]])


def still(frame) -> DecodedClip:
    return whole(frame[None], np.zeros(1), 0.04)


def levels(ours, theirs, settings):
    """The largest difference in levels of the uint8 picture."""
    step = settings.scale / torch.tensor(settings.std).view(3, 1, 1)
    return float(((ours - theirs).abs() / step).max())
