"""How much memory a path needs: measured in a process of its own, which knows nothing else.

In the process that evaluates, other models lie beside the one in question, and an allocator hands
out again what they once had. This module imports no more than a path needs.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from polyspace.data import reload, workers
from polyspace.data.clips import DecodedClip
from polyspace.data.encode import Setup
from polyspace.data.reload import Source
from polyspace.train.cost import routes
from polyspace.train.cost.line import Line
from polyspace.train.cost.machine import peak_bytes
from polyspace.train.cost.routes import Route
from polyspace.train.cost.timing import FAILURES, in_words

ON_CPU = (
    "growth of the resident memory's peak in a fresh process, over what it has once torch is "
    "imported: weights, their loading, pictures, activations and what the allocator keeps; neither "
    "torch itself nor the frames as decoded, nor the process that decodes"
)
ON_GPU = (
    "torch.cuda.max_memory_allocated in a fresh process: weights, pictures and activations on the "
    "GPU; neither CUDA's own context nor memory of the CPU"
)


@dataclass(frozen=True)
class Peak:
    """Bytes at most."""

    one: int
    """With one clip at a time."""
    batched: int
    """With a full batch."""


@dataclass(frozen=True)
class Job:
    """All that another process needs to know, as plain values."""

    route: Route
    sources: Mapping[str, Source]
    """Of its backbones."""
    setup: Setup
    threads: int
    clip: DecodedClip | None
    """What is looked at; None: nothing, in pictures of the same size."""

    @property
    def views(self) -> int:
        """Looks at every clip."""
        return self.setup.viewing.count


def of_paths(jobs: Mapping[str, Job]) -> dict[str, Peak | str]:
    """Measure paths, each in a fresh process; give what was found, or why nothing was."""
    on_gpu = any(job.setup.device.type == "cuda" for job in jobs.values())
    # On a GPU they would be in each other's way; a process's own memory is its own.
    with ThreadPoolExecutor(1 if on_gpu else 2) as beside:
        return dict(zip(jobs, beside.map(_in_a_fresh_process, jobs.values()), strict=True))


def _in_a_fresh_process(job: Job) -> Peak | str:
    with workers.pool(1) as pool:
        try:
            return pool.submit(peak, job).result()
        except workers.WorkerDiedError as error:
            return f"its process ended with {error.exitcode}: there may be too little memory"
        except FAILURES as error:
            return in_words(error)


def peak(job: Job) -> Peak:
    """Load a path, run it over one clip, then over a batch; to be called in a fresh process."""
    torch.set_num_threads(job.threads)
    start = peak_bytes(job.setup.device)
    line = _line(job)
    _run(line, job, 1)
    one = peak_bytes(job.setup.device)
    _run(line, job, job.setup.batch)
    return Peak(one - start, peak_bytes(job.setup.device) - start)


def words(device: torch.device) -> str:
    """Say what a peak on a device includes."""
    return ON_GPU if device.type == "cuda" else ON_CPU


def _line(job: Job) -> Line:
    loaded = {name: reload.load(found, job.setup) for name, found in job.sources.items()}
    classifier = routes.build(job.route).to(job.setup.device)
    return Line(loaded, classifier, job.views, job.setup.device)


def _run(line: Line, job: Job, clips: int) -> None:
    if job.clip is None:
        line.run_fed(line.blank(clips))
    else:
        line.run([job.clip] * clips)
