"""An ONNX graph at work in ONNX Runtime."""

from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor

from polyspace.errors import ExportError
from polyspace.export.formats.onnx_graph import INPUT, LOGITS
from polyspace.precision import Precision, to_compute

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Session:
    """Runs a graph; takes and gives torch's tensors."""

    def __init__(self, path: Path, labels: int, device: torch.device) -> None:
        """Read a graph and let the runtime optimise it.

        Args:
            path: The file.
            labels: How many classes it answers with.
            device: Where it will run.

        Raises:
            ExportError: The runtime that is installed can't use the device.
        """
        provider = PROVIDERS[device.type]
        if provider not in onnxruntime.get_available_providers():
            raise ExportError(
                f"the onnxruntime that is installed has no {provider}: pip install "
                f"onnxruntime-gpu, or use --device cpu"
            )
        onnxruntime.disable_telemetry_events()
        self.labels, self.device = labels, device
        self.session = onnxruntime.InferenceSession(
            str(path), _options(), providers=list(dict.fromkeys([provider, PROVIDERS["cpu"]]))
        )

    def __call__(self, inputs: Tensor) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of clips."""
        if not inputs.shape[0]:
            return torch.zeros(0, self.labels)
        [logits] = self.session.run([LOGITS], {INPUT: _as_array(inputs)})
        return torch.from_numpy(cast(ndarray, logits))

    def precision(self, *, quantised: bool) -> Precision:
        """Say what it computes in."""
        where = self.device.type
        words = (
            f"int8 products on {where} by ONNX Runtime, as the graph says; the rest float32"
            if quantised
            else f"float32 on {where} by ONNX Runtime, as the graph says"
        )
        return Precision(compute="fp32", reason=words)


def _options() -> onnxruntime.SessionOptions:
    """Set up as many threads as torch has; ones that wait don't keep others from working."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Errors alone: what the runtime warns of is how it optimises.
    options.log_severity_level = 3
    return options


def _as_array(inputs: Tensor) -> ndarray:
    """Give values as the graph takes them: bytes of pictures as they are, the rest float32."""
    cpu = torch.device("cpu")
    given = inputs.to(cpu) if inputs.dtype == torch.uint8 else to_compute(inputs, cpu)
    return np.ascontiguousarray(given.detach().numpy())
