"""int8 by ONNX Runtime: weights a scale for each column, activations as they come or calibrated.

Products alone are quantised; what is added, normalised or squashed stays float32. So does the
last product, which makes the logits: of all layers, errors in it cost most. What else was tried, on
training clips that calibration hadn't seen, stands in docs/export_formats.md.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from jaxtyping import Shaped
from numpy import ndarray
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import Subject
from polyspace.export.formats.onnx_graph import INPUT, LOGITS, weights_of
from polyspace.export.formats.tracing import quietly

BATCH = 16
"""Clips that are shown at a time to calibrate with."""

SMALLEST = 1024
"""Values of a matrix below which it stays float32: to quantise what goes into it would take longer
than the product, and hardly a byte is to be saved."""


class Clips(CalibrationDataReader):
    """Hands out calibration clips in batches, as ONNX Runtime asks for them."""

    def __init__(self, inputs: Shaped[ndarray, "clip ..."]) -> None:
        self.batches: Iterator[ndarray] = iter(
            [inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH)]
        )

    # The base class says that it gives a dictionary, and its callers look for None.
    def get_next(self) -> dict[str, ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Give the next batch; None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def dynamic(model: ModelProto, excluded: Collection[str]) -> ModelProto:
    """Quantise weights now, and activations batch by batch when the graph runs.

    Args:
        model: A float32 graph that was prepared.
        excluded: Nodes that stay float32.
    """
    with TemporaryDirectory() as folder, quietly():
        out = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            model,
            out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*excluded, *_unfit(model), *_last(model)],
        )
        return onnx.load(out)


def static(model: ModelProto, excluded: Collection[str], subject: Subject) -> ModelProto:
    """Quantise weights, and activations by the ranges that training clips show.

    Args:
        model: A float32 graph that was prepared.
        excluded: Nodes that stay float32.
        subject: Whose clips.
    """
    with TemporaryDirectory() as folder, quietly():
        out = Path(folder) / "quantised.onnx"
        quantize_static(
            model,
            out,
            Clips(subject.inputs.numpy()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[*excluded, *_unfit(model), *_last(model)],
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(out)


def prepare(model: ModelProto) -> None:
    """Take layers with a bias apart, so that it stays float32; and tell the quantiser so."""
    ONNXModel(model).replace_gemm_with_matmul()
    add_pre_process_metadata(model)


def refuse_uncalibrated(subject: Subject) -> None:
    """Refuse to calibrate without clips.

    Raises:
        ExportError: There are none.
    """
    if not subject.are_clips:
        raise ExportError(
            "onnx_int8_static needs videos to calibrate with: name their folder with --root, or "
            "export onnx_int8"
        )


def _last(model: ModelProto) -> list[str]:
    """Name the product that makes the logits, if only its bias comes after it."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers[LOGITS]
    if node.op_type == "Add":
        node = next((makers[name] for name in node.input if name in makers), node)
    return [node.name]


def _unfit(model: ModelProto) -> list[str]:
    """Name the products of no matrix of weights, or of a small one."""
    sizes = {name: values.size for name, values in weights_of(model).items()}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and sizes.get(node.input[1], 0) < SMALLEST
    ]
