"""Power that fails: what was acknowledged lies on the disk, as its own system calls prove.

strace records what a writer asks of the system. At every acknowledgement, the disk as a power
failure may leave it is made from that record: only names whose folder was synced, only bytes whose
file was. The acknowledged clips must all be there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.torture.nursery import ROOT
from tests.torture.outcome import Outcome, Scale
from tests.torture.specimen import CLIPS_PER_ITEM, Specimen, clips, differences, lost
from tests.torture.worker import Job

PROMISE = "power failure: every acknowledged clip is on the disk, with its folder and its line"
CALLS = (
    "openat,mkdir,rename,renameat,renameat2,unlink,write,writev,pwrite64,truncate,ftruncate,"
    "fsync,fdatasync"
)
RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
CALL = re.compile(r"\d+ +(\w+)\((.*)\) += \d+")
HANDLE = re.compile(r"\d+<(.*?)>")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
SAID = re.compile(rb"acknowledged (\d+)\n")


@dataclass(frozen=True)
class _Call:
    """A system call that succeeded."""

    name: str
    handle: Path | None
    """The open file that it was about."""
    quoted: tuple[bytes, ...]
    """Names, or what was written."""
    text: str
    """All arguments."""


@dataclass
class _File:
    """A file or a folder, whatever its name is by now."""

    is_folder: bool = False
    content: bytes = b""
    synced: bytes = b""
    """What a power failure leaves."""


@dataclass
class _Disk:
    """What a power failure would leave of a folder."""

    root: Path
    seen: dict[Path, _File] = field(default_factory=dict[Path, _File])
    """Files and folders by name, as running programs see them."""
    kept: dict[Path, _File] = field(default_factory=dict[Path, _File])
    """The same as they are found afterwards."""
    syncs: int = 0

    def follow(self, call: _Call) -> None:
        """Take in one call."""
        names = [Path(os.fsdecode(name)) for name in call.quoted if not call.handle]
        about = call.handle or names[0]
        if not about.is_relative_to(self.root):
            return
        match call.name:
            case "openat" | "mkdir":
                if call.name == "mkdir" or "O_CREAT" in call.text:
                    self.seen[about] = _File(is_folder=call.name == "mkdir")
            case "write":
                self.seen[about].content += call.quoted[0]
            case "fsync" | "fdatasync":
                self._sync(about)
            case "unlink":
                del self.seen[about]
            case "rename" | "renameat" | "renameat2":
                self.seen[names[1]] = self.seen.pop(about)
            case _:
                raise AssertionError(f"{call.name} on {about}: not understood here")

    def _sync(self, path: Path) -> None:
        """Keep a file's bytes, or a folder's names."""
        self.syncs += 1
        if path in self.seen:
            self.seen[path].synced = self.seen[path].content
        inside = {name: file for name, file in self.seen.items() if name.parent == path}
        others = {name: file for name, file in self.kept.items() if name.parent != path}
        self.kept = others | inside

    def found(self) -> Iterator[tuple[Path, _File]]:
        """Give the files that are found afterwards, by name."""
        for name, file in self.kept.items():
            above = [place for place in name.parents if self.root in place.parents]
            if not file.is_folder and all(place in self.kept for place in above):
                yield name, file


def run(scale: Scale, folder: Path) -> Outcome:
    """Record one writer, and cut the power at each of its acknowledgements."""
    started, path = time.monotonic(), folder / "recorded.zarr"
    if why_not := _missing():
        return Outcome(PROMISE, 0, (), 0.0, "", why_not)
    specimen = Specimen(clips=scale.items * CLIPS_PER_ITEM)
    whole = specimen.write(folder / "whole.zarr")
    disk, done, failures = _Disk(folder), set[int](), list[str]()
    for call in _record(path, specimen.clips, folder / "calls.txt"):
        if call.name == "write" and (said := SAID.fullmatch(call.quoted[0])):
            done.add(int(said[1]))
            cut = folder / f"cut{len(done)}" / path.name
            failures += _restore(disk, path, cut)
            failures += _judge(cut, whole, done, specimen)
        else:
            disk.follow(call)
    assert len(done) == scale.items, f"{len(done)} acknowledgements in the record"
    details = (
        f"power cut at each of {len(done)} acknowledgements, {disk.syncs} syncs in all; looked for "
        f"every acknowledged clip and for files cut short, then finished the store and compared it"
    )
    attempts = specimen.clips * len(specimen.backbones)
    return Outcome(PROMISE, attempts, tuple(failures), time.monotonic() - started, details)


def _missing() -> str:
    """Say why nothing can be recorded here; nothing if it can."""
    strace = shutil.which("strace")
    if not strace:
        return "no strace"
    tried = subprocess.run([strace, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip().splitlines()[-1] if tried.returncode else ""


def _record(path: Path, count: int, record: Path) -> Iterator[_Call]:
    """Let a writer write a store, and give its system calls in the order in which they ended."""
    options = ["-f", "--seccomp-bpf", "-y", "-x", "-s", "1000000", "-e", f"trace={CALLS}"]
    job = json.dumps(asdict(Job(str(path), count)))
    subprocess.run(
        ["strace", *options, "-o", record, sys.executable, "-m", "tests.torture.worker", job],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    begun: dict[str, str] = {}
    for line in record.read_text().splitlines():
        if line.endswith("<unfinished ...>"):
            begun[line.split()[0]] = line.removesuffix("<unfinished ...>").rstrip()
        elif resumed := RESUMED.match(line):
            yield from _call(begun.pop(resumed[1]) + resumed[2])
        else:
            yield from _call(line)


def _call(line: str) -> Iterator[_Call]:
    """Understand a line of strace; calls that failed and signals are none."""
    if found := CALL.match(line):
        name, text = found.groups()
        handle = HANDLE.match(text)
        quoted = (part.encode().decode("unicode_escape") for part in QUOTED.findall(text))
        yield _Call(
            name,
            Path(handle[1]) if handle else None,
            tuple(part.encode("latin-1") for part in quoted),
            text,
        )


def _restore(disk: _Disk, path: Path, cut: Path) -> Iterator[str]:
    """Make the store that is found after a power failure; name the files that are cut short."""
    for name, file in disk.found():
        copy = cut / name.relative_to(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.synced)
        # A lease that is cut short is taken over.
        if file.synced != file.content and name.parent.name != "leases":
            yield f"{name.relative_to(path)} is cut short"


def _judge(cut: Path, whole: Path, done: set[int], specimen: Specimen) -> Iterator[str]:
    """Find what the power failure has cost, and whether the store can be finished."""
    try:
        yield from _damage(cut, whole, done)
        yield from differences(specimen.write(cut), whole)
    # Stock zarr has words of its own for what it can't read.
    except Exception as error:
        yield f"{cut.parent.name}: {type(error).__name__}: {error}"


def _damage(cut: Path, whole: Path, done: set[int]) -> Iterator[str]:
    """Find acknowledged clips that are not there or not what they were."""
    yield from lost(cut, done)
    found, expected = clips(cut), clips(whole)
    for name in expected:
        for row, digest in enumerate(expected[name]):
            if row // CLIPS_PER_ITEM in done and found[name][row] != digest:
                yield f"{cut.parent.name}: clip {row} of {name} differs"
