"""Leases: of several writers, on whatever machines, each work item has one at a time.

A lease is a file ``leases/<name>.<fence>`` that only one can create. Its owner renews it; one that
nobody renews is taken over by creating the next number. Whoever writes asks its lease first, and
finds that it is lost as soon as there is a higher number: that writer is fenced off.

No clocks are compared: a lease is stale when the one who waits has seen no change for its whole
term, or when its owner was a process of this machine that is gone.
"""

import os
import platform
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from polyspace.config import Config
from polyspace.errors import LeaseError
from polyspace.store.seal import seal, unseal
from polyspace.store.storage import Storage

FOLDER = "leases/"

TERM_SECONDS = 60.0
"""How long a lease stands without being renewed."""

RENEWALS = 4
"""How often it is renewed in that time."""


class Holder(Config):
    """What a lease file says."""

    owner: str
    """Of one opened writer; random."""
    machine: str
    """Host name, boot and process namespace: where the process number means something."""
    process: int
    started: str
    """When the process began, as its machine counts; empty where that can't be told."""
    term_seconds: float
    """How long the lease stands without being renewed."""
    beat: int = 0
    """Grows with every renewal."""

    def is_gone(self) -> bool:
        """Tell whether it is known to be dead: a process of this machine that doesn't run now."""
        if self.machine != _machine() or not self.started:
            return False
        return _started(self.process) != self.started

    def __str__(self) -> str:
        """Say who it is."""
        return f"process {self.process} on {self.machine.split('/')[0]}"


@dataclass(frozen=True)
class Lease:
    """The right to write one thing."""

    name: str
    fence: int
    """Higher than that of every lease on the same thing before."""


@dataclass(frozen=True)
class _Seen:
    """What a waiting writer saw last of somebody's lease, and when it first saw it so."""

    fence: int
    content: bytes
    since: float


