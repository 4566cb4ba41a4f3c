"""The fresh process: ``python -m polyspace.export.proof.child FOLDER`` does FOLDER/job.json.

It knows nothing but the bundle and the store, and has neither network nor pickle; what it answers
is what anybody who loads the bundle gets.
"""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import save_file

from polyspace.errors import PolySpaceError
from polyspace.export import contents
from polyspace.export.formats import kinds
from polyspace.export.loading import Opened, open_verified
from polyspace.export.proof import answers, latency
from polyspace.export.proof.confine import confine
from polyspace.export.proof.jobs import JOB, LOGITS, RESULT, Job, Result
from polyspace.export.proof.latency import Latency
from polyspace.export.source import blank
from polyspace.store.reader import FeatureStore
from polyspace.train.cost.machine import peak_bytes
from polyspace.train.sources import StoredClips

NEEDED: Mapping[str, tuple[str, ...]] = {
    "onnx": ("onnxruntime",),
    "program": ("torch.export.pt2_archive", "torch.export._trace"),
    "inductor": ("torch._inductor.package",),
    "torchao": ("torchao",),
}
"""What modules of formats import only when they load something."""


def do(job: Job, folder: Path) -> Result:
    """Load a bundle, and answer for every clip or be timed; measure what loading takes."""
    device = torch.device(job.device)
    torch.set_num_threads(job.threads)
    versions = _import(job.bundle, device)
    before, started = peak_bytes(device), perf_counter()
    found = _load(job.bundle, device)
    seconds = perf_counter() - started
    precision = found.loaded.precision
    said = Result(compute=precision.compute, reason=precision.reason, versions=versions)
    if job.measure:
        used = _peak(found, device) - before
        said = said.model_copy(update={"load_seconds": seconds, "memory_bytes": used})
    batches = _batches(job, found)
    if job.beside is None:
        save_file({"logits": answers.answer(found.loaded.run, batches)}, folder / LOGITS)
        return said
    looks = answers.some(batches, max(latency.BATCHES))
    return said.model_copy(update={"latency": _time(found, job.beside, looks, device)})


def _import(bundle: Path, device: torch.device) -> dict[str, str]:
    """Do before the clock starts what every program that uses the format has done anyway.

    Gives the versions of what was imported for the format.
    """
    kind: kinds.FormatName = contents.read_config(bundle)["kind"]
    kinds.of(kind)
    modules = [import_module(name) for name in NEEDED.get(kinds.MODULES[kind], ())]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return {
        module.__name__: str(module.__version__)
        for module in modules
        if hasattr(module, "__version__")
    }


def _load(bundle: Path, device: torch.device) -> Opened:
    """Do as `open_bundle`; but for the proof itself, which is being made."""
    contents.verify(bundle, needed=(contents.CONFIG,))
    return open_verified(bundle, device, allow_compiled=True)  # compiled a moment ago, here


def _batches(job: Job, found: Opened) -> Iterator[torch.Tensor]:
    if job.looks:
        return answers.prepared(job.looks)
    clips = StoredClips(FeatureStore.open(job.store), torch.device("cpu"))
    return answers.held_out(job.entry, found.student, clips)


def _peak(found: Opened, device: torch.device) -> int:
    """Run over as large a batch as is timed, of nothing; give the most memory until then."""
    found.loaded.run(blank(found.entry, found.config["student"], max(latency.BATCHES)))
    return peak_bytes(device)


def _time(
    source: Opened, export: Path, looks: torch.Tensor, device: torch.device
) -> tuple[Latency, ...]:
    runs = source.loaded.run, _load(export, device).loaded.run
    return tuple(latency.measure(*runs, looks, latency.clock_for(device)))


def main(folder: Path) -> None:
    """Do what a folder asks for; say in one line what is wrong."""
    confine()
    try:
        result = do(Job.model_validate_json((folder / JOB).read_text()), folder)
    except PolySpaceError as error:
        sys.exit(str(error))
    (folder / RESULT).write_text(result.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
