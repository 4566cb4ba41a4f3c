"""A folder that `save_pretrained` wrote: its settings and its weights, read strictly, in silence.

Importing this imports transformers, which takes seconds.
"""

import json
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from polyspace.errors import WeightsError
from polyspace.models.backbones.state import refuse_misfits, unreadable
from polyspace.models.backbones.weights import Located, weight_file


@dataclass(frozen=True)
class Misfits:
    """Names of weights by which a file and a network differ."""

    missing: Collection[str]
    unexpected: Collection[str]
    misshapen: Collection[str]

    def beside(self, spare: tuple[str, ...]) -> "Misfits":
        """Give those whose names don't begin with one of these prefixes."""
        kept = ((k for k in keys if not k.startswith(spare)) for keys in vars(self).values())
        return Misfits(*map(tuple, kept))

    def refuse(self, source: str) -> None:
        """Refuse any.

        Raises:
            WeightsError: There is one.
        """
        refuse_misfits(source=source, **vars(self))


def read_settings(name: str, located: Located) -> dict[str, Any]:
    """Read config.json, less the library that wrote it; refuse another architecture.

    Args:
        name: transformers' ``model_type``, which is the backbone's name, too.
        located: The folder.

    Raises:
        WeightsError: There is no such file, or it is of another architecture.
    """
    file = located.folder / "config.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"{located.source} has no config.json: give a folder that save_pretrained wrote"
        ) from error
    except ValueError as error:
        raise unreadable(str(file), error) from error
    found = settings.get("model_type") if isinstance(settings, dict) else None
    if found != name:
        raise WeightsError(
            f"{located.source} holds a {found!r} model, not {name!r}: "
            f"give --weights {name}=FOLDER of the right one"
        )
    settings.pop("transformers_version", None)
    return settings


def read_network(
    kind: type[PreTrainedModel], located: Located, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, Misfits]:
    """Load a network as float32, and say by which weights the file differs from it.

    Args:
        kind: transformers' class.
        located: The folder; nothing is fetched.
        options: Further arguments of the constructor.

    Raises:
        WeightsError: There are no weights, or they can't be read.
    """
    file = weight_file(located.folder)
    if file is None:
        raise WeightsError(
            f"{located.source} holds neither model.safetensors nor pytorch_model.bin: "
            f"give a folder that save_pretrained wrote"
        )
    try:
        with quiet():
            loaded = kind.from_pretrained(
                located.folder,
                **options,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors="safetensors" in file.name,
                weights_only=True,
                output_loading_info=True,
                # Not to load them: so that they are listed in the report with the others.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # safetensors, pickle, zip and json each fail in their own way
        raise unreadable(located.source, error) from error
    network, report = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    misshapen = tuple(key for key, *_ in report["mismatched_keys"])
    return network, Misfits(report["missing_keys"], report["unexpected_keys"], misshapen)


@contextmanager
def quiet() -> Generator[None]:
    """Keep the library's progress bars and load reports off the terminal; ours say it shorter."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
