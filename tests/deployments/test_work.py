"""Workers: what they are started with, and that a GPU has one run at a time."""

import time
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import forms
from flows.services import compose
from flows.work import PATIENCE, WorkConfig, command, environment, main
from polyspace.errors import ConfigError
from tasks import parts
from tests.support.naps import JOB, nap
from tests.support.services import worker

SECONDS = 3.0


def test_a_worker_of_a_gpu_sees_it_alone_and_a_worker_without_sees_none():
    assert environment(WorkConfig(gpu=1))["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment(WorkConfig())["CUDA_VISIBLE_DEVICES"] == ""
    assert {environment(WorkConfig(gpu=n))["CUDA_DEVICE_ORDER"] for n in (0, 1)} == {"PCI_BUS_ID"}


def test_a_worker_waits_for_servers_as_long_here_as_in_a_container(monkeypatch):
    contained = compose.services({})["worker"].environment
    for name in (*PATIENCE, "PREFECT_WORKER_QUERY_SECONDS"):
        monkeypatch.delenv(name, raising=False)
        assert environment(WorkConfig())[name] == contained[name]
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "1")
    assert environment(WorkConfig())["PREFECT_CLIENT_MAX_RETRIES"] == "1"


def test_workers_of_one_machine_have_names_and_ports_of_their_own():
    configs = [WorkConfig(), WorkConfig(gpu=0), WorkConfig(gpu=1)]
    names = [words[words.index("--name") + 1] for words in map(command, configs)]
    assert len(set(names)) == len({config.port for config in configs}) == len(configs)


def test_a_worker_of_a_gpu_listens_to_the_queue_of_all_and_to_its_own():
    words = command(WorkConfig(gpu=1))
    queues = [words[at + 1] for at, word in enumerate(words) if word == "--work-queue"]
    assert queues == ["default", "gpu-1"]
    assert words[words.index("--limit") + 1] == "1"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("flows.work._refuse_missing_pool", lambda name: None)
    monkeypatch.setattr(parts, "refuse_unreachable", lambda: None)
    with pytest.raises(ConfigError, match="--gpu 1, but CUDA sees 1 here"):
        main(WorkConfig(gpu=1))


def test_a_worker_is_not_started_without_a_server():
    with (
        temporary_settings({PREFECT_API_URL: None}),
        pytest.raises(ConfigError, match="make serve"),
    ):
        main(WorkConfig())


@pytest.fixture
def naps(api):
    """A deployment of the flow that sleeps, in the pool of GPUs; nothing limits it."""
    pool = parts.POOLS["gpu"]
    assert api.read_work_pool(pool).concurrency_limit is None
    assert api.read_work_queue_by_name(parts.ANY_GPU, pool).concurrency_limit is None
    return api.create_deployment(
        flow_id=api.create_flow_from_name(nap.name),
        name="local-gpu",
        work_pool_name=pool,
        entrypoint="tests.support.naps.nap",
        pull_steps=[],
        job_variables=JOB,
        parameter_openapi_schema=forms.schema(nap),
        enforce_parameter_schema=True,
    )


@pytest.mark.flow
@pytest.mark.slow
@pytest.mark.xdist_group("prefect pages")
def test_a_gpu_has_one_run_at_a_time_by_its_workers_limit_alone(api, naps, tmp_path):
    values = {"folder": str(tmp_path), "seconds": SECONDS}
    queues = (None, None, "gpu-0")
    runs = [
        api.create_flow_run_from_deployment(naps, parameters=values, work_queue_name=queue)
        for queue in queues
    ]
    with worker(tmp_path / "log", gpu=0) as health:
        while not all(ended(api, run) for run in runs):
            time.sleep(0.2)
        with urlopen(health, timeout=10) as answer:
            assert answer.status == 200

    notes = sorted(path.read_text().split() for path in Path(tmp_path).glob("*.txt"))
    assert [note[2] for note in notes] == ["0"] * len(runs)
    for earlier, later in pairwise(notes):
        assert float(earlier[1]) <= float(later[0])


def ended(api, run):
    state = api.read_flow_run(run.id).state
    assert state.type not in (StateType.FAILED, StateType.CRASHED), state
    return state.is_final()
