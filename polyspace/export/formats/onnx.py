"""ONNX: a graph in one file that other programs run, too; as float32, or quantised to int8.

Formats onnx (float32), onnx_int8 (weights int8, activations quantised as they come) and
onnx_int8_static (activations quantised by what training clips showed). The graph takes `inputs`
and gives `logits` and `probabilities`; what it says of itself stands in its metadata.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from polyspace.errors import ExportError
from polyspace.export import folding
from polyspace.export.cast import refuse_unknown
from polyspace.export.formats import onnx_census, onnx_graph, onnx_quantise
from polyspace.export.formats.kinds import FormatName, Loaded, Subject
from polyspace.export.formats.onnx_session import Session
from polyspace.export.stored import Stored
from polyspace.files import write_atomically

FILE = "model.onnx"

LARGEST = 2**31 - 1
"""Bytes that protobuf holds in one message, which an ONNX file is."""

WORDS: Mapping[FormatName, str] = {
    "onnx": "everything float32",
    "onnx_int8": "matrices int8, with a float32 scale for each column; activations are quantised "
    "to 8 bits as they come; the rest float32",
    "onnx_int8_static": "matrices int8, with a float32 scale for each column; what goes into them "
    "is quantised to 8 bits by what training clips showed; the rest float32",
}


def write(name: FormatName, subject: Subject, folder: Path) -> Stored:
    """Write the graph.

    Raises:
        ExportError: It can't be traced, is larger than one file may be, or there are no clips to
            calibrate it with.
    """
    refuse_large(name, subject.module)
    if name == "onnx_int8_static":
        onnx_quantise.refuse_uncalibrated(subject)
    refuse_unknown(subject.keep_float32, trained := onnx_graph.trained(subject.module))
    found = onnx_graph.convert(name, subject)
    graph, kept = found.model, found.nodes_of(subject.keep_float32)
    if name != "onnx":
        onnx_quantise.prepare(graph)
    exact = onnx_graph.weights_of(graph)
    if name == "onnx_int8":
        graph = onnx_quantise.dynamic(graph, kept)
    elif name == "onnx_int8_static":
        graph = onnx_quantise.static(graph, kept, subject)
    onnx_graph.describe(graph, subject)
    onnx.checker.check_model(graph, full_check=True)
    write_atomically(folder / FILE, lambda file: file.write(graph.SerializeToString()))
    short = "fp32" if name == "onnx" else "int8"
    return Stored(short, (FILE,), onnx_census.take(graph, exact, trained), words(name, subject))


def load(name: FormatName, folder: Path, specs: Mapping[str, Any], device: torch.device) -> Loaded:
    """Make the graph ready to run.

    Raises:
        ExportError: ONNX Runtime can't use the device.
    """
    session = Session(folder / FILE, len(specs["fusion"]["class_names"]), device)
    return Loaded(session, session.precision(quantised=name != "onnx"))


def refuse_large(name: FormatName, module: nn.Module) -> None:
    """Refuse what doesn't fit into one file.

    Raises:
        ExportError: It doesn't.
    """
    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    if size > LARGEST:
        raise ExportError(
            f"{name}: the weights take {size:,} bytes, and an ONNX file holds {LARGEST:,} at most: "
            f"export pt2 or fp16"
        )


def words(name: FormatName, subject: Subject) -> str:
    """Say what is stored in which type."""
    folded = f"; {folding.WORDS}" if folding.is_folded(subject.module) else ""
    return WORDS[name] + folded
