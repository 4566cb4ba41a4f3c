import os

from polyspace.data.duplicates import look_over
from tests.support.stages import follow


def looked(root, *paths):
    """Run a search to its end; give what it said on the way, and what it found."""
    return follow(look_over(root, paths))


def test_only_files_of_equal_size_are_read_and_those_with_the_same_bytes_are_twins(tmp_path):
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"three")):
        (tmp_path / name).write_bytes(content)

    said, files = looked(tmp_path, *"abcd")

    assert files.twins == (("a", "c"),)
    assert files.hashed == 3
    assert [(p.done, p.total) for p in said] == [(1, 3), (2, 3), (3, 3)]


def test_missing_and_empty_files_are_told_and_are_nobodys_twins(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "void").touch()
    (tmp_path / "folder").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")

    _, files = looked(tmp_path, "empty", "void", "folder", "dangling", "gone")

    assert files.empty == ("empty", "void")
    assert files.missing == ("dangling", "folder", "gone")
    assert files.twins == ()


def test_a_path_that_is_listed_twice_is_read_once(tmp_path):
    (tmp_path / "a").write_bytes(b"one")

    _, files = looked(tmp_path, "a", "a")

    assert (files.twins, files.hashed) == ((), 0)
