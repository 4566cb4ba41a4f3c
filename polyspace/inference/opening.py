"""What was exported made ready to answer: ``polyspace.load`` and ``load_model_auto``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from torch import nn

from polyspace.errors import ConfigError, UnknownNameError
from polyspace.export import contents
from polyspace.export.formats import weights as weight_formats
from polyspace.export.formats.kinds import Runner
from polyspace.export.loading import open_bundle, open_verified
from polyspace.inference import finding, weights_file
from polyspace.inference.predictor import Predictor
from polyspace.inference.student import Student
from polyspace.precision import DeviceName, PrecisionName, device_named


def load(
    path_or_run: str | os.PathLike[str],
    *,
    device: DeviceName = "auto",
    compute: PrecisionName | None = None,
    weights: Mapping[str, str] | None = None,
    allow_compiled: bool = False,
) -> Predictor:
    """Load a bundle, of whatever format and type it is, and make it ready to answer.

    Every byte is checked against the bundle's own list first. Nothing in it is executed, unless
    that is allowed, and nothing is fetched.

    Args:
        path_or_run: A bundle's folder, or one that holds bundles, such as runs/demo: of several,
            fp16 is taken, else the first in the order of `FormatName`; `.folder` says which.
        device: Where it runs; auto: the GPU where there is one.
        compute: Type of its matrix products; None: what the device does best, for the reason in
            `.precision`.
        weights: Folder of the student's weights by its name, where they lie elsewhere than the
            bundle says; needed only for frames and videos.
        allow_compiled: Whether it may hold machine code (aotinductor), which loading it runs.

    Raises:
        CheckpointError: There is no bundle, or it isn't as it was written.
        ConfigError: An address was given, weights of another backbone, or an unknown name.
        ExportError: Its format needs a package that isn't installed, or holds machine code.
        PrecisionError: There is no such device, or it can't compute in that type.
    """
    _refuse_unknown("device", str(device), get_args(DeviceName))
    if compute is not None:
        _refuse_unknown("compute type", str(compute), get_args(PrecisionName))
    where = device_named(device)
    opened = open_bundle(finding.find(path_or_run), where, compute, allow_compiled=allow_compiled)
    record = opened.config["student"]
    student = Student(record, entry=opened.entry, weights=weights or {}, device=where)
    return Predictor(opened, student)


def load_model_auto(
    path: str | Path, model: nn.Module | None = None
) -> tuple[nn.Module | Runner, Mapping[str, Any] | None]:
    """Load whatever an export left, and say how it was quantised.

    Of a bundle, or a folder that holds some, comes the network in float32, which may be called and
    looked into without more ado, or, of a graph, what runs it; `polyspace.load` computes in the
    type that the device does best. Of a file of weights, as export_best writes it, `model` comes
    back with them: in float32 on a CPU, whatever they are stored in, and in float16 on a GPU where
    they are stored so, batch normalisation excepted.

    Args:
        path: A bundle, a folder of bundles, or a .pt file.
        model: The architecture that a .pt file belongs to, on the device where it shall stay.

    Returns:
        The model, in evaluation mode, and its quantization_info; None: the file has none.

    Raises:
        ConfigError: A .pt file without `model`, or a bundle with one.
        CheckpointError: It is missing, damaged, holds more than plain values, or weights that are
            not exactly the model's.
    """
    if Path(path).is_file():
        return weights_file.load(Path(path), model)
    if model is not None:
        raise ConfigError(f"{path} is a bundle, and has its architecture inside: leave out model=…")
    folder = finding.find(path)
    contents.verify(folder)
    own = contents.read_config(folder)["kind"] not in weight_formats.TYPES
    opened = open_verified(folder, device_named("auto"), None if own else "fp32")
    return opened.loaded.module or opened.loaded.run, opened.config["quantization_info"]


def _refuse_unknown(kind: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that no type checker has looked at.

    Raises:
        UnknownNameError: It isn't among the known ones.
    """
    if name not in known:
        raise UnknownNameError(kind, name, known)
