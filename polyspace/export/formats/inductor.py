"""aotinductor: the traced graph, compiled by torch to machine code for this kind of processor.

The file holds a library that is run when it is loaded, as any program's author could have written
it: a list of sums protects against changes on the way, not against that author. Loading therefore
has to be asked for (see `polyspace.export.loading`). It runs on processors like the one that it was
compiled on, with the release of torch that compiled it.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.export import ExportedProgram

from polyspace.errors import CheckpointError, ExportError
from polyspace.export.formats.kinds import FormatName, Loaded, Subject
from polyspace.export.formats.program import Traced, census, words
from polyspace.export.formats.tracing import quietly, trace
from polyspace.export.stored import Stored
from polyspace.files import write_atomically
from polyspace.precision import Precision

FILE = "model.pt2"

OPTIONS = {"cpp.dynamic_threads": True}
"""The number of threads is decided where the code runs, not where it is compiled."""


def write(name: FormatName, subject: Subject, folder: Path) -> Stored:
    """Compile the traced graph; takes about half a minute.

    Raises:
        ExportError: The model can't be traced or compiled, or there is no compiler.
    """
    refuse_no_compiler(name)
    program = trace(subject, subject.module, name)
    content = _compiled(name, program)
    write_atomically(folder / FILE, lambda file: file.write(content))
    said = f"{words(subject.module)}; within compiled code"
    return Stored("fp32", (FILE,), census(subject.module, program), said)


def load(name: FormatName, folder: Path, specs: Mapping[str, Any], device: torch.device) -> Loaded:
    """Load the compiled code; whoever calls this has been asked whether that may be.

    Raises:
        ExportError: It was compiled for a CPU, and something else was asked for.
        CheckpointError: torch can't load it here.
    """
    if device.type != "cpu":
        raise ExportError(f"{folder} was compiled for a CPU: use --device cpu, or export pt2")
    try:
        with quietly():
            network = torch._inductor.aoti_load_package(str(folder / FILE))  # pyright: ignore[reportPrivateUsage]
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder / FILE} can't be loaded here ({str(error).splitlines()[0]}): it was compiled "
            f"for another machine or release of torch; export it here"
        ) from error
    reason = "float32 on cpu: compiled as the graph was traced"
    return Loaded(Traced(network, device), Precision(compute="fp32", reason=reason))


def refuse_no_compiler(name: FormatName) -> None:
    """Refuse to begin where there is nothing to compile with.

    Raises:
        ExportError: There is no C++ compiler.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ExportError(
            f"{name} needs a C++ compiler, and none was found: install g++, or export pt2"
        ) from error


def _compiled(name: FormatName, program: ExportedProgram) -> bytes:
    with TemporaryDirectory() as scratch, quietly(), torch.no_grad():
        path = Path(scratch) / FILE
        try:
            torch._inductor.aoti_compile_and_package(  # pyright: ignore[reportPrivateUsage]
                program, package_path=str(path), inductor_configs=dict(OPTIONS)
            )
        except Exception as error:  # the compiler's and torch's have no type in common
            said = next(iter(str(error).splitlines()), "")
            raise ExportError(
                f"{name}: this model can't be compiled ({type(error).__name__}: {said[:300]}): "
                f"export pt2 instead"
            ) from error
        return path.read_bytes()
