"""Exports that are killed: ``python -m tests.support.killed_export FOLDER`` kills one everywhere.

FOLDER holds features, converters.pt and fusion.pt. A first export is published; then each
following one is killed by SIGKILL ahead of one more change to a file or folder than the one before,
until one ends by itself. After each, the next line of output is JSON: what was found.

One process imports what exports need, and forks them; it never computes itself.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from polyspace.errors import CheckpointError
from polyspace.export import bundle, contents
from polyspace.export.formats import kinds
from tests.support.exported import Exportable
from tests.support.stages import finish

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
"""Audit events of what changes a folder; besides, files that are opened for writing."""


@dataclass(frozen=True)
class Numbered:
    """A proof that says only which export it is of."""

    number: int

    def record(self) -> dict[str, int]:
        """Give its only field."""
        return {"number": self.number}


def export(source: Exportable, out: Path, number: int, kill_at: int) -> None:
    """Export in this process; be killed ahead of the given change."""
    bundle.prove = lambda *_: Numbered(number)
    # Pages and cards need a proof in full; what they write is files like others.
    bundle.page.write = lambda folder: (folder / "proof.html").write_text(f"{number}")
    bundle.card.write = lambda folder, *_: (folder / "README.md").write_text(f"{number}")
    if kill_at:
        sys.addaudithook(_killer(out, kill_at))
    finish(bundle.run(source.config(out), "fp16"))


def _killer(out: Path, kill_at: int) -> Callable[[str, tuple[object, ...]], None]:
    changes = count(1)

    def look(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and arguments[1][0] in "wxa"
        if (
            (writes or event in CHANGES)
            and str(out) in f"{arguments[0]}"
            and next(changes) == kill_at
        ):
            os.kill(os.getpid(), signal.SIGKILL)

    return look


def in_a_fork(work: Callable[[], None]) -> int:
    """Run something in a process of its own; give its exit status."""
    process = os.fork()
    if not process:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def found(out: Path) -> dict[str, object]:
    """Say which bundle is there, once what was left half-way is put right, and what else is."""
    direct = (out / "fp16").exists()
    try:
        contents.verify(out / "fp16")
        number = json.loads((out / "fp16" / "proof.json").read_text())["number"]
    except CheckpointError as error:
        number = str(error)
    return {"number": number, "direct": direct, "left": sorted(path.name for path in out.iterdir())}


def main(folder: Path) -> None:
    """Kill exports at every change, one after the other."""
    source = Exportable(folder / "features", folder / "converters.pt", folder / "fusion.pt")
    out = folder / "out"
    kinds.of("fp16")
    for kill_at in count():
        status = in_a_fork(lambda at=kill_at: export(source, out, at, at))
        said = {"kill_at": kill_at, "status": status, **found(out)}
        sys.stdout.write(f"{json.dumps(said)}\n")
        if kill_at and status != -signal.SIGKILL:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
