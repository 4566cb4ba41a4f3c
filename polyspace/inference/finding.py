"""Which bundle is meant: one that was named, or one of those in a run's folder."""

import os
import re
from pathlib import Path
from typing import get_args

from polyspace.errors import CheckpointError, ConfigError
from polyspace.export.contents import CONFIG, SUMS
from polyspace.export.formats.kinds import FormatName

PREFERRED: tuple[FormatName, ...] = ("fp16", *get_args(FormatName))
"""Which format is taken of several, the first that is there: fp16 is what runs export."""

WITHIN = ("", "bundles", "artifacts")
"""Where a folder may hold bundles: itself, a run of flows.distill, a model that MLflow kept."""

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
MLFLOW = ("models", "runs", "mlflow-artifacts")


def find(path_or_run: str | os.PathLike[str]) -> Path:
    """Find a bundle on this machine; nothing is read of it yet.

    Args:
        path_or_run: A bundle's folder, or one that holds bundles, such as runs/demo.

    Raises:
        ConfigError: It is an address rather than a folder.
        CheckpointError: There is no bundle.
    """
    name = os.fspath(path_or_run)
    _refuse_address(name)
    path = Path(name)
    if path.is_file():
        raise CheckpointError(f"{path} is a file: {_meant(path)}")
    if _is_bundle(path):
        return path
    places = (path / within / kind for within in WITHIN for kind in PREFERRED)
    for place in places:
        if _is_bundle(place):
            return place
    found = "holds no bundle" if path.is_dir() else "is not there"
    raise CheckpointError(
        f"{path} {found}: give a folder that polyspace.export.bundle wrote (it has a {SUMS}), "
        f"or the folder of a run with such folders in {WITHIN[1]}/"
    )


def _is_bundle(path: Path) -> bool:
    """Say whether a folder wants to be a bundle; whether it is one, `contents.verify` says."""
    return any((path / name).is_file() for name in (SUMS, CONFIG))


def _refuse_address(name: str) -> None:
    found = ADDRESS.match(name)
    if not found:
        return
    if found[1] in MLFLOW:
        raise ConfigError(
            f"{name} is an address of MLflow, and folders are read here: fetch it with "
            f"`mlflow artifacts download --artifact-uri {name} --dst-path FOLDER`, and give FOLDER"
        )
    raise ConfigError(f"{name} is an address: copy the bundle to this machine, and give its folder")


def _meant(path: Path) -> str:
    """Say what to give in place of a file."""
    if _is_bundle(path.parent):
        return f"give the bundle's folder, {path.parent}"
    if path.suffix in (".pt", ".pth"):
        return (
            "weights alone are read by polyspace.load_model_auto(path, model=…), "
            "bundles from their folder"
        )
    return "give the folder of a bundle"
