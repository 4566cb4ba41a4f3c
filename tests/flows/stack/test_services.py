"""The services of a team, run for real on loopback: who gets in, who doesn't, and what survives."""

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from flows.services import programs
from flows.services.compose import DOCKER
from tests.support.routes import routes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("stack"),
    pytest.mark.skipif(programs.missing() is not None, reason=str(programs.missing())),
]
ROOT = Path(__file__).parents[3]
REFUSED = {401, 403, 404, 405, 421}


def stranger(trust, base):
    return httpx.Client(base_url=base, verify=trust, timeout=60, trust_env=False)


@pytest.fixture
def prefect(stack, trust):
    """A client with credentials and a token against forged requests, which tries nothing twice."""
    name, _, password = stack.secret("prefect_auth").partition(":")
    auth = (name, password)
    with httpx.Client(base_url=stack.prefect, verify=trust, auth=auth, timeout=60) as client:
        me = str(uuid.uuid4())
        token = client.get("/api/csrf-token", params={"client": me}).json()["token"]
        client.headers.update({"Prefect-Csrf-Client": me, "Prefect-Csrf-Token": token})
        yield client


def answers_of(client, found):
    """The status of every route, asked without credentials and without following anywhere."""
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda route: client.request(*route).status_code, found)
        return dict(zip(found, asked, strict=True))


def test_prefect_answers_strangers_with_health_and_pages_alone(stack, trust):
    found = routes(stack, "prefect")
    assert len(found) > 150
    with stranger(trust, stack.prefect) as client:
        answers = answers_of(client, found)
        browser = {"Accept": "text/html"}
        pages = {client.get(path, headers=browser).text for path in ("/", "/flows", "/runs/x")}
    assert len(pages) == 1, "its pages are one static file"
    open_ = {route for route, status in answers.items() if status not in REFUSED}
    assert open_ == {("GET", "/api/health"), ("GET", "/api/ready")}
    assert {answers["GET", path] for path in ("/docs", "/redoc", "/openapi.json")} == {404}


def test_prefect_tells_strangers_no_more_than_a_constant_about_its_settings(stack, trust):
    with stranger(trust, stack.prefect) as client:
        said = client.get("/ui-settings").json()
    with httpx.Client(trust_env=False) as inside:
        real = inside.get(f"http://127.0.0.1:{stack.ports.prefect}/ui-settings").json()
    assert said == real | {"available_uis": ["v1"], "v2_base_url": None}


def test_prefects_sockets_are_closed_to_strangers(stack, trust):
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    for path in ("/api/events/in", "/api/events/out", "/api/logs/out"):
        url = stack.prefect.replace("https", "wss") + path
        with pytest.raises((ConnectionClosed, InvalidStatus)):  # noqa: PT012, SIM117
            with connect(
                url, ssl=trust, subprotocols=[Subprotocol("prefect")], proxy=None
            ) as socket:
                socket.send(json.dumps({"type": "auth", "token": "bm9ib2R5Om5vdGhpbmc="}))
                socket.recv(timeout=20)


def test_mlflow_answers_strangers_with_its_health_alone(stack, trust):
    found = routes(stack, "mlflow")
    assert len(found) > 200
    with stranger(trust, stack.mlflow) as client:
        answers = answers_of(client, found)
    open_ = {route for route, status in answers.items() if status not in REFUSED}
    assert {path for _, path in open_} <= {"/health", "/static-files/x"}
    assert answers["GET", "/health"] == 200
    assert answers["GET", "/api/3.0/mlflow/server-info"] == 401


def test_what_mlflow_tells_its_users_of_itself_is_a_constant_of_the_same_form(stack, trust):
    user = ("worker", stack.secret("mlflow_worker_password"))
    path = "/api/3.0/mlflow/server-info"
    with stranger(trust, stack.mlflow) as client:
        said = client.get(path, auth=user).json()
    with httpx.Client(trust_env=False) as inside:
        url = f"http://127.0.0.1:{stack.ports.mlflow}{path}"
        real = inside.get(url, headers={"Host": f"localhost:{stack.ports.mlflow_page}"}).json()
    assert set(said) == set(real)
    assert said["store_type"] == real["store_type"]
    assert not said["multipart_downloads_enabled"]


def test_another_host_header_is_turned_away(stack, trust):
    for base, path in ((stack.prefect, "/api/health"), (stack.mlflow, "/health")):
        with stranger(trust, base) as client:
            assert client.get(path).status_code == 200
            for host in ("10.evil.example", "evil.localhost", "127.0.0.1"):
                assert client.get(path, headers={"Host": host}).status_code == 421


def test_a_forged_request_with_the_right_password_is_turned_away(stack, trust, prefect):
    body = {"name": "forged"}
    assert prefect.post("/api/flows/", json=body).is_success
    del prefect.headers["Prefect-Csrf-Token"]
    assert prefect.post("/api/flows/", json=body).status_code == 403


