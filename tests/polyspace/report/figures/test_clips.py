from itertools import pairwise

import numpy as np
import pytest

from polyspace.report.figures import canvas, clips
from polyspace.report.records.inference import Shown

NAMES = ("left", "right", "still")


def shown(**changes):
    content = {
        "id": "left-001",
        "group": "001",
        "rank": "worst",
        "label": 0,
        "said": 1,
        "chance": 0.9,
        "true_chance": 0.05,
        "view": 0,
        "views": 1,
        "frame_seconds": (0.0, 0.2, 0.4, 0.6),
        "gates": {"motion_vectors": (0.1, 0.9), "efficientnet_lite0": (0.5, 0.4)},
        "gate_seconds": ((0.0, 0.32), (0.32, 0.64)),
        "missing": {},
    }
    return Shown.model_validate(content | changes)


def pictures(rows=60, columns=80, count=4):
    return np.random.default_rng(0).integers(0, 256, (count, rows, columns, 3), dtype=np.uint8)


def words(figure):
    return [text.get_text() for text in figure.texts]


def test_frames_keep_their_shape_and_stand_at_their_times():
    figure = clips.draw([shown()], [pictures()], NAMES)
    axes = figure.axes[0]
    assert [image.get_size() for image in axes.images] == [(60, 80)] * 4
    figure.draw_without_rendering()
    for image, second in zip(axes.images, (0.0, 0.2, 0.4, 0.6), strict=True):
        left, right, bottom, top = image.get_extent()
        assert (left + right) / 2 == pytest.approx(second)
        (x0, y0), (x1, y1) = axes.transData.transform([(left, bottom), (right, top)])
        assert (x1 - x0) / (y1 - y0) == pytest.approx(80 / 60, rel=1e-3)


@pytest.mark.parametrize(("rows", "columns"), [(112, 30), (30, 112), (112, 112)])
def test_frames_of_any_shape_do_not_touch(rows, columns):
    figure = clips.draw([shown()], [pictures(rows, columns)], NAMES)
    extents = [image.get_extent() for image in figure.axes[0].images]
    assert all(a[1] <= b[0] for a, b in pairwise(extents))


def test_gates_are_drawn_over_the_same_seconds_as_the_frames():
    strip, gates = clips.draw([shown()], [pictures()], NAMES).axes
    assert strip.get_xlim() == gates.get_xlim()
    line = next(line for line in gates.lines if np.asarray(line.get_ydata())[0] == 0.1)
    assert line.get_xydata() == pytest.approx(np.array([[0.16, 0.1], [0.48, 0.9]]))
    assert strip.get_position().x0 == gates.get_position().x0
    assert strip.get_position().width == gates.get_position().width


def test_a_title_says_what_it_was_and_what_was_said():
    figure = clips.draw([shown(), shown(said=0)], [pictures(), pictures()], NAMES)
    assert words(figure)[::2] == [
        "left, but said right with 90.0 %; left got 5.0 %",
        "left: said so, with 90.0 %",
    ]


def test_a_clip_without_frames_says_why_and_keeps_its_gates():
    gap = shown(frame_seconds=(), missing={"frames": "a.mp4: isn't there"})
    figure = clips.draw([gap], [None], NAMES)
    strip, gates = figure.axes
    assert [text.get_text() for text in strip.texts] == ["no frames: a.mp4: isn't there"]
    assert len(gates.lines) == 4
    assert figure.get_figheight() < clips.draw([shown()], [pictures()], NAMES).get_figheight()


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_seconds": (0.0, 0.2, 0.2, 0.2)},
        {"frame_seconds": (0.0,) * 4, "gate_seconds": ((0.0, 0.0), (0.0, 0.0))},
        {"gate_seconds": ()},
        {"gates": {}},
        {"view": 1, "views": 3},
    ],
)
def test_short_clips_unknown_times_and_joins_without_gates_are_drawn(changes):
    figure = clips.draw([shown(**changes)], [pictures()], NAMES)
    assert len(figure.axes[0].images) == 4
    assert canvas.png(figure)


def test_which_view_is_shown_is_said_where_there_are_several():
    assert words(clips.draw([shown(view=1, views=3)], [pictures()], NAMES))[1].endswith(
        "view 2 of 3"
    )


def test_a_page_holds_every_pixel_once():
    strip = pictures(84, 112)
    # Noise doesn't compress, and both the picture and the page are written in base64.
    most = strip.nbytes * (4 / 3) ** 2 + 100_000
    assert len(canvas.data_uri(clips.draw([shown()], [strip], NAMES))) < most
