import subprocess
import sys

import pytest

from tests.benchmarks.precision_table import ROOT


@pytest.mark.slow
def test_the_table_has_a_row_for_each_type_that_the_device_has(tmp_path):
    options = (
        f"--size tiny --device cpu --rounds 1 --types fp32 tf32 bf16 --out {tmp_path / 't.md'}"
    )
    command = [sys.executable, "-m", "tests.benchmarks.precision_table", *options.split()]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    table = [line.split("|") for line in (tmp_path / "t.md").read_text().splitlines()]
    start = next(number for number, cells in enumerate(table) if cells[1:2] == ["---"])
    rows = {cells[1].strip(): cells for cells in table[start + 1 :] if len(cells) > 2}
    assert list(rows) == ["fp32", "bf16"]  # a CPU has no TF32
    logits = {name: [float(cell) for cell in cells[-3:-1]] for name, cells in rows.items()}
    assert logits["fp32"] == [0, 0]
    assert all(0 < difference < 0.1 for difference in logits["bf16"])
