"""Habits that keep the code safe, held by reading it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.readme_tree import ROOT

MODULES = sorted(
    path for top in ("polyspace", "tasks", "flows") for path in (ROOT / top).rglob("*.py")
)
LONGEST = 60
"""Lines of the longest function; a ratchet: lower it when you can."""


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Give every call as dotted name and keywords."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: k.value for k in node.keywords if k.arg}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_read_that_can_execute_code(path: Path):
    for name, keywords in calls(path):
        if name == "torch.load":
            assert ast.unparse(keywords["weights_only"]) == "True"
        if name in ("np.load", "numpy.load", "np.savez"):
            assert ast.unparse(keywords["allow_pickle"]) == "False"
        assert name.split(".")[0] not in ("pickle", "dill", "joblib"), name


def test_nothing_that_unpickles_is_imported():
    pattern = re.compile(r"^\s*(import|from) (pickle|dill|joblib|cloudpickle)\b", re.MULTILINE)
    assert not [path for path in MODULES if pattern.search(path.read_text())]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_can_be_read_without_scrolling(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno < LONGEST, f"{node.name} is too long"


def test_packages_hold_one_sentence_and_no_code():
    # polyspace.load, without importing torch; and tracking.run, whatever file it is in.
    offering = {ROOT / "polyspace/__init__.py", ROOT / "tasks/tracking/__init__.py"}
    for path in MODULES:
        if path.name == "__init__.py" and path not in offering:
            assert len(ast.parse(path.read_text()).body) == 1, path


def test_mlflow_is_imported_in_one_package():
    users = {path for path in MODULES if "import mlflow" in path.read_text()}
    users |= {path for path in MODULES if "from mlflow" in path.read_text()}
    assert users
    assert {str(path.parent.relative_to(ROOT)) for path in users} == {"tasks/tracking"}
