import pytest

from polyspace.data import extraction


@pytest.mark.parametrize(
    ("clips", "limit", "size"), [(10, 256, 10), (460, 256, 230), (512, 256, 256), (7, 3, 3)]
)
def test_clips_are_cut_into_even_chunks(clips, limit, size):
    assert extraction._even(clips, limit) == size
