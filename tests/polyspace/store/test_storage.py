"""What every place promises that a store can lie in; one folder and one object store keep it."""

from pathlib import Path
from threading import Barrier, Thread

import pytest

from polyspace.errors import ConfigError, LeaseError
from polyspace.store import storage
from polyspace.store.storage import Storage
from tests.support.s3 import make_bucket, s3_server

ODD = "My Features/ä#%1/x.zarr"


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture(params=["folder", "prefix", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        return storage.at(tmp_path / ODD)
    bucket = make_bucket(request.getfixturevalue("server"))
    return storage.at(bucket if request.param == "bucket" else bucket / ODD)


def refuse():
    raise LeaseError("fenced off")


def admit():
    pass


def test_every_place_is_a_storage_whose_address_leads_back(place):
    assert isinstance(place, Storage)
    place.publish("a/b", [b"here"])
    assert storage.at(place.path).read("a/b") == b"here"


def test_what_is_published_is_listed_and_read(place):
    place.publish("tokens/x/c.0", [b"abc", memoryview(b"def")])
    assert place.list() == {"tokens/x/c.0": 6}
    assert place.read("tokens/x/c.0") == b"abcdef"
    assert place.read("tokens/x/c.0", start=4) == b"ef"
    assert place.read("tokens/x/c.0", start=6) == b""


def test_a_list_is_of_whole_folders(place):
    for key in ("a/x", "a/b/y", "ab/z", "top"):
        place.publish(key, [b"."])
    assert set(place.list("a/")) == set(place.list("a")) == {"a/x", "a/b/y"}
    assert place.list("nothing/") == {}
    assert place.names() == ["a", "ab", "top"]


def test_an_empty_place_holds_nothing(place):
    assert place.list() == {}
    assert place.names() == []


def test_several_files_are_read_together(place):
    contents = {f"f/{number}": bytes([number]) * number for number in range(40)}
    for key, content in contents.items():
        place.publish(key, [content])
    assert place.read_many(dict.fromkeys(contents, 0)) == contents
    assert place.read_many({"f/3": 1, "f/5": 4}) == {"f/3": b"\3\3", "f/5": b"\5"}
    assert place.read_many({}) == {}


def test_a_file_that_is_not_there_is_not_found(place):
    place.publish("a/b", [b"."])
    for read in (lambda: place.read("a/c"), lambda: place.read_many({"a/b": 0, "a/c": 0})):
        with pytest.raises(FileNotFoundError):
            read()


def test_publishing_again_replaces(place):
    place.publish("a", [b"first"])
    place.publish("a", [b"2nd"])
    assert (place.read("a"), place.list()) == (b"2nd", {"a": 3})


def test_a_file_that_may_not_appear_leaves_nothing(place):
    with pytest.raises(LeaseError):
        place.publish("a/b", [b"new"], refuse)
    assert place.list() == {}
    place.publish("a/b", [b"old"])
    for write in (place.publish, place.replace):
        with pytest.raises(LeaseError):
            write("a/b", [b"new"], refuse)
    assert (place.list(), place.read("a/b")) == ({"a/b": 3}, b"old")


def test_only_what_is_there_can_be_replaced(place):
    place.publish("a", [b"old"])
    place.replace("a", [b"new"], admit)
    assert place.read("a") == b"new"
    place.delete("a")
    with pytest.raises(LeaseError):
        place.replace("a", [b"newer"], admit)
    assert place.list() == {}


def test_what_is_deleted_at_the_last_moment_stays_deleted(place):
    place.publish("a", [b"old"])
    with pytest.raises(LeaseError):
        place.replace("a", [b"new"], lambda: place.delete("a"))
    assert place.list() == {}


def test_a_file_is_created_once(place):
    assert place.create("leases/x.1", b"mine")
    assert not place.create("leases/x.1", b"yours")
    assert place.read("leases/x.1") == b"mine"


def test_of_eight_who_create_a_file_at_once_one_does(place):
    barrier, won = Barrier(8), []

    def create(name):
        barrier.wait()
        if place.create("leases/x.1", name):
            won.append(name)

    threads = [Thread(target=create, args=[bytes([number])]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [place.read("leases/x.1")]


def test_deleting_twice_is_deleting(place):
    place.publish("a/b", [b"."])
    place.publish("a/c", [b"."])
    place.delete("a/b")
    place.delete("a/b")
    assert place.list() == {"a/c": 1}


def test_a_journal_keeps_its_lines_in_order(place):
    journal, other = place.journal("ledger/me.jsonl"), place.journal("ledger/you.jsonl")
    assert place.list() == {}
    lines = [b"line %d\n" % number for number in range(12)]
    for line in lines:
        journal.append(line)
    other.append(b"theirs\n")
    journal.close()
    other.close()
    mine = [key for key in sorted(place.list("ledger/")) if key.startswith("ledger/me")]
    assert all(key.endswith(".jsonl") for key in place.list())
    assert b"".join(map(place.read, mine)) == b"".join(lines)


def test_sweeping_leaves_what_is_whole(place):
    place.publish("a/b", [b"whole"])
    place.sweep(["a/b", "a/gone", "nowhere/c"])
    assert place.list() == {"a/b": 5}


@pytest.mark.parametrize("address", ["gs://bucket/x", "az://box/x", "https://host/x", "file:///x"])
def test_another_kind_of_address_is_refused(address):
    with pytest.raises(ConfigError, match=f"begins with {address.partition('/')[0]}//: stores lie"):
        storage.at(Path(address))
