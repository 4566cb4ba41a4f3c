from polyspace.cli.health import disk


def test_a_good_disk_is_written_to_and_nothing_stays(tmp_path):
    room, writing = disk.check(tmp_path / "not" / "there")
    assert str(tmp_path) in room.found
    assert writing.verdict == "ok"
    assert "fsync, rename and mmap work" in writing.found
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nothing_can_be_written_to_is_an_error():
    _, writing = disk.check(disk.Path("/proc/features"))
    assert writing.verdict == "error"
    assert "can't be written" in writing.found


def test_little_room_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "LITTLE_BYTES", 10**18)
    room, _ = disk.check(tmp_path)
    assert room.verdict == "warning"
    assert "polyspace estimate" in room.remedy


def test_a_mapped_file_that_shows_something_else_is_noticed(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert disk._mapped(tmp_path, "file", b"abc")
    assert not disk._mapped(tmp_path, "file", b"xyz")
    assert disk._mapped(None, "file", b"xyz")
