"""What a flow imports before it runs: a worker's run is "Running" only after that."""

import json
import subprocess
import sys

import pytest

from tests.architecture.readme_tree import ROOT

HEAVY = ("mlflow", "sqlalchemy", "fastapi", "pandas", "sklearn", "matplotlib", "prefect.server")
"""Of seconds of processor time, of which a training needs none before its first step."""
FLOWS = [f"flows.{path.stem}" for path in sorted((ROOT / "flows").glob("[!_]*.py"))]
ASK = f"""
import json, sys
from importlib import import_module
found = {{}}
for name in ["flows.train_converter", "flows.train_fusion", *{FLOWS}]:
    import_module(name)
    found.setdefault(name, [heavy for heavy in {HEAVY} if heavy in sys.modules])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported():
    """What is there after each flow's import, in a process of its own; the trainings come first."""
    words = (sys.executable, "-c", ASK)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", ["train_converter", "train_fusion"])
def test_a_training_flow_imports_nothing_that_it_can_do_without(stage, imported):
    assert imported[f"flows.{stage}"] == []


def test_no_flow_imports_mlflow_before_there_is_something_to_send(imported):
    assert "sklearn" in imported[FLOWS[-1]]  # What comes with any of them is noticed.
    assert not [name for name, heavy in imported.items() if "mlflow" in heavy]
