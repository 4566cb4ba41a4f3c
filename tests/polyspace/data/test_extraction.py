import pytest

from polyspace.data import extraction


@pytest.mark.parametrize(
    ("clips", "limit", "batch", "size"),
    [
        (10, 256, 1, 10),
        (460, 256, 1, 230),
        (512, 256, 1, 256),
        (7, 3, 1, 3),
        (9537, 256, 1, 251),
        (9537, 256, 2, 252),
        (9537, 256, 32, 256),
        (20, 7, 3, 6),
        (20, 2, 3, 2),
        (3, 256, 64, 3),
    ],
)
def test_clips_are_cut_into_even_chunks_of_whole_batches(clips, limit, batch, size):
    assert extraction._even(clips, limit, batch) == size
