"""What an ONNX graph stores of a model: every weight's type, read from the graph itself."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from onnx import ModelProto, helper

from polyspace.export.formats.onnx_graph import weights_of
from polyspace.export.formats.rounding import largest, rounded
from polyspace.export.stored import StoredTensor, TensorKind

QUANTISED, SCALE = "_quantized", "_scale"
"""What ONNX Runtime's quantiser adds to a weight's name."""


def take(
    model: ModelProto, exact: Mapping[str, ndarray], trained: Collection[str]
) -> tuple[StoredTensor, ...]:
    """Say of everything that a graph stores in which type it does.

    What the graph doesn't need isn't in it, and not in the census either. What the exporter
    computed of weights beforehand counts as a buffer, under the graph's own name for it; single
    numbers and shapes aren't counted.

    Args:
        model: The graph.
        exact: Its constants before they were quantised.
        trained: Names of trained weights.
    """
    stored, axes = weights_of(model), _axes(model)
    found: list[StoredTensor] = []
    for name, before in exact.items():
        single = before.size == 1 and name not in trained
        if single or not np.issubdtype(before.dtype, np.floating):
            continue
        kind: TensorKind = "parameter" if name in trained else "buffer"
        steps, held = stored.get(name + QUANTISED), stored.get(name)
        if steps is not None:
            scale = _along(_scale(name, stored), steps, axes.get(name))
            found.append(rounded(name, kind, before, steps, scale))
        elif held is not None:
            found.append(StoredTensor(name, kind, str(held.dtype), held.size, largest(held)))
    return tuple(found)


def _scale(name: str, stored: Mapping[str, ndarray]) -> ndarray:
    """Find the scale of a weight; biases of convolutions have theirs under a longer name."""
    return stored[name + SCALE] if name + SCALE in stored else stored[name + QUANTISED + SCALE]


def _axes(model: ModelProto) -> Mapping[str, int]:
    """Say along which axis of each quantised weight its scales lie."""
    axes: dict[str, int] = {}
    for node in model.graph.node:
        own: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        for name in node.input:
            if name.endswith(QUANTISED):
                given = own.get("axis", 0 if node.op_type == "ConvInteger" else -1)
                axes[name.removesuffix(QUANTISED)] = given
    return axes


def _along(scale: ndarray, steps: ndarray, axis: int | None) -> Float[ndarray, "..."]:
    """Lay scales along an axis, so that they multiply the steps."""
    if scale.size == 1 or axis is None:
        return scale.reshape(())
    shape = [1] * steps.ndim
    shape[axis] = -1
    return scale.reshape(shape)
