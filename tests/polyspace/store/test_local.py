import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyspace.errors import LeaseError, StoreError
from polyspace.store import storage
from polyspace.store.local import LocalFolder


@pytest.fixture
def folder(tmp_path):
    return LocalFolder(tmp_path / "made" / "x.zarr")


def everything(folder):
    return {key: folder.read(key) for key in folder.list()}


def test_is_what_an_address_without_a_scheme_leads_to(folder):
    place = storage.at(folder.path)
    assert isinstance(place, LocalFolder)
    assert isinstance(place, storage.Storage)
    assert isinstance(folder.journal("ledger/1.jsonl"), storage.Journal)
    assert place.path == place.folder == folder.path


def test_files_are_listed_with_their_sizes_by_key(folder):
    for key in ("zarr.json", "tokens/a/c.0", "tokens/ab/c.0"):
        folder.publish(key, [key.encode()])
    assert folder.list() == {"zarr.json": 9, "tokens/a/c.0": 12, "tokens/ab/c.0": 13}
    assert folder.list("tokens/a/") == {"tokens/a/c.0": 12}
    assert folder.names() == ["tokens", "zarr.json"]


def test_where_nothing_is_nothing_is_listed(folder):
    assert (folder.list(), folder.list("tokens/"), folder.names()) == ({}, {}, [])


def test_links_to_folders_are_not_followed(folder, tmp_path):
    folder.publish("a", [b"1"])
    (folder.path / "round").symlink_to(folder.path)
    assert set(folder.list()) == {"a", "round"}


def test_files_are_read_from_some_byte_on(folder):
    folder.publish("a", [b"0123", memoryview(b"4567")])
    folder.publish("b", [b"xyz"])
    assert folder.read("a", start=6) == b"67"
    assert folder.read("a", start=8) == b""
    assert folder.read_many({"a": 4, "b": 0}) == {"a": b"4567", "b": b"xyz"}


def test_a_file_that_is_not_there_is_an_error(folder):
    with pytest.raises(FileNotFoundError):
        folder.read("a")
    with pytest.raises(FileNotFoundError):
        folder.read_many({"a": 0})


def test_what_is_published_replaces_what_was_there(folder):
    folder.publish("a/b", [b"old"])
    folder.publish("a/b", [b"new", b"er"])
    assert everything(folder) == {"a/b": b"newer"}


def test_a_file_that_is_not_admitted_leaves_what_was_there(folder):
    def refuse():
        raise LeaseError("taken over")

    folder.publish("a", [b"old"])
    with pytest.raises(LeaseError, match="taken over"):
        folder.publish("a", [b"new"], refuse)
    assert everything(folder) == {"a": b"old"}


def test_when_a_file_is_admitted_it_is_whole_and_not_there_yet(folder):
    def look():
        assert not (folder.path / "a").exists()
        (half,) = folder.list()
        assert folder.read(half) == b"whole"

    folder.publish("a", [b"whole"], look)
    assert everything(folder) == {"a": b"whole"}


def test_what_is_swept_can_no_longer_appear(folder):
    folder.publish("a", [b"old"])
    with pytest.raises(StoreError):
        # As if its writer were stopped after it was admitted, and somebody took over meanwhile.
        folder.publish("a", [b"new"], lambda: folder.sweep(["a"]))
    assert everything(folder) == {"a": b"old"}


def test_only_halves_of_the_files_named_are_swept(folder):
    for key in ("c.1", "c.1.0badcafe.partial", "c.10.0badcafe.partial", "x/c.1.0badcafe.partial"):
        folder.publish(key, [b"1"])
    folder.sweep(["c.1", "y/c.2"])
    assert set(folder.list()) == {"c.1", "c.10.0badcafe.partial", "x/c.1.0badcafe.partial"}


def test_of_many_who_create_a_file_one_does(folder):
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            key, names = f"leases/{number}", [b"ann", b"bob", b"cid", b"dan"]
            made = list(threads.map(folder.create, [key] * 4, names))
            assert made.count(True) == 1
            assert folder.read(key) == names[made.index(True)]


def test_deleting_what_is_not_there_is_no_error(folder):
    folder.publish("a", [b"1"])
    folder.delete("a")
    folder.delete("a")
    assert folder.list() == {}


@pytest.mark.parametrize("act", ["publish", "create"])
def test_a_full_disk_is_an_error_that_leaves_nothing_half(folder, act, room_for):
    folder.publish("old", [b"1"])
    content = b"x" * 100
    with room_for(60), pytest.raises(StoreError, match=r"a can't be written .*: make room or give"):
        folder.publish("a", [content]) if act == "publish" else folder.create("a", content)
    assert everything(folder) == {"old": b"1"}
    assert folder.create("a", content)


def test_a_journal_is_made_with_its_first_line(folder):
    journal = folder.journal("ledger/1.jsonl")
    journal.close()
    assert folder.list() == {}
    journal.append(b"1\n")
    journal.append(b"2\n")
    assert folder.read("ledger/1.jsonl") == b"1\n2\n"
    journal.close()


def test_no_journal_goes_on_with_anothers_file(folder):
    folder.publish("ledger/1.jsonl", [b"theirs\n"])
    with pytest.raises(StoreError, match="File exists"):
        folder.journal("ledger/1.jsonl").append(b"1\n")
    assert folder.read("ledger/1.jsonl") == b"theirs\n"


@pytest.mark.parametrize("room", [12, 15, 19])
def test_a_line_that_the_disk_did_not_hold_leaves_no_half_and_the_next_one_is_whole(
    folder, room, room_for
):
    journal = folder.journal("ledger/1.jsonl")
    journal.append(b"first line\n")
    with room_for(room), pytest.raises(StoreError, match="what was finished is kept"):
        journal.append(b"second line\n")
    assert folder.read("ledger/1.jsonl") == b"first line\n"
    journal.append(b"third line\n")
    journal.close()
    assert folder.read("ledger/1.jsonl") == b"first line\nthird line\n"


def test_a_line_that_could_not_be_made_durable_is_taken_back(folder, monkeypatch):
    def refuse(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = folder.journal("ledger/1.jsonl")
    journal.append(b"first line\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError, match="Input/output error"):
            journal.append(b"second line\n")
    assert folder.read("ledger/1.jsonl") == b"first line\n"
    journal.close()


def refuse_to_write(file, mode="r", *arguments, **options):
    if mode not in ("r", "rb"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
    return OPEN(file, mode, *arguments, **options)


OPEN = io.open


def test_a_read_only_folder_is_an_error_that_says_so(folder, monkeypatch):
    folder.publish("a", [b"1"])
    monkeypatch.setattr(io, "open", refuse_to_write)
    for act in (
        lambda: folder.publish("a", [b"2"]),
        lambda: folder.create("b", b"2"),
        lambda: folder.journal("c.jsonl").append(b"2\n"),
    ):
        with pytest.raises(StoreError, match=r"can't be written \(Read-only file system\): make"):
            act()
    assert everything(folder) == {"a": b"1"}


def test_new_folders_are_durable_before_what_is_in_them_is_there(folder, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink())
    )
    folder.publish("tokens/a", [b"1"])
    wanted = {folder.path.parents[1], folder.path.parent, folder.path}
    file = next(n for n, path in enumerate(synced) if path.name.endswith(".partial"))
    assert set(synced[:file]) == wanted
    assert synced[-1] == folder.path / "tokens"
