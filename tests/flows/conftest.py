import json
import shutil

import pytest
from prefect.testing.utilities import prefect_test_harness

from polyspace.data import featurize
from polyspace.engine.loop import Step
from polyspace.export import bundle
from polyspace.report import evaluation
from polyspace.train import evaluate, train_converter, train_fusion
from tasks import models
from tests.support.exports import write_bundle
from tests.support.records import write_records


@pytest.fixture(scope="session")
def prefect_server():
    """One Prefect server with a database of its own for all tests of flows."""
    with prefect_test_harness(server_startup_timeout=90):
        yield


@pytest.fixture
def videos(tmp_path):
    """A folder of classes; nothing looks into its files."""
    for split in ("train", "test"):
        for name in ("left", "right"):
            folder = tmp_path / "videos" / split / name
            folder.mkdir(parents=True)
            (folder / "1.mp4").write_bytes(b"not looked into")
    return tmp_path / "videos"


@pytest.fixture
def ran(monkeypatch, feature_stores):
    """Stages that do next to nothing, and the list of those that ran."""
    names = []

    def fake(module, name, work):
        def run(config):
            names.append(name)
            yield Step(1, 1, 1, {"loss": 1.0}, 0.1, False, {"score": 0.5})
            return work(config)

        monkeypatch.setattr(module, "run", run)

    def export(config, name):
        names.append(f"export {name}")
        yield Step(1, 1, 1, {"loss": 1.0}, 0.1, False, {"score": 0.5})
        return write_bundle(config.folder(name), name)

    fake(featurize, "extract_features", lambda config: _copy(feature_stores, config.out))
    fake(train_converter, "train_converter", lambda c: _trained(c, "converters.pt"))
    fake(train_fusion, "train_fusion", lambda c: _trained(c, "fusion.pt"))
    fake(evaluate, "evaluate", lambda config: write_records(config.out).evaluation)
    monkeypatch.setattr(bundle, "run", export)
    # The registry wants a bundle that answers; these hold records alone.
    monkeypatch.setattr(models, "offer", lambda config, tracker: None)
    monkeypatch.setattr(evaluation, "write", lambda material, out: _write(out / "report.html"))
    return names


def _copy(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True)
    return tuple(sorted(target.glob("*.zarr")))


def _trained(config, name):
    r2 = {f"r2/{teacher}": 0.5 for teacher in config.teachers}
    epoch = {"epoch": 1, "top1": 0.5, "log_likelihood": -1.0, "r2": 0.5, **r2}
    _write(config.save_dir / "curves.json", {"epochs": [epoch]})
    return _write(config.save_dir / name)


def _write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
