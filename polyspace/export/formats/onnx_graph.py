"""From a traced module to an ONNX graph whose weights keep their names, and what it says of itself.

The exporter writes down where every node came from, with paths of this machine: of that, only the
modules are used, and nothing stays in the file.
"""

import json
from ast import literal_eval
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx
import torch
from jaxtyping import Float32
from numpy import ndarray
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn
from torch.onnx import ONNXProgram

from polyspace.errors import ExportError
from polyspace.export.formats.kinds import FormatName, Subject
from polyspace.export.formats.tracing import CLIP, quietly, trace
from polyspace.export.pictures import DISTILLED

OPSET = 20
INPUT, LOGITS, PROBABILITIES = "inputs", "logits", "probabilities"

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the exporter says in which modules a node was called."""


class WithChances(nn.Module):
    """A module's logits, and the chances of the classes that they stand for."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, inputs: Tensor
    ) -> tuple[Float32[Tensor, "clip label"], Float32[Tensor, "clip label"]]:
        """Answer in both ways."""
        logits = self.module(inputs)
        return logits, logits.softmax(dim=1)


@dataclass(frozen=True, eq=False)
class Converted:
    """A graph, and which module each of its nodes belongs to."""

    model: ModelProto
    modules: Mapping[str, Collection[str]]
    """By node: the modules that it was called in, from the outermost inwards."""

    def nodes_of(self, names: Collection[str]) -> list[str]:
        """Name the nodes of some modules, given by the starts of their names."""
        return [
            node
            for node, modules in self.modules.items()
            if any(module == n or module.startswith(f"{n}.") for module in modules for n in names)
        ]


def convert(name: FormatName, subject: Subject) -> Converted:
    """Trace a module and write it as ONNX.

    Raises:
        ExportError: It can't be traced, or ONNX lacks what it does.
    """
    traced = trace(subject, WithChances(subject.module).eval(), name)
    try:
        with quietly(), torch.no_grad():
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[LOGITS, PROBABILITIES],
                verbose=False,
            )
    except Exception as error:  # the exporter's errors have no type in common
        said = next(iter(str(error).splitlines()), "")
        raise ExportError(
            f"{name}: ONNX can't express this model ({type(error).__name__}: {said[:300]}): "
            f"export pt2 instead"
        ) from error
    model = cast(ONNXProgram, program).model_proto
    modules = {node.name: _modules(node) for node in model.graph.node}
    _strip(model)
    _name_weights(
        model, {own_name(key): value for key, value in subject.module.state_dict().items()}
    )
    return Converted(model, modules)


def describe(model: ModelProto, subject: Subject) -> None:
    """Write into a graph's metadata what it is; and that its first axis is free."""
    spec = subject.model.fusion.spec
    student = dict(subject.student)
    said = {
        "classes": list(spec.class_names),
        "entry": subject.entry,
        "student": {key: value for key, value in student.items() if key != "provenance"},
        "preprocessing": student.get("provenance", {}).get("inputs", {}),
    }
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model, {key: json.dumps(value, sort_keys=True) for key, value in said.items()}
    )
    model.producer_name, model.producer_version = "polyspace", ""
    model.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = CLIP


def trained(module: nn.Module) -> set[str]:
    """Name a module's trained weights as the graph names them."""
    return {own_name(name) for name, _ in module.named_parameters()}


def weights_of(model: ModelProto) -> dict[str, ndarray]:
    """Give a graph's constants by name."""
    return {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}


def own_name(name: str) -> str:
    """Give a module or weight the name that it has in the model, outside of what wraps it."""
    return name.removeprefix("module.").removeprefix(f"{DISTILLED}.")


def _modules(node: NodeProto) -> tuple[str, ...]:
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            return tuple(map(own_name, literal_eval(entry.value)))
    return ()


def _strip(model: ModelProto) -> None:
    """Remove what the exporter noted; paths and source lines of this machine are in it."""
    del model.metadata_props[:]
    # Derived from the rest, and wrong once weights are quantised.
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    parts = (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output)
    for part in parts:
        for entry in part:
            del entry.metadata_props[:]
            entry.doc_string = ""


def _name_weights(model: ModelProto, state: Mapping[str, Tensor]) -> None:
    """Give constants the names of the weights that they hold; matrices are often transposed."""
    renamed = {value.name: own_name(value.name) for value in model.graph.initializer}
    left = {name: state[name].numpy() for name in state.keys() - renamed.values()}
    for value in model.graph.initializer:
        if renamed[value.name] not in state and len(value.dims) > 1:
            held = numpy_helper.to_array(value)
            found = next((name for name, weight in left.items() if _is(held, weight)), None)
            if found is not None:
                renamed[value.name] = found
                del left[found]
    for value in model.graph.initializer:
        value.name = renamed[value.name]
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _is(held: ndarray, weight: ndarray) -> bool:
    """Say whether a constant is a weight, or a matrix's transpose."""
    if held.dtype != weight.dtype or held.size != weight.size:
        return False
    return np.array_equal(held, weight) or np.array_equal(held, weight.T)
