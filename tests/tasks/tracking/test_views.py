"""How an experiment opens in MLflow."""

import json

from flows import serve
from polyspace.config import Config
from tasks import addresses, tracking
from tasks.tracking import ALONE, views


class Settings(Config):
    """How something is trained."""


def test_the_view_fits_the_column_of_mlflows_database():
    assert len(views.experiment_tags("motion")[addresses.VIEW_TAG]) < 5000


def test_the_view_names_what_stages_tell():
    state = json.loads(json.loads(views.experiment_tags("motion")[addresses.VIEW_TAG])["state"])
    charts = state["compareRunCharts"]
    assert {chart["metricKey"] for chart in charts} == {*views.RESULTS, *views.CURVES}
    assert {chart["metricSectionId"] for chart in charts} == {
        section["uuid"] for section in state["compareRunSections"]
    }
    assert len({chart["uuid"] for chart in charts}) == len(charts)


def test_an_experiment_of_before_is_brought_up_to_date_and_keeps_what_people_wrote(client):
    tags = {"mlflow.note.content": "ours", addresses.VIEW_TAG: "old"}
    made = client.create_experiment("polyspace/motion", tags=tags)
    with tracking.run("train", Settings(), "motion", ALONE):
        pass
    found = client.get_experiment(made).tags
    assert found["mlflow.note.content"] == "ours"
    assert found[addresses.VIEW_TAG] == views.experiment_tags("motion")[addresses.VIEW_TAG]
    assert found["mlflow.experimentKind"] == "custom_model_development"


def test_serve_leads_to_each_experiment_that_has_the_view(proxy, server):
    server.create_experiment("somebody else's")
    with tracking.run("train", Settings(), "served", ALONE):
        pass
    found = server.get_experiment_by_name("polyspace/served")
    page = f"/#/experiments/{found.experiment_id}/runs?workflowType=machine_learning"
    lines = [line for line in serve.views(proxy.port) if "somebody" in line or "served" in line]
    (line,) = lines
    assert line.startswith("polyspace/served  http://127.0.0.1:")
    assert line.endswith(f"{page}&viewStateShareKey=polyspace")
