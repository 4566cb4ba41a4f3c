import hashlib

import pytest

from polyspace.files import sha256_file, write_atomically


def test_a_file_is_written_with_the_folders_that_it_needs(tmp_path):
    path = tmp_path / "new" / "deep" / "file"
    write_atomically(path, lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="power cut"):
        write_atomically(path, _half)
    assert path.read_bytes() == b"old"


def test_a_write_that_fails_in_the_middle_makes_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        write_atomically(tmp_path / "file", _half)
    assert not (tmp_path / "file").exists()


def test_the_new_content_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, write)
    assert path.read_bytes() == b"new"


def test_sha256_is_that_of_the_files_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def _half(file):
    file.write(b"ha")
    raise RuntimeError("power cut")
