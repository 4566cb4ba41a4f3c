import subprocess
import sys

import pytest

from tests.benchmarks.precision_table import ROOT


@pytest.mark.slow
def test_the_table_has_a_row_for_each_type(tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.precision_table", "--size", "tiny"]
    command += [
        "--device",
        "cpu",
        "--types",
        "fp32",
        "tf32",
        "bf16",
        "--out",
        str(tmp_path / "t.md"),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    lines = [line.split("|") for line in (tmp_path / "t.md").read_text().splitlines()]
    rows = {
        cells[1].strip(): [float(cell) for cell in cells[-3:-1]] for cells in lines[5:] if cells[3:]
    }
    assert list(rows) == ["fp32", "bf16"]  # a CPU has no TF32
    assert rows["fp32"] == [0, 0]
    assert all(0 < difference < 0.1 for difference in rows["bf16"])
