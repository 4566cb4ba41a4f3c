"""A team's day on the stack, in a real browser: form, schedule, event, comparison.

$POLYSPACE_PICTURES, a folder, gets what the browser saw at the end of each.
"""

import os
import time
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from flows.services import programs
from polyspace.store.reader import FeatureStore
from tests.support import browser, mlflow_pages, prefect_pages
from tests.support.naps import nap, scheduled
from tests.support.ucf101 import make_ucf101

pytestmark = [
    pytest.mark.flow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("stack"),
    pytest.mark.skipif(programs.missing() is not None, reason=str(programs.missing())),
    pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.MISSING),
]
TEACHERS = ("motion_vectors", "efficientnet_lite0")
STUDENT = "transnetv2"
"""As the presets have them."""
DRAWN_WITHIN_SECONDS = 15.0


@pytest.fixture(scope="module")
def api(stack):
    """A client of the stack's Prefect, as a person's machine has it."""
    place = temporary_settings(
        {
            PREFECT_API_URL: f"{stack.prefect}/api",
            PREFECT_API_AUTH_STRING: stack.secret("prefect_auth"),
            PREFECT_API_SSL_CERT_FILE: str(stack.authority),
        }
    )
    with place, get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def page(stack, tmp_path_factory):
    """A browser whose user has logged in to Prefect."""
    profile = tmp_path_factory.mktemp("browser") / "profile"
    with browser.chromium(profile, stack.authority.with_name("intermediate.crt")) as found:
        prefect_pages.log_in(found, stack.prefect, stack.secret("prefect_auth"))
        yield found


@pytest.fixture
def album(tmp_path, page):
    """Takes pictures; for those that are kept it waits until everything is drawn."""

    def save(name):
        if folder := os.environ.get("POLYSPACE_PICTURES"):
            time.sleep(DRAWN_WITHIN_SECONDS)
        page.picture(Path(folder or tmp_path) / f"stack_{name}.png")

    return save


@pytest.fixture(scope="module")
def extracted(api, tmp_path_factory):
    """An extraction by a worker; gives its run, and the folder of its stores."""
    folder = tmp_path_factory.mktemp("extraction")
    config = {
        "dataset": "ucf101",
        "root": str(make_ucf101(folder / "videos", groups=8)),
        "out": str(folder / "features"),
        "student": STUDENT,
        "teachers": TEACHERS,
        "frames": 4,
        "workers": 0,
        "device": "cpu",
    }
    deployment = api.read_deployment_by_name("extract_features/local-cpu")
    run = api.create_flow_run_from_deployment(deployment.id, parameters={"config": config})
    ended(api, run.id)
    return run, folder / "features"


@pytest.fixture(scope="module")
def chained(api, extracted):
    """The training that the finished store has started."""
    while not (found := runs_of(api, "train_converter")):
        time.sleep(0.2)
    ended(api, found[0].id)
    return found[0]


@pytest.fixture(scope="module")
def submitted(api, page, stack, extracted, chained, tmp_path_factory):
    """A training that was filled into the form."""
    deployment = api.read_deployment_by_name("train_converter/local-cpu")
    prefect_pages.open_form(page, stack.prefect, deployment.id, "Save Dir")
    prefect_pages.write(page, "Features", str(extracted[1]))
    prefect_pages.write(page, "Dataset", "ucf101")
    prefect_pages.write(page, "Save Dir", str(tmp_path_factory.mktemp("form") / "ridge"))
    prefect_pages.choose(page, "Kind", "ridge")
    found = prefect_pages.submit(page, lambda: others(api, chained.id))
    ended(api, found[0].id)
    return found[0]


def runs_of(api, name):
    return api.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))


def others(api, run_id):
    return [run for run in runs_of(api, "train_converter") if run.id != run_id]


def ended(api, run_id):
    """Wait until a run has completed."""
    while not (state := api.read_flow_run(run_id).state).is_final():
        time.sleep(0.5)
    assert state.is_completed(), state


def show(page, stack, run):
    """Open a run's page, and wait until it says that the run is over."""
    page.open(f"{stack.prefect}/runs/flow-run/{run.id}")
    page.wait("document.body.innerText.includes('Completed')")
    page.wait(f"document.body.innerText.includes({run.name!r})")


def test_a_finished_feature_store_starts_a_training_that_completes(
    stack, page, album, extracted, chained
):
    given = chained.parameters["config"]
    (store,) = extracted[1].glob("*_train.zarr")
    assert (Path(given["features"]), tuple(given["teachers"])) == (store, TEACHERS)
    digits = FeatureStore.open(store).fingerprint[:12]
    assert (stack.workplace / f"runs/team/converters-{digits}/converters.pt").is_file()
    show(page, stack, chained)
    album("event")


def test_a_run_that_is_filled_into_the_form_completes(stack, page, album, submitted):
    given = submitted.parameters["config"]
    assert given["kind"] == "ridge"
    assert (Path(given["save_dir"]) / "converters.pt").is_file()
    show(page, stack, submitted)
    album("form")


def test_a_schedule_that_is_switched_on_in_the_page_starts_runs(stack, api, page, album, tmp_path):
    deployment_id = scheduled(api, tmp_path)
    prefect_pages.switch_on(page, stack.prefect, deployment_id)
    while not (done := [run for run in runs_of(api, nap.name) if run.state.is_completed()]):
        time.sleep(0.5)
    assert all(run.auto_scheduled for run in done)
    assert list(tmp_path.glob("*.txt"))
    page.open(f"{stack.prefect}/deployments/deployment/{deployment_id}")
    page.wait(f"document.body.innerText.includes({done[0].name!r})")
    album("schedule")
    api.delete_deployment(deployment_id)


def test_mlflow_compares_both_trainings_on_one_page(stack, trust, page, album, chained, submitted):
    access = ("admin", stack.secret("mlflow_admin_password"))
    with httpx.Client(base_url=stack.mlflow, verify=trust, auth=access) as client:
        asked = {"experiment_name": "polyspace/ucf101"}
        found = client.get("/api/2.0/mlflow/experiments/get-by-name", params=asked).json()
        experiment = found["experiment"]["experiment_id"]
        wanted = {"experiment_ids": [experiment], "filter": "params.kind LIKE '%'"}
        runs = client.post("/api/2.0/mlflow/runs/search", json=wanted).json()["runs"]
    assert [run["info"]["status"] for run in runs] == ["FINISHED"] * 2

    # The browser remembers who it is from here on.
    page.open(stack.mlflow.replace("://", "://{}:{}@".format(*access)))
    page.wait("document.body.innerText.includes('Experiments')")
    address = f"{stack.mlflow}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    mlflow_pages.open_runs(page, address, 3)
    mlflow_pages.compare(page, "train_converter")
    text = page.run("document.body.innerText")
    for kind in ("ridge", "residual_mlp"):
        assert kind in text
    album("comparison")
