"""What is measured on: the processor's name, and the most memory that a process had."""

import platform
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

PROCESSORS = Path("/proc/cpuinfo")
"""Where Linux says which processor there is."""
MEMORY = Path("/proc/self/status")
"""Where Linux says how much memory a process has and had."""


def processor(device: torch.device) -> str:
    """Name the GPU, or the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)$", PROCESSORS.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return f"CPU ({platform.machine()})"


def peak_bytes(device: torch.device) -> int:
    """Give the most memory that this process had: allocated on a GPU, else resident.

    Source: proc_pid_status(5), VmHWM. Not getrusage(2): its peak outlives exec(2), so that a
    process starts with that of the one that started it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s*(\d+) kB$", MEMORY.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    # macOS counts bytes, others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
