import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest

from polyspace.errors import LeaseError
from polyspace.store import lease
from polyspace.store.lease import Lease, Leases
from polyspace.store.local import LocalFolder
from polyspace.store.seal import seal, unseal

NAME = "item-00003"
PATIENCE_SECONDS = 60


@pytest.fixture
def place(path):
    return LocalFolder(path)


@pytest.fixture
def open_leases(place):
    """Give writers' leases, which are given back in the end."""
    with ExitStack() as opened:

        def open_one(term_seconds=1000.0):
            leases = Leases(place, term_seconds=term_seconds)
            opened.callback(leases.close)
            return leases

        yield open_one


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on; only waiting writers look at it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        lease, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=time.sleep)
    )
    return clock


def file_of(place, name=NAME):
    """The lease's file."""
    (found,) = (place.path / "leases").glob(f"{name}.*")
    return found


def say(place, **changes):
    """Alter what a lease says of its holder, and seal it again."""
    file = file_of(place)
    holder = json.loads(unseal(file.read_bytes()[:-1])) | changes
    holder.pop("crc32c", None)
    file.write_bytes(seal(json.dumps(holder)))


@contextmanager
def dead_process(place):
    """Let another process take the lease and be killed."""
    hold = (
        "import sys, time; from pathlib import Path; from polyspace.store.lease import Leases; "
        "from polyspace.store.local import LocalFolder; "
        "assert Leases(LocalFolder(Path(sys.argv[1]))).acquire(sys.argv[2]); "
        "print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", hold, str(place.path), NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def wait_for(what):
    patience = time.monotonic() + PATIENCE_SECONDS
    while not (found := what()):
        assert time.monotonic() < patience
        time.sleep(0.005)
    return found


def test_the_first_one_gets_it_and_every_other_one_is_refused(open_leases):
    first, second = open_leases(), open_leases()
    held = first.acquire(NAME)
    assert held == Lease(NAME, 1)
    assert [second.acquire(NAME) for _ in range(3)] == [None] * 3
    assert first.acquire(NAME) is None
    assert not second.is_free(NAME)
    first.assert_held(held)


def test_leases_on_other_things_do_not_matter(open_leases):
    first, second = open_leases(), open_leases()
    assert first.acquire("item-00001")
    assert second.acquire("item-00011")
    assert second.is_free("item-00000")


def test_of_many_who_ask_at_once_one_gets_it(open_leases):
    several = [open_leases() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for number in range(12):
            gate = threading.Barrier(4)

            def ask(leases, name=f"item-{number}", gate=gate):
                gate.wait()
                return leases.acquire(name)

            assert sum(found is not None for found in threads.map(ask, several)) == 1


def test_what_is_given_back_is_free_and_its_number_is_used_up_by_the_ledger(open_leases, place):
    first, second = open_leases(), open_leases()
    first.release(first.acquire(NAME))
    assert place.list("leases/") == {}
    assert second.is_free(NAME)
    assert second.acquire(NAME, above=7) == Lease(NAME, 8)


def test_closing_gives_everything_back(open_leases, place):
    leases = open_leases()
    assert leases.acquire("item-00001")
    assert leases.acquire("item-00002")
    leases.close()
    assert place.list("leases/") == {}


def test_who_holds_for_a_while_gives_it_back_even_after_an_error(open_leases, place):
    def fail():
        with open_leases().hold("state") as held:
            assert set(place.list("leases/")) == {f"leases/state.{held.fence}"}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert place.list("leases/") == {}


def test_who_holds_waits_for_who_has_it(open_leases):
    first, second = open_leases(), open_leases()
    held = first.acquire("state")
    order = []

    def wait():
        with second.hold("state"):
            order.append("second")

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(wait)
        wait_for(lambda: second._seen)
        order.append("first")
        first.release(held)
        waiting.result(PATIENCE_SECONDS)
    assert order == ["first", "second"]


def test_the_lease_of_a_killed_process_is_taken_over_at_once(open_leases, place, clock):
    leases = open_leases()
    with dead_process(place) as child:
        assert leases.acquire(NAME) is None
        assert str(leases.holder(NAME)).startswith(f"process {child.pid} on ")
        child.send_signal(signal.SIGKILL)
        # It need not even be waited for by its parent.
        assert wait_for(lambda: leases.acquire(NAME)) == Lease(NAME, 2)
    assert clock.now == 0
    assert set(place.list("leases/")) == {f"leases/{NAME}.2"}


def test_a_process_of_the_same_number_that_began_later_is_another_one(open_leases, place, clock):
    open_leases().acquire(NAME)
    say(place, started="1")
    assert open_leases().is_free(NAME)
    assert clock.now == 0


def test_a_lease_of_another_machine_is_taken_over_after_its_own_term(open_leases, place, clock):
    open_leases(1000.0).acquire(NAME)
    say(place, machine="elsewhere//", process=1, term_seconds=20.0)
    leases = open_leases(0.5)
    assert leases.acquire(NAME) is None
    clock.now = 19.9
    assert leases.acquire(NAME) is None
    clock.now = 20.1
    assert leases.acquire(NAME) == Lease(NAME, 2)


def test_so_is_one_whose_owner_lives_but_does_not_renew_it(open_leases, clock):
    first, second = open_leases(20.0), open_leases(20.0)
    held = first.acquire(NAME)
    assert not second.is_free(NAME)
    clock.now = 20.1
    assert second.acquire(NAME) == Lease(NAME, 2)
    with pytest.raises(LeaseError, match=f"lease on {NAME} of .* taken over, .* 20 seconds"):
        first.assert_held(held)


def test_a_lease_that_is_renewed_stands_however_long(open_leases, place, clock):
    first, second = open_leases(0.2), open_leases()
    held = first.acquire(NAME)
    for _ in range(3):
        assert second.acquire(NAME) is None
        seen = place.read(f"leases/{NAME}.1")
        wait_for(lambda seen=seen: place.read(f"leases/{NAME}.1") != seen)
        clock.now += 1000
    assert second.acquire(NAME) is None
    first.assert_held(held)


def test_the_time_begins_when_somebody_looks(open_leases, place, clock):
    open_leases().acquire(NAME)
    say(place, machine="elsewhere//", term_seconds=20.0)
    leases = open_leases()
    clock.now = 1000.0
    assert not leases.is_free(NAME)
    clock.now = 1020.1
    assert leases.is_free(NAME)


@pytest.mark.parametrize("damage", ["empty", "flipped", "half"])
def test_a_file_that_says_nothing_counts_as_live_for_a_term(open_leases, place, clock, damage):
    open_leases().acquire(NAME)
    file = file_of(place)
    good = file.read_bytes()
    bad = {"empty": b"", "flipped": good[:20] + b"\x00" + good[21:], "half": good[:50]}
    file.write_bytes(bad[damage])
    leases = open_leases(20.0)
    assert leases.holder(NAME) is None
    assert leases.acquire(NAME) is None
    clock.now = 20.1
    assert leases.acquire(NAME) == Lease(NAME, 2)


def test_every_takeover_has_a_higher_number(open_leases, clock):
    for number in range(1, 6):
        leases = open_leases(20.0)
        assert number == 1 or not leases.is_free(NAME)
        clock.now += 20.1
        assert leases.acquire(NAME) == Lease(NAME, number)


@pytest.fixture
def taken_over(open_leases, clock):
    """A writer that was thought to be dead, its lease, and its successor's."""
    first, second = open_leases(20.0), open_leases(20.0)
    old = first.acquire(NAME)
    assert not second.is_free(NAME)
    clock.now = 20.1
    return first, old, second, second.acquire(NAME)


def test_who_was_fenced_off_can_publish_nothing_under_its_lease(taken_over, place):
    first, old, second, new = taken_over
    with pytest.raises(LeaseError):
        place.publish("c.0", [b"theirs"], lambda: first.assert_held(old))
    place.publish("c.0", [b"ours"], lambda: second.assert_held(new))
    assert place.read("c.0") == b"ours"


def test_who_was_fenced_off_does_not_give_back_its_successors_lease(taken_over, place):
    first, old, second, new = taken_over
    first.release(old)
    first.close()
    assert set(place.list("leases/")) == {f"leases/{NAME}.2"}
    second.assert_held(new)


def test_who_was_fenced_off_does_not_renew_its_lease(taken_over, place):
    first, old, second, new = taken_over
    first._renew_one(old)
    assert set(place.list("leases/")) == {f"leases/{NAME}.2"}
    second.assert_held(new)


def test_who_was_fenced_off_stays_so_when_its_successor_is_done(taken_over):
    first, old, second, new = taken_over
    second.release(new)
    with pytest.raises(LeaseError):
        first.assert_held(old)
    third = second.acquire(NAME)
    with pytest.raises(LeaseError):
        first.assert_held(old)
    second.assert_held(third)


def test_half_a_renewal_is_swept_with_the_lease(open_leases, place, clock):
    open_leases().acquire(NAME)
    say(place, started="1")
    place.publish(f"leases/{NAME}.1.0badcafe.partial", [b"half"])
    assert open_leases().acquire(NAME)
    assert set(place.list("leases/")) == {f"leases/{NAME}.2"}


def test_a_disk_that_refuses_a_renewal_may_take_the_next_one(open_leases, place, monkeypatch):
    def refuse(self, key, *arguments):
        refused.append(key)
        raise PermissionError("not now")

    refused = []
    leases = open_leases(0.1)
    held = leases.acquire(NAME)
    with monkeypatch.context() as patch:
        for method in ("publish", "replace"):
            patch.setattr(LocalFolder, method, refuse)
        wait_for(lambda: refused)
    seen = place.read(f"leases/{NAME}.1")
    wait_for(lambda: place.read(f"leases/{NAME}.1") != seen)
    leases.assert_held(held)


def test_other_files_are_no_leases():
    keys = {"leases/a.1": 1, "leases/a.12": 1, "leases/a.1.0f.partial": 1, "tokens/a.3": 1}
    assert lease.fences(keys) == {"a": [1, 12]}


def test_where_the_system_tells_nothing_of_processes_terms_decide(open_leases, place, clock):
    open_leases().acquire(NAME)
    say(place, started="", term_seconds=20.0)
    leases = open_leases()
    assert not leases.is_free(NAME)
    clock.now = 20.1
    assert leases.is_free(NAME)
