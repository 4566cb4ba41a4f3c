"""The variants for containers and clusters, against Prefect's own description of their workers."""

import json
from pathlib import Path

import jsonschema
import prefect.server.api
import pytest
import yaml

from flows import deploy, projects
from flows.deploy import FILE

VARIANTS = ("docker", "kubernetes")


def metadata():
    """What a server says of the workers that there are, from the package."""
    views = Path(prefect.server.api.__file__).parent / "collections_data/views"
    return json.loads((views / "aggregate-worker-metadata.json").read_text())


def read(variant):
    return projects.read(FILE.with_name(f"{variant}.yaml"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_job_variables_are_such_as_the_worker_takes(variant):
    project = read(variant)
    templates = {pool.name: deploy.template(pool, metadata) for pool in project.pools}
    for entry in project.deployments:
        variables = templates[entry.work_pool.name]["variables"]
        assert entry.work_pool.job_variables.keys() <= variables["properties"].keys()
        jsonschema.validate(entry.work_pool.job_variables, variables)


def test_containers_share_volumes_networks_and_folder_with_those_of_compose():
    compose = yaml.safe_load((FILE.parents[1] / "docker/compose.yaml").read_text())
    image = (FILE.parents[1] / "docker/Dockerfile").read_text()
    for entry in read("docker").deployments:
        variables = entry.work_pool.job_variables
        for volume in variables["volumes"]:
            name, inside = volume.split(":")
            assert name.removeprefix(f"{compose['name']}_") in compose["volumes"]
            assert f"WORKDIR {Path(inside).parent}\n" in image
        for network in variables["networks"]:
            assert network.removeprefix(f"{compose['name']}_") in compose["networks"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_says_that_it_is_untried(variant):
    assert "# UNTRIED: " in FILE.with_name(f"{variant}.yaml").read_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_are_handed_to_the_same_kind_of_worker(variant):
    for entry in read(variant).deployments:
        assert entry.name.startswith(variant)
        if "deployment" in entry.parameters:
            assert entry.parameters["deployment"] == entry.name


def test_a_job_for_a_gpu_asks_the_cluster_for_one():
    cpu, gpu = (deploy.template(pool, metadata) for pool in read("kubernetes").pools)
    asked = [
        template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0]
        for template in (cpu, gpu)
    ]
    assert [c["resources"]["limits"].get("nvidia.com/gpu") for c in asked] == [None, "1"]
