"""pt2: the graph that torch.export traces, for torch without the code of PolySpace.

``torch.export.load("model.pt2").module()(tokens)`` gives logits. Files of this format from others
may run code when torch loads them; what is read here is looked through first (see `archive`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

# Loading imports it otherwise, in the middle of what a user waits for.
import torch.export._trace  # pyright: ignore[reportUnusedImport]
from jaxtyping import Float32
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.export.pt2_archive._package import load_pt2

from polyspace.export import folding
from polyspace.export.cast import describe
from polyspace.export.formats.archive import refuse_hostile
from polyspace.export.formats.kinds import FormatName, Loaded, Subject
from polyspace.export.formats.tracing import quietly, trace
from polyspace.export.stored import Stored, StoredTensor
from polyspace.files import write_atomically
from polyspace.precision import Precision, to_compute

FILE = "model.pt2"


def write(name: FormatName, subject: Subject, folder: Path) -> Stored:
    """Write the traced graph with its weights.

    Raises:
        ExportError: The model can't be traced.
    """
    program = without_notes(trace(subject, subject.module, name))
    with TemporaryDirectory() as scratch, quietly():
        path = Path(scratch) / FILE
        torch.export.save(program, path)
        content = path.read_bytes()
    write_atomically(folder / FILE, lambda file: file.write(content))
    refuse_hostile(folder / FILE)
    return Stored("fp32", (FILE,), census(subject.module, program), words(subject.module))


def load(name: FormatName, folder: Path, specs: Mapping[str, Any], device: torch.device) -> Loaded:
    """Read the graph, after a look at what it holds.

    Raises:
        CheckpointError: It holds what could run code.
    """
    path = folder / FILE
    refuse_hostile(path)
    with quietly():
        # What torch.export.load does, less its second try with the layouts of older versions.
        program = load_pt2(path).exported_programs["model"]
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
    # The checks of shapes are code, and left out of the file.
    network = program.module(check_guards=False)
    return Loaded(Traced(network, device), precision_of(device), network)


class Traced:
    """Runs a traced graph."""

    def __init__(self, network: Callable[[Tensor], Tensor], device: torch.device) -> None:
        """Remember a network and where it is.

        Args:
            network: Takes what the model takes, gives logits.
            device: Where it is.
        """
        self.network, self.device = network, device

    @torch.inference_mode()
    def __call__(self, inputs: Tensor) -> Float32[Tensor, "clip label"]:
        """Answer for a batch of clips."""
        pictures = inputs.dtype == torch.uint8
        given = inputs.to(self.device) if pictures else to_compute(inputs, self.device)
        return to_compute(self.network(given), torch.device("cpu"))


def precision_of(device: torch.device) -> Precision:
    """Say what a traced graph computes in."""
    return Precision(compute="fp32", reason=f"float32 on {device.type}: as the graph was traced")


def without_notes(program: ExportedProgram) -> ExportedProgram:
    """Take from a program what the answer doesn't need: examples, checks, and source lines.

    Examples would be pickled, checks are code, source lines tell of the machine that exported.
    """
    program.example_inputs = None  # pyright: ignore[reportAttributeAccessIssue]
    program._guards_code = []  # pyright: ignore[reportPrivateUsage]
    for node in program.graph.nodes:
        node.meta = {
            key: value for key, value in node.meta.items() if key in ("val", "tensor_meta")
        }
    return program


def census(module: nn.Module, program: ExportedProgram) -> tuple[StoredTensor, ...]:
    """Say of every weight of a module that a program holds how it is stored: as it is."""
    state = {name: module.state_dict()[name] for name in program.state_dict}
    return describe(module, state, dict.fromkeys(state))


def words(module: nn.Module) -> str:
    """Say what is stored in which type."""
    folded = f"; {folding.WORDS}" if folding.is_folded(module) else ""
    return f"everything float32{folded}"
