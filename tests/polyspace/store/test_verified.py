import os

import pytest

from polyspace.store.verified import Remembered

KEYS = ["tokens/a/c.0", "tokens/a/c.1"]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "x.zarr"
    for key in KEYS:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(key.encode())
    return folder


@pytest.fixture
def known(folder):
    """A folder whose files were checked."""
    Remembered(folder).add(KEYS)
    return folder


def test_what_was_never_checked_is_unknown(folder):
    assert Remembered(folder).unknown(KEYS) == KEYS


def test_what_was_checked_is_known_from_now_on(folder):
    remembered = Remembered(folder)
    remembered.add(KEYS[:1])
    assert remembered.unknown(KEYS) == KEYS[1:]
    assert Remembered(folder).unknown(KEYS) == KEYS[1:]


def _rewrite(file):
    file.write_bytes(file.read_bytes())


def _replace(file):
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    stamp = file.stat()
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.replace(file)


def _grow(file):
    file.write_bytes(file.read_bytes() + b"x")


def _flip_and_set_the_time_back(file):
    stamp = file.stat()
    file.write_bytes(b"T" + file.read_bytes()[1:])
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@pytest.mark.parametrize("change", [_rewrite, _replace, _grow, _flip_and_set_the_time_back])
def test_what_changed_since_is_unknown_again(known, change):
    file = known / KEYS[1]
    # Long enough ago for the clock of a file system to have moved on.
    os.utime(file, ns=(0, 0))
    Remembered(known).add(KEYS)
    change(file)
    assert Remembered(known).unknown(KEYS) == KEYS[1:]


def test_another_store_with_the_same_files_is_unknown(known):
    other = known.rename(known.with_name("other.zarr"))
    assert Remembered(other).unknown(KEYS) == KEYS


def test_a_store_is_the_same_however_it_is_reached(known, tmp_path, monkeypatch):
    (tmp_path / "link.zarr").symlink_to(known)
    assert Remembered(tmp_path / "link.zarr").unknown(KEYS) == []
    monkeypatch.chdir(tmp_path)
    assert Remembered(known.relative_to(tmp_path)).unknown(KEYS) == []


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"tokens/a/c.0": 1}'])
def test_a_note_that_cannot_be_read_remembers_nothing(known, tmp_path, text):
    (note,) = (tmp_path / "cache" / "polyspace" / "verified").iterdir()
    note.write_bytes(text)
    assert Remembered(known).unknown(KEYS) == KEYS
    Remembered(known).add(KEYS)
    assert Remembered(known).unknown(KEYS) == []


def test_without_a_cache_folder_files_are_remembered_for_this_run(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remembered = Remembered(folder)
    remembered.add(KEYS)
    assert remembered.unknown(KEYS) == []
    assert Remembered(folder).unknown(KEYS) == KEYS


def test_nothing_is_written_into_the_store(known):
    assert sorted(path.name for path in known.rglob("*")) == ["a", "c.0", "c.1", "tokens"]
