"""How processes are started: never by a fork of a program that has threads.

In a flow, a forked child runs Prefect's exit handlers and ends with 1: of a DataLoader's workers
started so, most fail (shared/spec/orchestration.md, section 2).
"""

import ast

import pytest

from tests.architecture.readme_tree import ROOT
from tests.architecture.test_code import MODULES, calls

DEFAULTS = ("Process", "Pool", "ProcessPoolExecutor", "get_context", "set_start_method")
"""What starts processes in a way that is the platform's, unless it is told."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_start_method_is_always_named_and_never_fork(path):
    for name, keywords in calls(path):
        last = name.split(".")[-1]
        assert name not in ("os.fork", "ForkContext"), name
        if last == "DataLoader":
            how = ast.unparse(keywords["multiprocessing_context"])
            assert how in ("'spawn'", "'forkserver'"), name
        if name.startswith(("multiprocessing.", "mp.", "torch.multiprocessing.")):
            assert last not in DEFAULTS, f"{name}: take ForkServerContext, as data/workers.py does"
        assert last != "ProcessPoolExecutor" or "mp_context" in keywords, name
