import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.data.datasets import listing
from polyspace.errors import DatasetError
from tests.support.layouts import put


def test_videos_are_found_at_every_depth_by_their_path_without_the_ending(tmp_path):
    put(tmp_path, "home/a.mp4", "home/b/c.d.AVI", "home/notes.txt", "home/.cache/x.mp4", "e.mp4")

    assert listing.videos(tmp_path, tmp_path / "home") == {
        "a": "home/a.mp4",
        "b/c.d": "home/b/c.d.AVI",
    }


def test_two_files_that_differ_in_their_ending_are_refused(tmp_path):
    put(tmp_path, "a/b.avi", "a/b.mp4")

    with pytest.raises(DatasetError, match=r"a/b\.avi and a/b\.mp4 .* are one clip: keep one"):
        listing.videos(tmp_path, tmp_path)


def test_two_files_of_one_name_are_refused_where_the_name_alone_tells_them(tmp_path):
    found = listing.videos(put(tmp_path, "a/x.mp4", "b/x.mp4"), tmp_path)

    with pytest.raises(DatasetError, match=r"a/x\.mp4 and b/x\.mp4 have the same name"):
        listing.by_name(found)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "is absolute"),
        ("a/../../b.mp4", "leads out"),
        ("..", "leads out"),
        ("http://host/a.mp4", "is an address"),
        ("file:a.mp4", "is an address"),
        ("concat:a|b", "is an address"),
        ("C:/a.mp4", "names a drive"),
        ("a\\b.mp4", "backslash"),
        ("a\0.mp4", "NUL"),
        ("", "empty part"),
        ("a//b.mp4", "empty part"),
        ("./a.mp4", "empty part"),
    ],
)
def test_a_path_that_a_list_may_not_name_is_refused_in_one_line(path, reason):
    with pytest.raises(DatasetError, match=f"list.csv, line 3: the path .* {reason}") as refusal:
        listing.relative(path, "list.csv, line 3")

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "path", ["a.mp4", "a b/ü.mp4", "#20_(Rad)[x]!_0.avi", "a/b:c.mp4", "..a/b"]
)
def test_odd_but_harmless_paths_are_taken_as_they_are(path):
    assert listing.relative(path, "list") == path


@given(st.text())
def test_what_is_taken_never_leads_out_of_the_root(tmp_path_factory, path):
    root = tmp_path_factory.getbasetemp()
    try:
        taken = listing.relative(path, "list")
    except DatasetError:
        return
    assert root in (root / taken).parents