class Leases:
    """One writer's leases; a thread renews them while they are held."""

    def __init__(self, storage: Storage, *, term_seconds: float = TERM_SECONDS) -> None:
        self._storage, self._term = storage, term_seconds
        self._holder = Holder(
            owner=uuid4().hex,
            machine=_machine(),
            process=os.getpid(),
            started=_started(os.getpid()),
            term_seconds=term_seconds,
        )
        self._held: dict[str, Lease] = {}
        self._seen: dict[str, _Seen] = {}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def acquire(self, name: str, *, above: int = 0) -> Lease | None:
        """Take a lease; None if somebody holds it.

        Args:
            name: Of what.
            above: Highest number that is known to be used up, by the ledger.
        """
        # Asked once: who is stale now may have a successor, who lives, a moment later.
        fences = self._fences().get(name, [])
        if fences and not self._is_stale(name, max(fences)):
            return None
        lease = Lease(name, max(above, *fences, 0) + 1)
        if not self._storage.create(_key(lease), self._content()):
            return None
        # A listing is no snapshot: a successor may have come while a predecessor went.
        if set(self._fences().get(name, [])) - {lease.fence, *fences}:
            self._storage.delete(_key(lease))
            return None
        with self._lock:
            self._held[name] = lease
        self._clear([Lease(name, fence) for fence in fences])
        self._keep_renewing()
        return lease

    def is_free(self, name: str) -> bool:
        """Tell whether nobody holds a lease who is known, or may still be thought, to live."""
        fences = self._fences().get(name, [])
        return not fences or self._is_stale(name, max(fences))

    def assert_held(self, lease: Lease) -> None:
        """Make sure that a lease is still ours, at the moment of asking.

        Raises:
            LeaseError: Somebody has taken it over.
        """
        fences = self._fences().get(lease.name, [])
        if fences and max(fences) == lease.fence and self._is_ours(lease):
            return
        raise LeaseError(
            f"the lease on {lease.name} of {self._storage.path} was taken over, because it was "
            f"not renewed for {self._term:g} seconds: nothing of it was written; run again"
        )

    def release(self, lease: Lease) -> None:
        """Give a lease back. One that was lost is left to its new owner."""
        with self._lock:
            self._held.pop(lease.name, None)
        if self._is_ours(lease):
            self._storage.delete(_key(lease))

    @contextmanager
    def hold(self, name: str, *, above: int = 0) -> Generator[Lease]:
        """Wait for a lease, and give it back afterwards."""
        while (lease := self.acquire(name, above=above)) is None:
            time.sleep(self.pause_seconds)
        try:
            yield lease
        finally:
            self.release(lease)

    @property
    def pause_seconds(self) -> float:
        """How long to wait before asking again."""
        return min(0.2, self._term / RENEWALS)

    def holder(self, name: str) -> Holder | None:
        """Say who holds a lease; None if nobody does, or its file can't be understood."""
        fences = self._fences().get(name, [])
        return _read(self._storage, Lease(name, max(fences))) if fences else None

    def close(self) -> None:
        """Give everything back."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        for lease in list(self._held.values()):
            self.release(lease)

    def _fences(self) -> dict[str, list[int]]:
        return fences(self._storage.list(FOLDER))

    def _is_ours(self, lease: Lease) -> bool:
        holder = _read(self._storage, lease)
        return holder is not None and holder.owner == self._holder.owner

    def _is_stale(self, name: str, fence: int) -> bool:
        """Tell whether a lease has not changed for its term while we looked, or its owner died."""
        try:
            content = self._storage.read(_key(Lease(name, fence)))
        except FileNotFoundError:
            return False
        holder = _parse(content)
        if holder is not None and holder.is_gone():
            return True
        seen = self._seen.get(name)
        if seen is None or (seen.fence, seen.content) != (fence, content):
            self._seen[name] = _Seen(fence, content, time.monotonic())
            return False
        term = holder.term_seconds if holder else self._term
        return time.monotonic() - seen.since > term

    def _clear(self, stale: Sequence[Lease]) -> None:
        """Delete leases that were taken over; their owners may be about to renew them."""
        self._storage.sweep([_key(lease) for lease in stale])
        for lease in stale:
            self._storage.delete(_key(lease))

    def _content(self) -> bytes:
        return seal(self._holder.model_dump_json())

    def _keep_renewing(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, daemon=True, name="leases")
            self._thread.start()

    def _renew(self) -> None:
        """Renew what is held until the writer closes."""
        while not self._closing.wait(self._term / RENEWALS):
            self._holder = self._holder.model_copy(update={"beat": self._holder.beat + 1})
            with self._lock:
                for lease in self._held.values():
                    self._renew_one(lease)

    def _renew_one(self, lease: Lease) -> None:
        """Renew a lease; where the disk refuses, the next beat may, and else the lease is lost."""
        with suppress(OSError):
            admit = partial(self.assert_held, lease)
            admit()
            self._storage.replace(_key(lease), [self._content()], admit)


def lease_name(item: int) -> str:
    """Name the lease on a work item."""
    return f"item-{item:05d}"


def fences(sizes: Mapping[str, int]) -> dict[str, list[int]]:
    """Give the numbers of all leases, by name, from the keys of their files."""
    found: dict[str, list[int]] = {}
    for key in sizes:
        name, _, number = key.removeprefix(FOLDER).rpartition(".")
        if key.startswith(FOLDER) and number.isdecimal():
            found.setdefault(name, []).append(int(number))
    return found


def _read(storage: Storage, lease: Lease) -> Holder | None:
    try:
        return _parse(storage.read(_key(lease)))
    except FileNotFoundError:
        return None


def _parse(content: bytes) -> Holder | None:
    """Understand a lease file; None if it is damaged, or was made just now and is still empty."""
    try:
        return Holder.model_validate_json(unseal(content.removesuffix(b"\n")))
    except (ValueError, ValidationError):
        return None


def _key(lease: Lease) -> str:
    return f"{FOLDER}{lease.name}.{lease.fence}"


def _machine() -> str:
    """Tell machines, their boots and their containers apart."""
    places = (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid"))
    boot = places[0].read_text().strip() if places[0].exists() else ""
    space = str(places[1].stat().st_ino) if places[1].exists() else ""
    return f"{platform.node()}/{boot}/{space}"


def _started(process: int) -> str:
    """Give when a process began, in ticks since boot; empty if it doesn't run or can't be told."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    # The name, in parentheses, may hold blanks; the start is field 22 of all.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
