"""What deployments/prefect.yaml and its presets say, without a server."""

import importlib
import json
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.events import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint

from flows import forms, presets, projects
from flows.deploy import FILE, TRIGGER
from polyspace.config import Config
from polyspace.errors import ConfigError
from tasks import parts
from tests.support.services import ROOT

FILES = sorted(FILE.parent.glob("*.yaml"))
PROJECT = projects.read(FILE)
PRESETS = sorted(path.stem for path in presets.FOLDER.glob("*-*.yaml"))
PARTS = {"extract_part", "sweep_part"}
WITHOUT_GPU = {"compare", "register", "select"}


def flow_of(entry):
    return load_flow_from_entrypoint(entry.entrypoint, use_placeholder_flow=False)


def flows_there_are():
    """Every flow of flows/, by name."""
    modules = [importlib.import_module(f"flows.{p.stem}") for p in (ROOT / "flows").glob("*.py")]
    return {v.name for module in modules for v in vars(module).values() if isinstance(v, Flow)}


def test_every_flow_is_deployed_for_the_cpu_and_where_it_computes_for_gpus():
    found = {f"{flow_of(entry).name}/{entry.name}" for entry in PROJECT.deployments}
    flows = flows_there_are()
    expected = {f"{name}/local-cpu" for name in flows}
    assert found == expected | {f"{name}/local-gpu" for name in flows - WITHOUT_GPU}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_prefects_own_command_understands_the_file(path):
    found = PrefectYamlModel.model_validate(yaml.safe_load(path.read_text()))
    assert [entry.name for entry in found.deployments] == [
        entry.name for entry in projects.read(path).deployments
    ]
    assert all(entry.entrypoint and entry.work_pool for entry in found.deployments)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_deployments_say_what_they_are(path):
    project = projects.read(path)
    pools = {pool.name: pool for pool in project.pools}
    for entry in project.deployments:
        device = "gpu" if pools[entry.work_pool.name].has_gpus else "cpu"
        assert entry.name.endswith(f"-{device}")
        assert {"polyspace", device} <= set(entry.tags)
        assert entry.version == version("polyspace")
        assert entry.description.endswith(".")
        if pools[entry.work_pool.name].type == "process":
            assert "env" not in entry.work_pool.job_variables, "it would win over the worker's"
        assert not any(schedule.active for schedule in entry.schedules)


def test_the_schedules_are_a_nightly_extraction_and_a_weekly_evaluation():
    found = {
        (flow_of(entry).name, schedule.slug)
        for entry in PROJECT.deployments
        for schedule in entry.schedules
    }
    assert found == {
        ("extract_features", "nightly"),
        ("evaluate", "weekly"),
        ("predict", "nightly"),
    }


def configs(name):
    """A preset's parameters as its flow takes them."""
    flow_name, _ = name.split("-", 1)
    flow = getattr(importlib.import_module(f"flows.{flow_name}"), flow_name)
    found = presets.read(name)
    del found["version"]
    return found, flow.validate_parameters(found)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_complete(name):
    """Every setting stands there: a default that changes later changes no deployment."""
    found, taken = configs(name)
    for key, value in taken.items():
        whole = json.loads(value.model_dump_json()) if isinstance(value, Config) else value
        assert found[key] == whole, key


@pytest.mark.parametrize("name", PRESETS)
def test_presets_begin_with_command_machine_time_and_what_to_expect(name):
    lines = (presets.FOLDER / f"{name}.yaml").read_text().splitlines()
    said = [line.split()[1] for line in lines if line.startswith("# ") and line[2] != " "]
    assert said == ["command", "machine", "time", "expect"]
    flow, deployment = name.split("-", 1)
    assert f"deployment run {flow}/{deployment}" in lines[0]


@pytest.mark.parametrize("entry", PROJECT.deployments, ids=lambda e: f"{e.entrypoint}-{e.name}")
def test_forms_are_closed_numbered_and_helpful(entry):
    form = forms.schema(flow_of(entry))

    def help_of(field):
        # The page takes a config's own, where the field says no more than that.
        name = field.get("$ref", "").removeprefix("#/definitions/")
        return field.get("description") or form["definitions"].get(name, {}).get("description")

    for shape in (form, *form["definitions"].values()):
        fields = list(shape["properties"].values())
        assert shape["additionalProperties"] is False
        assert sorted(field["position"] for field in fields) == list(range(len(fields)))
        assert all(map(help_of, fields))
        required = {shape["properties"][name]["position"] for name in shape.get("required", ())}
        assert required == set(range(len(required))), "those without a default come first"


def test_parts_are_handed_to_a_deployment_that_there_is():
    names = {(flow_of(entry).name, entry.name) for entry in PROJECT.deployments}
    assert {(part, parts.DEPLOYMENT) for part in PARTS} <= names


def test_an_event_names_the_store_that_is_trained_on():
    (entry,) = [
        entry for entry in PROJECT.deployments if entry.triggers and entry.name == "local-cpu"
    ]
    trigger = TRIGGER.validate_python(entry.triggers[0])
    assert isinstance(trigger, DeploymentEventTrigger)
    assert trigger.expect == {"polyspace.features.finished"}
    assert trigger.enabled
    assert trigger.parameters
    assert trigger.parameters["config"]["features"] == "{{ event.payload.path }}"


def test_a_preset_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(
        ConfigError, match=r"no preset .*/distil-local-cpu\.yaml: known are ablate-"
    ):
        presets.read("distil-local-cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "describes no"), ("name: x\npools: []\n", "deployments"), ("[]", "describes no")],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        projects.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="give --file"):
        projects.read(tmp_path / Path("none.yaml"))
