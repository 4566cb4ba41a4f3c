import json
import shutil

import pytest
from prefect.testing.utilities import prefect_test_harness

from polyspace.data import featurize
from polyspace.engine.loop import Step
from polyspace.export import bundle
from polyspace.report import page
from polyspace.train import evaluate, train_converter, train_fusion


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

    fake(featurize, "extract_features", lambda config: _copy(feature_stores, config.out))
    fake(train_converter, "train_converter", lambda c: _write(c.save_dir / "converters.pt"))
    fake(train_fusion, "train_fusion", lambda c: _write(c.save_dir / "fusion.pt"))
    fake(evaluate, "evaluate", lambda c: _write(c.out / "evaluation.json", EVALUATION))
    fake(bundle, "quantize_export", lambda config: _bundle(config.out))
    monkeypatch.setattr(page, "write", lambda *paths, out, **more: _write(out))
    return names


def _copy(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True)
    return tuple(sorted(target.glob("*.zarr")))


def _write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def _bundle(folder):
    _write(folder / "proof.json", PROOF)
    return folder


def _method(name, kind, top1):
    estimate = {"value": top1, "low": top1 - 0.1, "high": top1 + 0.1}
    return {
        "name": name,
        "kind": kind,
        "words": name,
        "parameters": 10,
        "top1": estimate,
        "top5": estimate,
        "mean_class": top1,
        "covered_top1": top1,
        "per_class": [top1, top1],
        "confusion": [[1, 0], [0, 1]],
        "ece": 0.1,
    }


EVALUATION = {
    "schema": 1,
    "command": "python -m flows.distill",
    "created": "2026-01-01T00:00:00+00:00",
    "device": "cpu",
    "versions": {"torch": "2.13.0"},
    "seed": 0,
    "seconds": 1.0,
    "dataset": {
        "name": "motion",
        "split": "test",
        "class_names": ["left", "right"],
        "clips": 4,
        "groups": 4,
        "shared_groups": 0,
        "fingerprint": "ab" * 32,
        "train_fingerprint": "cd" * 32,
    },
    "chance": 0.5,
    "majority": 0.5,
    "coverage": {"clips": 4, "evaluated": 4, "share": 1.0, "quarantined": {}},
    "random_weights": [],
    "student": "student",
    "teachers": ["teacher"],
    "methods": [_method("fusion", "method", 0.75), _method("student", "baseline", 0.5)],
    "comparison": {
        "method": "fusion",
        "baseline": "student",
        "difference": {"value": 0.25, "low": 0.1, "high": 0.4},
        "mcnemar_p": 0.01,
    },
    "translation": {},
    "gates": {},
    "interval": "95 %, bootstrap over groups, 2000 resamples",
}

PROOF = {
    "dtype": "float16",
    "float32_bytes": 2000,
    "bytes": 1010,
    "ratio": 0.505,
    "clips": 4,
    "top1_source": 0.75,
    "top1_export": 0.75,
    "difference_points": 0.0,
    "agreement": 1.0,
    "max_abs_logit": 0.001,
    "threshold_points": 0.5,
    "quantization_info": {},
}
