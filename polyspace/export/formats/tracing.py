"""From a module to torch's graph of it, for every format that holds one."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import FormatName, Subject

CLIP = "clip"
"""Name of the axis whose length is free."""

NOISY = (
    "torch.onnx",
    "torch.onnx._internal.exporter._registration",
    "torch.export",
    "torch.utils._pytree",
    "torchao",
)
"""Loggers of exporters that tell users of what they can't change: that torchvision is
missing, say. Their errors still show."""


def trace(subject: Subject, module: nn.Module, name: FormatName) -> ExportedProgram:
    """Trace a module over two clips, with their number left open.

    Args:
        subject: Where the clips come from.
        module: What to trace, in evaluation mode.
        name: The format that asks.

    Raises:
        ExportError: A weight is not finite, or the module can't be traced; the message names the
            student and the reason.
    """
    refuse_not_finite(subject.model)
    refuse_not_finite(module)
    with torch.no_grad(), quietly():
        try:
            free = {0: Dim(CLIP, min=1)}
            return torch.export.export(module, (pair(subject.inputs),), dynamic_shapes=(free,))
        except Exception as error:  # whatever a network does that a graph can't is another type
            raise ExportError(_refusal(subject, name, error)) from error


def pair(inputs: Tensor) -> Tensor:
    """Take two clips, or one twice: a graph traced over one would hold for one alone."""
    return inputs[torch.arange(2) % inputs.shape[0]].contiguous()


def refuse_not_finite(module: nn.Module) -> None:
    """Refuse weights that are no numbers.

    Raises:
        ExportError: There is one; the message names the first tensor.
    """
    for name, values in module.state_dict().items():
        wrong = int((~torch.isfinite(values)).sum()) if values.is_floating_point() else 0
        if wrong:
            raise ExportError(
                f"{name} has {wrong} values that are not finite: such a model answers nothing; "
                f"train again, or choose an earlier checkpoint"
            )


@contextmanager
def quietly() -> Generator[None]:
    """Keep what exporters say of themselves off the terminal, warnings of the future among it."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _refusal(subject: Subject, name: FormatName, error: Exception) -> str:
    student = subject.student.get("name", "the student")
    what = student if subject.entry == "pictures" else f"what is distilled from {student}"
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    other = "--entry tokens" if subject.entry == "pictures" else "fp16"
    return (
        f"{name}: {what} can't be traced as a graph ({type(error).__name__}: {said[:300]}): "
        f"export {other} instead"
    )
