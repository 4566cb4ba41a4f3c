import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch

import polyspace
from polyspace.errors import CheckpointError, ExportError, RecordError
from polyspace.export import contents
from polyspace.models.converters import ConverterSpec, Translator
from polyspace.models.fusion import Distilled, Fusion, FusionSpec
from polyspace.models.grids import TokenShape
from polyspace.train.sources import StoredClips
from tasks.tracking import Tracker, registry
from tasks.tracking.registration import RegisterConfig
from tests.support.bundles import write_bundle

SHAPE = TokenShape(2, 1, 4)
TEST = "of these test clips"


@pytest.fixture
def clips(feature_stores):
    return StoredClips.find(feature_stores, dataset=None, split="test", device=torch.device("cpu"))


@pytest.fixture
def make(tmp_path, clips):
    """Make a bundle of another model, with a proof that says what the test wants."""

    def bundle(seed=0, *, top1=0.5, difference=0.0, held_out=TEST):
        torch.manual_seed(seed)
        converter = ConverterSpec(source=SHAPE, target=SHAPE, kind="linear", reach=0, hidden=4)
        names = ("left", "right")
        head = FusionSpec(
            student=SHAPE, teachers={"teacher": SHAPE}, class_names=names, rank=2, dropout=0
        )
        model = Distilled(Translator("student", {"teacher": converter}), Fusion(head)).eval()
        folder = write_bundle(tmp_path / f"bundle{seed}", model, clips)
        proof = {
            "dataset": "motion",
            "split": "test",
            "ratio": 0.5,
            "clips": 4,
            "fingerprint": held_out,
            "top1_export": {"value": top1},
            "difference_points": {"value": difference},
            "thresholds": {"points": 0.1},
        }
        contents.write_json(folder / contents.PROOF, proof)
        contents.seal(folder)
        return folder

    return bundle


@pytest.fixture
def register(feature_stores, client):
    return lambda folder, **options: registry.register(
        RegisterConfig(bundle=folder, features=feature_stores, **options)
    )


def champion(client, name="motion-student", alias="champion"):
    return client.get_model_version_by_alias(name, alias)


def test_a_version_says_what_it_is_and_has_the_alias(make, register, client):
    folder = make(top1=0.75)
    registered = register(folder)
    version = champion(client)
    assert (registered.name, registered.version, registered.alias) == (
        "motion-student",
        str(version.version),
        "champion",
    )
    assert version.tags["polyspace.kind"] == "fp16"
    assert float(version.tags["polyspace.top1"]) == 0.75
    assert version.description == (folder / "README.md").read_text()
    run = client.get_run(version.run_id)
    assert {source.dataset.name for source in run.inputs.dataset_inputs} >= {
        "motion test",
        "motion bundle",
    }


def test_what_mlflow_loads_answers_as_the_bundle_does_whatever_the_number_of_clips(
    make, register, client, clips, monkeypatch, mlflow_uri
):
    from mlflow import pyfunc
    from mlflow.tracking._model_registry import utils as registries
    from mlflow.tracking._tracking_service import utils as trackers

    # An MLflow server that ran in this process has left its own.
    monkeypatch.setattr(registries, "_registry_uri", mlflow_uri)
    monkeypatch.setattr(trackers, "_tracking_uri", mlflow_uri)
    folder = make()
    registered = register(folder)
    model = pyfunc.load_model(registered.uri)
    tokens = clips.tokens("student", np.arange(3)).numpy()
    said = model.predict({"tokens": tokens})
    assert list(said.columns) == ["left", "right"]
    np.testing.assert_allclose(said.to_numpy(), polyspace.load(folder)(tokens).numpy(), rtol=1e-6)
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 2, 1, 4)


def test_nothing_that_is_registered_is_a_pickle(make, register, client, tmp_path):
    register(make())
    files = [path for path in (tmp_path / "mlflow").rglob("*") if path.is_file()]
    assert any(path.name == "model.safetensors" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pth", ".pt")]


def test_the_same_bundle_is_registered_once(make, register, client):
    folder = make()
    assert register(folder) == register(folder)
    assert len(client.search_model_versions("name = 'motion-student'")) == 1


@pytest.mark.parametrize(
    ("top1", "held_out", "moves"),
    [(0.75, TEST, True), (0.5, TEST, True), (0.25, TEST, False), (0.25, "of others", True)],
)
def test_the_alias_stays_with_a_version_that_is_better_on_the_same_clips(
    make, register, client, top1, held_out, moves
):
    first = register(make(0, top1=0.5))
    second = register(make(1, top1=top1, held_out=held_out))
    has = str(champion(client).version)
    assert has == (second if moves else first).version
    assert second.alias == ("champion" if moves else None)


def test_names_and_aliases_can_be_chosen(make, register, client):
    registered = register(make(), name="mine", alias="candidate")
    assert str(champion(client, "mine", "candidate").version) == registered.version


def test_a_bundle_whose_proof_does_not_hold_is_refused(make, register, client):
    with pytest.raises(ExportError, match=r"differs from its source by 0\.70 points .*allowed: 0"):
        register(make(difference=-0.7))
    assert not client.search_registered_models()


def test_an_altered_bundle_is_refused(make, register, client):
    folder = make()
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the file that was exported"):
        register(folder)
    assert not client.search_registered_models()


def test_without_tracking_nothing_can_be_registered(make, feature_stores, mlflow_uri):
    config = RegisterConfig(bundle=make(), features=feature_stores)
    with pytest.raises(RecordError, match="tracking is off"):
        registry.register(config, Tracker(enabled=False))


def test_a_failing_server_is_one_line(make, register, monkeypatch, client):
    def fail(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(registry, "_log", fail)
    with pytest.raises(RecordError, match="didn't take the model \\(no route to host\\)"):
        register(make())


@pytest.mark.slow
def test_mlflow_serves_it(make, register, client, clips, mlflow_uri, tmp_path):
    folder = make()
    registered = register(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", registered.uri]
    places = {"MLFLOW_TRACKING_URI": mlflow_uri, "DO_NOT_TRACK": "true"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [*command, "-p", str(port), "--env-manager", "local"],
        env={**os.environ, **places, "PATH": path},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/health")
        tokens = clips.tokens("student", np.arange(2)).numpy()
        body = json.dumps({"inputs": {"tokens": tokens.tolist()}}).encode()
        request = Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            said = json.load(answer)["predictions"]
    finally:
        os.killpg(server.pid, 9)
        server.wait()
    expected = polyspace.load(folder)(tokens)
    assert [list(row) for row in said] == [["left", "right"]] * 2
    np.testing.assert_allclose([list(row.values()) for row in said], expected.numpy(), rtol=1e-5)


def _wait(address):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            urlopen(address, timeout=5).close()
        except (URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"{address} doesn't answer")
