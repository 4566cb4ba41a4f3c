"""Weights alone, in safetensors: the formats fp32, fp16, bf16, mixed and int8.

The file is read back into the architecture that config.json describes. Whatever the weights are
stored in, the arithmetic is what the device does best (`compute`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save
from torch import Tensor

from polyspace.errors import ExportError
from polyspace.export.cast import WeightType, cast_state, describe, plan, restore_state
from polyspace.export.formats.kinds import FormatName, Loaded, Subject
from polyspace.export.stored import Stored
from polyspace.files import write_atomically
from polyspace.models.fusion import Distilled
from polyspace.models.restore import restore
from polyspace.models.undrawn import Undrawn
from polyspace.precision import Precision, best_compute, keep_in_compute_type, to_compute

FILE = "model.safetensors"

TYPES: Mapping[FormatName, WeightType] = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "mixed": "float16",
    "int8": "int8",
}

WORDS: Mapping[FormatName, str] = {
    "fp32": "everything float32",
    "fp16": "trained weights float16; measured statistics as they are",
    "bf16": "trained weights bfloat16; measured statistics as they are",
    "mixed": "trained weights float16, those of normalisation layers float32; measured statistics "
    "as they are",
    "int8": "trained matrices int8, with a float32 scale for each row; trained vectors float32; "
    "measured statistics as they are",
}


def write(name: FormatName, subject: Subject, folder: Path) -> Stored:
    """Write the weights.

    Raises:
        ExportError: A weight is not finite or doesn't fit its type, or the student's were asked
            for, too.
    """
    if subject.entry != "tokens":
        raise ExportError(
            f"{name} holds the distilled model's weights alone, without the student's: export "
            f"--entry tokens, or a format that holds a graph (onnx, pt2)"
        )
    model = subject.model
    types = plan(model, TYPES[name], keep=subject.keep_float32, keep_norms=name == "mixed")
    state = model.state_dict()
    rounded = cast_state(state, types)
    write_atomically(folder / FILE, lambda file: file.write(save(rounded, {"format": "pt"})))
    short = "fp16" if name == "mixed" else name
    return Stored(short, (FILE,), describe(model, state, types), WORDS[name])


def load(
    name: FormatName,
    folder: Path,
    specs: Mapping[str, Any],
    device: torch.device,
    precision: Precision | None = None,
) -> Loaded:
    """Read the weights into the architecture that they belong to.

    Args:
        name: The format.
        folder: The bundle.
        specs: What `Distilled.from_specs` needs.
        device: Where it will run.
        precision: What to compute in; None: what the device does best.

    Raises:
        CheckpointError: They are not exactly those of such a model.
    """
    # What is drawn all the same shall not be noticed by whoever draws next.
    with torch.random.fork_rng(devices=[]), Undrawn():
        model = Distilled.from_specs(specs)
    state = restore_state(load_file(folder / FILE))
    wide = {name: to_compute(values, torch.device("cpu")) for name, values in state.items()}
    restore(model, wide).eval().requires_grad_(requires_grad=False).to(device)
    precision = precision or best_compute(TYPES[name], device)
    keep_in_compute_type(model, precision)
    return Loaded(Weights(model, precision, device), precision, model)


class Weights:
    """Runs a network in the precision that was decided on."""

    def __init__(self, model: Distilled, precision: Precision, device: torch.device) -> None:
        self.model, self.precision, self.device = model, precision, device

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of the student's tokens."""
        with self.precision.autocast(self.device):
            logits = self.model(to_compute(inputs, self.device)).logits
        return to_compute(logits, torch.device("cpu"))
