"""Prefect's forms, filled in by a real browser, and what the server does by itself.

A schedule is switched on in its page on the stack: tests/flows/stack.
"""

import time

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError

from flows import deploy
from flows.deploy import DeployConfig
from polyspace.data.featurize import FeaturizeConfig
from polyspace.store.reader import FeatureStore
from polyspace.train.train_converter import ConverterConfig
from tasks import announcements
from tests.support import browser
from tests.support.prefect_pages import (
    FIELD,
    LABELS,
    choose,
    open_form,
    submit,
    titles,
    write,
)
from tests.support.services import worker
from tests.support.stores import make_store

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.xdist_group("prefect pages")]
NAME = "train_converter/local-cpu"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A training store with the backbones of the presets."""
    return make_store(
        tmp_path_factory.mktemp("features"),
        "train",
        clips=160,
        student=("transnetv2", 4, 4, 6),
        teachers={"motion_vectors": (4, 4, 3), "efficientnet_lite0": (2, 1, 8)},
        dataset="motion",
    )


@pytest.fixture
def page(tmp_path):
    if browser.CHROMIUM is None:
        pytest.skip(browser.MISSING)
    with browser.chromium(tmp_path / "profile") as found:
        yield found


def runs_of(api, name):
    return api.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))


def new_runs(api, name):
    """Give what looks for the runs of a flow that come from now on."""
    before = {run.id for run in runs_of(api, name)}
    return lambda: [run for run in runs_of(api, name) if run.id not in before]


def wait_for(api, run_id):
    """Wait for a run's end; give its state."""
    while not (state := api.read_flow_run(run_id).state).is_final():
        time.sleep(0.2)
    return state


def test_a_run_that_is_filled_into_the_form_is_done_by_a_worker(pages, api, page, store, tmp_path):
    deployment = api.read_deployment_by_name(NAME)
    open_form(page, pages, deployment.id, "Save Dir")

    assert page.run(LABELS)[:2] == ["config", "Features"]
    assert page.run(LABELS)[1:] == titles(ConverterConfig)
    help_text = page.run(f"({FIELD % 'Hold Out'}).innerText")
    assert "Share of the training groups kept back to select the epoch." in help_text
    write(page, "Batch", "16")
    choose(page, "Kind", "ridge")
    write(page, "Features", str(store))
    write(page, "Save Dir", str(tmp_path / "out"))
    look = new_runs(api, "train_converter")
    with worker(tmp_path / "log"):
        runs = submit(page, look)
        assert wait_for(api, runs[0].id).type == StateType.COMPLETED
    (run,) = runs
    assert (run.parameters["config"]["kind"], run.parameters["config"]["batch"]) == ("ridge", 16)
    assert (tmp_path / "out" / "converters.pt").is_file()


def test_the_two_stages_of_a_sweep_are_offered_side_by_side(pages, api, page):
    deployment = api.read_deployment_by_name("sweep/local-cpu")
    open_form(page, pages, deployment.id, "Search")
    stage = f"[...({FIELD % 'Stage'}).querySelectorAll('.p-button-group button')]"
    names = page.run(f"{stage}.slice(0, 2).map(b => [b.innerText.trim(), b.ariaSelected])")
    assert names == [["Fusion", "true"], ["Converter", "false"]]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"confog": {}}, "'confog' was unexpected"),
        ({"config": {"features": "x", "teachers": ["y"], "epoks": 1}}, "'epoks' was unexpected"),
        ({"config": {"features": "x", "teachers": []}}, "config.teachers"),
        ({"config": {"features": "x"}}, "'teachers' is a required property"),
        ({"config": {"features": "x", "teachers": ["y"], "kind": "x"}}, "'x' is not one of"),
        ({"config": {"features": "x", "teachers": ["y"], "batch": 0}}, "less than the minimum"),
    ],
)
def test_wrong_parameters_are_refused_before_there_is_a_run(api, parameters, words):
    look = new_runs(api, "train_converter")
    deployment = api.read_deployment_by_name(NAME)
    with pytest.raises(PrefectHTTPStatusError, match="409") as caught:
        api.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    assert words in caught.value.response.json()["detail"]
    assert not look()


def test_deployed_again_what_was_switched_stays_as_it_is(pages, api):
    before = api.read_deployment_by_name("extract_features/local-cpu")
    (schedule,) = before.schedules
    api.update_deployment_schedule(before.id, schedule.id, active=True)
    (automation,) = api.read_automations_by_name("features finished, train converters on CPU")
    response = httpx.patch(f"{pages}/api/automations/{automation.id}", json={"enabled": False})
    response.raise_for_status()

    deploy.main(DeployConfig(gpus=2, watch=False))

    after = api.read_deployment_by_name("extract_features/local-cpu")
    assert after.id == before.id
    assert [(s.slug, s.active) for s in after.schedules] == [("nightly", True)]
    (again,) = api.read_automations_by_name(automation.name)
    assert (again.id, again.enabled) == (automation.id, False)
    api.update_deployment_schedule(after.id, after.schedules[0].id, active=False)
    httpx.patch(f"{pages}/api/automations/{automation.id}", json={"enabled": True})
    queues = api.read_work_queues(work_pool_name="polyspace-gpu")
    assert {queue.name for queue in queues} == {"default", "gpu-0", "gpu-1"}


def test_a_finished_feature_store_starts_training_on_it(api, store):
    config = FeaturizeConfig(
        dataset="motion",
        root=store.parent,
        student="transnetv2",
        teachers=("motion_vectors", "efficientnet_lite0"),
    )

    @flow(name="extract_features")
    def extraction():
        announcements.features_finished([store], config)

    look = new_runs(api, "train_converter")
    extraction()
    deadline = time.monotonic() + 60
    while not (new := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    (run,) = new
    given = ConverterConfig.model_validate(run.parameters["config"])
    assert (given.features, given.teachers) == (store, config.teachers)
    digits = FeatureStore.open(store).fingerprint[:12]
    assert given.save_dir.name == f"converters-{digits}"
    api.delete_flow_run(run.id)
