"""Every route of both servers, as the servers themselves list them."""

import json
import re
import subprocess

from flows.services.compose import DOCKER

WALK = """
import json

def walk(routes, prefix=""):
    for route in routes:
        if hasattr(route, "original_router"):  # FastAPI includes routers as they are
            inner = getattr(route.include_context, "prefix", "") or ""
            yield from walk(route.original_router.routes, prefix + inner)
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, prefix + route.path

def show(found):
    print("ROUTES" + json.dumps(sorted(set(found))))
"""
PREFECT = """
from prefect.server.api.server import create_app
app = create_app()
show([*walk(app.routes), *walk(app.api_app.routes, "/api")])
"""
MLFLOW = """
from mlflow.server.auth import create_app
from mlflow.server import app as flask
app = create_app()
rules = [(method, rule.rule) for rule in flask.url_map.iter_rules() for method in rule.methods]
show([*rules, *walk(app.routes)])
"""


def routes(stack, name):
    """Method and path of each route of "prefect" or "mlflow", with something in every gap."""
    # MLflow's command tells its server's process so.
    service = stack.environment(name) | {"_MLFLOW_SGI_NAME": "uvicorn"}
    if "MLFLOW_BACKEND_STORE_URI" in service:
        service["_MLFLOW_SERVER_FILE_STORE"] = service["MLFLOW_BACKEND_STORE_URI"]
    code = {"prefect": PREFECT, "mlflow": MLFLOW}[name]
    done = subprocess.run(
        ("sh", DOCKER / "entry.sh", "python", "-W", "ignore", "-c", WALK + code),
        env=service,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.rpartition("ROUTES")[2])
    return sorted({(method, _fill(path)) for method, path in found if method != "OPTIONS"})


def _fill(path):
    """Put something into the gaps of a path: {id}, {path:path}, <run_id>, <path:artifact>."""
    identity = "00000000-0000-0000-0000-000000000000"
    return re.sub(r"\{[^}]*\}|<[^>]*>", lambda gap: identity if "id" in gap[0] else "x", path)
