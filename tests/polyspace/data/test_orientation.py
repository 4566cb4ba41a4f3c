from itertools import product

import av
import numpy as np
import pytest

from polyspace.data.orientation import UPRIGHT, Orientation
from polyspace.errors import VideoError
from tests.support.videos import numbered, write_video

TURNS = [
    m
    for m in product((-1, 0, 1), repeat=4)
    if abs(m[0]) == abs(m[3]) != abs(m[1]) == abs(m[2]) and m.count(0) == 2
]


def shown(picture, matrix):
    """Put each pixel where the matrix says, counted from the corner that it leaves."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    places = {
        (a * x + c * y, b * x + d * y): picture[y, x]
        for y, x in product(range(height), range(width))
    }
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    rows, columns = (width, height) if b else (height, width)
    turned = np.empty((rows, columns, 3), np.uint8)
    for (x, y), pixel in places.items():
        turned[y - top, x - left] = pixel
    return turned


def of(tmp_path, matrix) -> Orientation:
    file = write_video(tmp_path / "a.mp4", numbered(1), display=matrix)
    with av.open(str(file)) as container:
        return Orientation.of(next(container.decode(video=0)))


@pytest.mark.parametrize("matrix", TURNS)
def test_a_picture_is_turned_as_the_matrix_says(tmp_path, matrix):
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)

    assert np.array_equal(of(tmp_path, matrix).picture(picture), shown(picture, matrix))


@pytest.mark.parametrize("matrix", TURNS)
def test_motion_is_turned_with_the_picture(tmp_path, matrix):
    a, b, c, d = matrix
    field = np.zeros((1, 4, 2, 3), np.float32)
    field[:, :, 0, 1] = [3, 5, 7, 1]

    (turned,) = of(tmp_path, matrix).motion(field)

    marked = np.zeros((2, 3, 3), np.uint8)
    marked[0, 1] = 1
    row, column = np.argwhere(shown(marked, matrix)[..., 0])[0]
    assert turned[:, row, column].tolist() == [3 * a + 5 * c, 3 * b + 5 * d, 7, 1]
    assert np.count_nonzero(turned) == 4


def test_without_a_matrix_a_picture_stands_upright(tmp_path):
    file = write_video(tmp_path / "a.mp4", numbered(1))
    with av.open(str(file)) as container:
        assert Orientation.of(next(container.decode(video=0))) == UPRIGHT


def test_a_slant_is_refused(tmp_path):
    with pytest.raises(VideoError, match="is shown at a slant: expected turns by quarters"):
        of(tmp_path, (1, 1, -1, 1))
