"""Fresh processes, from the side of the one that starts them."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxtyping import Float32
from safetensors.torch import load_file
from torch import Tensor

from polyspace.errors import ExportError
from polyspace.export.proof.confine import OFFLINE
from polyspace.export.proof.jobs import JOB, LOGITS, RESULT, Job, Result

MODULE = "polyspace.export.proof.child"


def answer(job: Job) -> tuple[Result, Float32[Tensor, "look label"]]:
    """Let a fresh process load a bundle and answer for every look.

    Raises:
        ExportError: It can't; the message gives its last words.
    """
    with _done(job) as folder:
        return _result(folder), load_file(folder / LOGITS)["logits"]


def time(job: Job) -> Result:
    """Let a fresh process load a bundle and time another one beside it.

    Raises:
        ExportError: It can't; the message gives its last words.
    """
    with _done(job) as folder:
        return _result(folder)


@contextmanager
def _done(job: Job) -> Generator[Path]:
    with TemporaryDirectory(prefix="polyspace-proof-") as name:
        folder = Path(name)
        (folder / JOB).write_text(job.model_dump_json())
        command = [sys.executable, "-m", MODULE, name]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **OFFLINE}
        )
        if ended.returncode:
            raise ExportError(f"a fresh process can't use the bundle: {_last_words(ended)}")
        yield folder


def _result(folder: Path) -> Result:
    return Result.model_validate_json((folder / RESULT).read_text())


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        return f"it was ended by signal {-ended.returncode}; there may be too little memory"
    said = ended.stderr.strip().splitlines()
    return said[-1] if said else f"it ended with {ended.returncode}"
