"""Who runs what: the tags that MLflow's pages show of a run's origin.

The same as MLflow's own resolve_tags (mlflow.tracking.context), which would have to be imported
before a run can begin; but for the commit, which is the one of this code, whatever started it: a
worker starts Prefect's engine, which lies in no repository.

Source: https://mlflow.org/docs/latest/ml/tracking/tracking-api (system tags).
"""

import functools
import getpass
import os
import subprocess
import sys
from pathlib import Path


def tags() -> dict[str, str]:
    """Give user, program and, where the code lies in a git repository, commit and branch."""
    return {
        "mlflow.user": os.environ.get("MLFLOW_TRACKING_USERNAME") or _user(),
        "mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else "<console>",
        "mlflow.source.type": "LOCAL",
        **git(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A container's user may have a number and no name.
        return "unknown"


@functools.cache
def git() -> dict[str, str]:
    """Ask git; where there is none, or no repository, there is nothing to tell."""
    folder = str(Path(__file__).parent)
    words = ("git", "-C", folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return {}
    commit, branch = done.stdout.split()
    detached = {} if branch == "HEAD" else {"mlflow.source.git.branch": branch}
    return {"mlflow.source.git.commit": commit, **detached}
