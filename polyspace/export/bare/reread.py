"""Reading exported tensors back in a fresh process, and comparing them bit by bit.

``python -m polyspace.export.bare.reread FILE …`` is that process: it prints the sha256 of every
tensor and knows nothing else. Reading runs no code that lies in a file.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from polyspace.errors import ExportError


def digests(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Give the sha256 of every tensor: of its type, its shape and its bits."""
    return {name: _digest(values) for name, values in state.items()}


def verify(state: Mapping[str, Tensor], files: Sequence[Path]) -> int:
    """Have a fresh process read files, and compare every tensor in them; give their number.

    Raises:
        ExportError: A file can't be read, or holds another tensor than `state`.
    """
    command = [sys.executable, "-m", __name__, *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()
        raise ExportError(f"a fresh process can't read the export: {said[-1] if said else ''}")
    expected = digests(state)
    for file, found in json.loads(ended.stdout).items():
        wrong = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        if wrong:
            raise ExportError(f"{file} came back with another {wrong[0]}: nothing was published")
    return len(expected)


def _digest(values: Tensor) -> str:
    bits = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    said = hashlib.sha256(f"{values.dtype} {tuple(values.shape)} ".encode())
    said.update(bits.numpy().tobytes())
    return said.hexdigest()


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps({path: digests(_read(Path(path))) for path in sys.argv[1:]}))
