import subprocess
import sys

import numpy as np
import torch

from polyspace.train.cost import machine

CPU = torch.device("cpu")
PEAK = (
    "import torch\n"
    "from polyspace.train.cost.machine import peak_bytes\n"
    "print(peak_bytes(torch.device('cpu')))"
)


def test_the_peak_of_memory_is_the_process_own():
    ballast = np.ones(2**26)  # half a gigabyte, more than torch takes
    fresh = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 50e6 < int(fresh.stdout) < ballast.nbytes


def test_the_peak_of_memory_stays_when_the_memory_is_gone():
    before = machine.peak_bytes(CPU)
    np.ones(before // 8 + 2**23).sum()
    assert machine.peak_bytes(CPU) > before + 2**24


def test_without_proc_the_system_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "none")
    assert machine.peak_bytes(CPU) > 50e6
    assert machine.processor(CPU).startswith("CPU (")


def test_the_processor_has_its_own_name(monkeypatch, tmp_path):
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: Quick 9000\nflags\t: fpu\n")
    monkeypatch.setattr(machine, "PROCESSORS", facts)
    assert machine.processor(CPU) == "Quick 9000"
