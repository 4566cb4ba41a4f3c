import subprocess
import sys
import threading
import time

import pytest

from polyspace.errors import LeaseError
from polyspace.store import storage
from polyspace.store.lease import Leases
from polyspace.store.seal import seal, unseal


@pytest.fixture
def place(tmp_path):
    return storage.at(tmp_path / "x.zarr")


@pytest.fixture
def make(place):
    made = []

    def make(term_seconds=60.0):
        made.append(Leases(place, term_seconds=term_seconds))
        return made[-1]

    yield make
    for leases in made:
        leases.close()


def test_a_second_owner_is_refused_while_the_first_one_lives(make):
    first, second = make(), make()
    assert first.acquire("item-00001")
    assert second.acquire("item-00001") is None
    assert first.acquire("item-00001") is None
    assert not second.is_free("item-00001")
    assert second.acquire("item-00002")


def test_of_many_who_ask_at_once_one_gets_it(make):
    got = []
    rivals = [make() for _ in range(8)]
    ask = [threading.Thread(target=lambda own=own: got.append(own.acquire("x"))) for own in rivals]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert sum(lease is not None for lease in got) == 1


def test_what_is_given_back_can_be_taken(make):
    first, second = make(), make()
    first.release(first.acquire("x"))
    assert second.acquire("x")


def test_closing_gives_everything_back(make, place):
    first = make()
    assert first.acquire("x")
    assert first.acquire("y")
    first.close()
    assert place.list("leases/") == {}


def test_the_number_is_above_all_that_were_used_up(make):
    assert make().acquire("x", above=7).fence == 8


def test_a_dead_process_lease_is_taken_over_at_once(make, place):
    hold = (
        "import os, sys; from pathlib import Path; from polyspace.store import lease, storage; "
        "assert lease.Leases(storage.at(Path(sys.argv[1]))).acquire('x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", hold, str(place.path)], check=False)
    assert set(place.list("leases/")) == {"leases/x.1"}
    assert make().acquire("x").fence == 2
    assert set(place.list("leases/")) == {"leases/x.2"}


def test_a_silent_one_of_another_machine_is_stale_after_its_term_and_not_before(make, place):
    first, second = make(), make()
    lost = first.acquire("x")
    key = "leases/x.1"
    content = unseal(place.read(key).removesuffix(b"\n")).decode()
    start = content.index('"machine":"') + len('"machine":"')
    content = content[:start] + "elsewhere/" + content[start:]
    place.publish(key, [seal(content.replace('"term_seconds":60.0', '"term_seconds":0.3'))])
    began = time.monotonic()
    assert second.acquire("x") is None
    while (taken := second.acquire("x")) is None:
        time.sleep(0.01)
    assert time.monotonic() - began > 0.3
    assert taken.fence == 2
    with pytest.raises(LeaseError, match="was taken over"):
        first.assert_held(lost)
    # Releasing what was lost leaves it to its new owner.
    first.release(lost)
    second.assert_held(taken)


def test_one_that_is_renewed_is_never_stale(make):
    first, second = make(term_seconds=0.4), make(term_seconds=0.4)
    assert first.acquire("x")
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert second.acquire("x") is None
        time.sleep(0.02)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\n"])
def test_a_file_that_cannot_be_understood_counts_as_somebodys_for_a_term(make, place, content):
    assert place.create("leases/x.1", content)
    waiting = make(term_seconds=0.3)
    assert waiting.acquire("x") is None
    time.sleep(0.4)
    assert waiting.acquire("x").fence == 2


def test_who_waits_for_a_lease_gets_it(make):
    first, second = make(), make()
    lease = first.acquire("x")
    threading.Timer(0.2, first.release, [lease]).start()
    with second.hold("x") as held:
        second.assert_held(held)
    assert first.acquire("x")