def test_four_clients_at_once_and_no_call_fails(prefect):
    flow = prefect.post("/api/flows/", json={"name": "many"}).json()["id"]

    def create(number):
        body = {"flow_id": flow, "idempotency_key": str(number), "state": {"type": "PENDING"}}
        return prefect.post("/api/flow_runs/", json=body)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(create, range(100)))
    assert [answer.text for answer in answers if not answer.is_success] == []
    assert len({answer.json()["id"] for answer in answers}) == 100
    assert create(7).json()["id"] == answers[7].json()["id"]


def test_a_worker_runs_a_flow_and_leaves_a_file_that_its_owner_gets_back(stack):
    command = stack.service("worker").command
    pool = command[command.index("--pool") + 1]
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    done = subprocess.run(
        (sys.executable, "-m", "tests.support.greeting", pool, "world"),
        cwd=ROOT,
        env={**kept, "HOME": str(stack.folder / "tmp"), "DO_NOT_TRACK": "true", **stack.client()},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.stdout == "Completed 1.0 hello world\n", done.stderr[-3000:]


def test_a_user_sees_nothing_of_the_others(stack, trust):
    administrator = ("admin", stack.secret("mlflow_admin_password"))
    newcomer = {"username": "newcomer", "password": "q7Rk2vTz9LmXc4Wp8NsY"}
    everything = {"max_results": 100}
    with stranger(trust, stack.mlflow) as client:
        made = client.post("/api/2.0/mlflow/users/create", json=newcomer, auth=administrator)
        assert made.is_success
        client.post("/api/2.0/mlflow/experiments/create", json={"name": "mine"}, auth=administrator)
        search = "/api/2.0/mlflow/experiments/search"
        seen = client.post(
            search, json=everything, auth=(newcomer["username"], newcomer["password"])
        ).json()
        assert seen.get("experiments", []) == []
        assert client.post(search, json=everything, auth=administrator).json()["experiments"]


def test_a_backup_brings_everything_back(stack, prefect, tmp_path):
    name = f"kept-{uuid.uuid4().hex[:8]}"
    flow = prefect.post("/api/flows/", json={"name": name}).json()["id"]
    sql(stack, "prefect", "CREATE TABLE marker (word text); INSERT INTO marker VALUES ('kept')")
    assert script(stack, "backup.sh", tmp_path / "backup").returncode == 0
    assert script(stack, "backup.sh", tmp_path / "backup").returncode == 1
    before = counts(stack)
    sql(stack, "prefect", "DROP TABLE marker; DELETE FROM flow")
    sql(stack, "mlflow", "DELETE FROM metrics; DELETE FROM latest_metrics")
    sql(stack, "mlflow_auth", "UPDATE users SET is_admin = false")
    assert counts(stack) != before
    stack.stop("prefect")
    stack.stop("mlflow")
    restored = script(stack, "restore.sh", tmp_path / "backup")
    assert restored.returncode == 0, restored.stderr
    assert counts(stack) == before
    for service in ("prefect", "mlflow"):
        stack.start(service)
    for service in ("prefect", "mlflow"):
        stack.wait(service)
    assert prefect.get(f"/api/flows/{flow}").json()["name"] == name


def test_a_damaged_backup_is_refused_before_anything_is_touched(stack, tmp_path):
    assert script(stack, "backup.sh", tmp_path / "backup").returncode == 0
    dump = tmp_path / "backup/mlflow.dump"
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    before = counts(stack)
    assert script(stack, "restore.sh", tmp_path / "backup").returncode
    assert counts(stack) == before


def test_no_secret_stands_on_a_command_line_or_in_a_log(stack):
    secrets = [path.read_text() for path in (stack.folder / "secrets").iterdir() if path.is_file()]
    words = [word.rpartition(":")[2] for word in secrets if "\n" not in word]
    seen = [log.read_text(errors="replace") for log in stack.logs.glob("*.log")]
    pids = [process.pid for process in stack.processes.values()]
    seen += [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    assert len(words) >= 10
    assert not [word[:4] for word in words for text in seen if word in text]


def script(stack, name, folder):
    return subprocess.run(
        ("sh", DOCKER / name, folder),
        env=stack.database(),
        capture_output=True,
        text=True,
        check=False,
    )


def sql(stack, database, command):
    ask = (programs.find("psql"), "--username=postgres", f"--dbname={database}", "-Atc", command)
    done = subprocess.run(ask, env=stack.database(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def counts(stack):
    return {
        "flows": sql(stack, "prefect", "SELECT count(*) FROM flow"),
        "marker": sql(stack, "prefect", "SELECT to_regclass('marker')"),
        "metrics": sql(stack, "mlflow", "SELECT count(*) FROM metrics"),
        "administrators": sql(stack, "mlflow_auth", "SELECT count(*) FROM users WHERE is_admin"),
    }
