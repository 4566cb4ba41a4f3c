import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from polyspace.store.block import Block
from polyspace.store.layout import ArraySpec, ClipRows, StoreHeader
from polyspace.store.writer import StoreWriter
from tests.support.exported import exportable


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep tests that share what their module has made in one process: it is made once."""
    for item in items:
        if not item.get_closest_marker("xdist_group") and _shares_within_module(item):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


def _shares_within_module(item):
    used = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for *_, definition in used)


@pytest.fixture(autouse=True)
def _no_memory_of_what_was_checked(tmp_path, monkeypatch):
    """Keep what the reader remembers out of the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def stores_of(tmp_path_factory):
    """Folders with small stores of train and test, two classes, a student and a teacher."""

    @functools.cache
    def write(dataset):
        folder = tmp_path_factory.mktemp("features")
        for split, count in (("train", 8), ("test", 4)):
            _write_store(folder / f"{dataset}_{split}.zarr", dataset, split, count)
        return folder

    return write


@pytest.fixture
def feature_stores(stores_of, tmp_path):
    """A folder of stores of this test's own."""
    return Path(shutil.copytree(stores_of("motion"), tmp_path / "features"))


@pytest.fixture(scope="session")
def exported_source(tmp_path_factory):
    """Stores and checkpoints that can be exported; not to be changed."""
    return exportable(tmp_path_factory.mktemp("exportable"))


@pytest.fixture
def same_process(monkeypatch, tmp_path):
    """Proofs without a process of their own, which takes seconds to start."""
    from polyspace.export.proof import child, fresh

    folder = tmp_path / "answers"
    folder.mkdir()

    def answer(job):
        return child.do(job, folder), load_file(folder / "logits.safetensors")["logits"]

    monkeypatch.setattr(fresh, "answer", answer)
    monkeypatch.setattr(fresh, "time", lambda job: child.do(job, folder))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory):
    from mlflow import MlflowClient  # slow to import, and most tests don't need it

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mlflow_uri(tmp_path, monkeypatch, _empty_database):
    """The address of a SQLite database of this test's own that runs are tracked in."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    # Copied, because MLflow takes most of a second to make one.
    shutil.copy(_empty_database, folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def client(mlflow_uri):
    """A client that looks at what was tracked."""
    from mlflow import MlflowClient

    return MlflowClient(mlflow_uri)


def _write_store(path, dataset, split, count):
    header = StoreHeader(dataset, split, ("left", "right"), clips_per_chunk=8, protocol={})
    names = [f"{split}-{number}" for number in range(count)]
    rows = ClipRows(tuple(names), tuple(names), np.arange(count) % 2)
    specs = [
        ArraySpec(
            name,
            time=2,
            space=1,
            dim=4,
            provenance={"role": role, "weights": {"source": "none", "random": False}},
        )
        for name, role in (("student", "student"), ("teacher", "teacher"))
    ]
    draw = torch.Generator().manual_seed(0)
    with StoreWriter.open(path, header, rows, specs) as writer:
        for item in writer.pending():
            blocks = {
                spec.backbone: Block(
                    tokens=torch.randn(len(item), 1, 2, 1, 4, generator=draw),
                    summary=torch.randn(len(item), 1, 4, generator=draw),
                    seconds=np.zeros((len(item), 1, 2, 2)),
                )
                for spec in specs
            }
            writer.write(item, blocks, quarantined={})
