from dataclasses import replace

import numpy as np
import pytest

from polyspace.data.datasets.motion_render import Camera, bilinear, shoot

STILL = Camera(
    move="still",
    speed=0.2,
    zoom=1.0,
    roll=0.0,
    across=0.5,
    down=0.5,
    start=0.0,
    gain=1.0,
    gamma=1.0,
    noise=0.0,
    seed=0,
)
ROWS, COLUMNS = 120, 200
RAMP = np.broadcast_to(
    np.arange(COLUMNS, dtype=np.uint8)[None, None, :, None], (1, ROWS, COLUMNS, 3)
)
"""A picture that is as bright as its column's number."""
FALL = np.broadcast_to(np.arange(ROWS, dtype=np.uint8)[None, :, None, None], (1, ROWS, COLUMNS, 3))
"""A picture that is as bright as its row's number."""


def film(canvas, **camera):
    shots = shoot(canvas, replace(STILL, **camera), frames=5, width=40, height=30)
    return shots.astype(float)


def test_sampling_between_pixels_is_exact_on_a_plane():
    x, y = np.meshgrid(np.linspace(3.25, 60.5, 7), np.linspace(2.5, 40.75, 5))
    plane = 2 * np.arange(80.0)[None, :] + 3 * np.arange(50.0)[:, None]
    picture = np.repeat(plane[..., None], 3, axis=2).astype(np.float32)

    seen = bilinear(picture, x.astype(np.float32), y.astype(np.float32))

    assert seen[..., 0] == pytest.approx(2 * x + 3 * y, rel=1e-6)


def test_beyond_the_border_the_border_goes_on():
    picture = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    far = np.full((1, 1), 99, np.float32)

    assert bilinear(picture, -far, -far)[0, 0] == pytest.approx(picture[0, 0])
    assert bilinear(picture, far, far)[0, 0] == pytest.approx(picture[1, 1], rel=1e-2)


def test_a_still_camera_sees_the_same_in_every_frame():
    assert (film(RAMP) == film(RAMP)[0]).all()


@pytest.mark.parametrize(
    ("move", "canvas", "sign"),
    [("pan_right", RAMP, 1), ("pan_left", RAMP, -1), ("tilt_down", FALL, 1), ("tilt_up", FALL, -1)],
)
def test_the_camera_travels_its_share_of_the_frame(move, canvas, sign):
    seen = film(canvas, move=move, speed=0.25).mean(axis=(1, 2, 3))

    size = 40 if canvas is RAMP else 30
    assert np.diff(seen) == pytest.approx(sign * 0.25 * size / 4, abs=0.3)


@pytest.mark.parametrize(("move", "factor"), [("zoom_in", np.exp(-0.8)), ("zoom_out", np.exp(0.8))])
def test_zooming_changes_how_much_is_seen(move, factor):
    seen = film(RAMP, move=move, speed=0.4)

    widths = seen[:, 15, -1, 0] - seen[:, 15, 0, 0]
    assert widths[-1] / widths[0] == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize(("move", "sign"), [("rotate_cw", 1), ("rotate_ccw", -1)])
def test_turning_the_camera_clockwise_turns_its_right_side_down(move, sign):
    seen = film(FALL, move=move, speed=0.3)

    drop = seen[:, 15, -1, 0] - seen[:, 15, 0, 0]
    assert drop == pytest.approx(sign * 39 * np.sin(0.6 * np.linspace(-0.5, 0.5, 5)), abs=1.5)


@pytest.mark.parametrize("move", ["pan_left", "zoom_in", "rotate_cw", "still"])
def test_the_middle_of_the_clip_is_the_same_whatever_the_move(move):
    middle = film(RAMP, move=move)[2]

    assert middle == pytest.approx(film(RAMP)[2], abs=1)


def test_shaking_comes_back_to_where_it_was():
    seen = film(RAMP, move="shake", speed=0.3).mean(axis=(1, 2, 3))

    assert np.abs(np.diff(seen)).max() > 0.5
    assert np.ptp(seen) < 0.3 * 40


def test_a_video_goes_on_under_the_camera():
    shot = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 60, 80, 3), np.uint8)

    assert film(shot, start=1.0).mean(axis=(1, 2, 3)).tolist() == [15, 16, 17, 18, 19]


def test_noise_has_the_deviation_that_was_asked_for():
    grey = np.full((1, 120, 200, 3), 128, np.uint8)

    assert film(grey, noise=3.0).std() == pytest.approx(3.0, rel=0.05)
