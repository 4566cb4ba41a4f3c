import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyspace.errors import CheckpointError, ExportError
from polyspace.export import folders

ROOT = Path(__file__).parents[3]


def publish(out, text):
    with folders.publishing(out, "mark") as partial:
        (partial / "mark").write_text(text)
        (partial / "more").write_text(text)


def contents(folder):
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_a_folder_appears_with_all_that_was_written(tmp_path):
    publish(tmp_path / "deep" / "out", "new")
    assert contents(tmp_path / "deep" / "out") == {"mark": "new", "more": "new"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_nothing_is_there_until_the_block_has_ended(tmp_path):
    with folders.publishing(tmp_path / "out", "mark") as partial:
        (partial / "mark").write_text("new")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    publish(tmp_path / "out", "old")

    def fail():
        with folders.publishing(tmp_path / "out", "mark") as partial:
            (partial / "mark").write_text("new")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(tmp_path / "out") == {"mark": "old", "more": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_takes_the_place_of_its_like_alone(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(folders, "_exchanged", lambda first, second: False)
    publish(tmp_path / "out", "old")
    (tmp_path / "out" / "left over").write_text("old")
    publish(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == {"mark": "new", "more": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / "out.0123abcd.partial"
    other = tmp_path / "outer.0123abcd.partial"
    for folder in (left, other):
        folder.mkdir()
        (folder / "half").write_text("half")
    publish(tmp_path / "out", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", other.name]


def test_of_two_at_once_neither_takes_the_others_away(tmp_path):
    with folders.publishing(tmp_path / "out", "mark") as first:
        (first / "mark").write_text("first")
        publish(tmp_path / "out", "second")
        assert contents(first) == {"mark": "first"}
        assert contents(tmp_path / "out")["mark"] == "second"
    assert contents(tmp_path / "out") == {"mark": "first"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_disk_that_is_full_is_said_in_one_line(tmp_path, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    publish(tmp_path / "out", "old")
    monkeypatch.setattr(folders, "_sync", full)
    with pytest.raises(ExportError, match=r"No space left on device.*nothing was published"):
        publish(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == {"mark": "old", "more": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_errors_of_our_own_go_through(tmp_path):
    def fail():
        with folders.publishing(tmp_path / "out", "mark"):
            raise CheckpointError("altered")

    with pytest.raises(CheckpointError, match="altered"):
        fail()


def test_a_folder_may_be_given_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    publish(Path("out"), "new")
    assert (tmp_path / "out" / "mark").is_file()


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    publish(tmp_path / "out", "new")
    assert (tmp_path / "out" / "mark").read_text() == "new"


def test_what_something_else_has_made_is_left_alone(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="made by something else"):
        publish(out, "new")
    assert contents(out) == {"thesis.txt": "mine"}
    with pytest.raises(ExportError, match="is no folder"):
        publish(out / "thesis.txt", "new")
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(ExportError, match="is no folder"):
        publish(tmp_path / "link", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


@pytest.mark.parametrize("count", range(1, 21))
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path, count):
    """It is killed at its count-th event that opens, lists, makes or removes something."""
    out = tmp_path / "out"
    publish(out, "old")
    code = f"""
import os, sys
from pathlib import Path
from polyspace.export import folders
seen = 0
def hook(event, arguments):
    global seen
    said = " ".join(map(str, arguments))
    if {str(tmp_path)!r} in said:
        seen += 1
        if seen == {count}:
            os._exit(9)
sys.addaudithook(hook)
with folders.publishing(Path({str(out)!r}), "mark") as partial:
    (partial / "mark").write_text("new")
    (partial / "more").write_text("new")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ended.returncode == 9 or (ended.returncode == 0 and count > 12)
    assert contents(out) in ({"mark": word, "more": word} for word in ("old", "new"))
