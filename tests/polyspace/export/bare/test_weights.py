from collections import OrderedDict

import pytest
import torch
from torch import nn

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError
from polyspace.export.bare import weights
from polyspace.models.fusion import Fusion, FusionSpec
from polyspace.models.grids import TokenShape


class _Harm:
    done = False

    def __reduce__(self):
        return (_Harm._do, ())

    @staticmethod
    def _do():
        _Harm.done = True


@pytest.fixture
def fusion():
    spec = FusionSpec(
        student=TokenShape(2, 4, 6),
        teachers={"flow": TokenShape(2, 1, 3)},
        class_names=("left", "right"),
        rank=2,
        dropout=0,
    )
    return Fusion(spec)


def saved(path, content):
    torch.save(content, path)
    return weights.read(path)


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
def test_weights_are_found_under_the_usual_keys(tmp_path, key):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    found = saved(tmp_path / "a.pt", {key: net.state_dict(), "optimizer": {}, "step": 5})
    assert found.kind == key
    assert found.left_out == ("optimizer", "step")
    assert found.measured == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert found.state.keys() - found.measured == {name for name, _ in net.named_parameters()}


def test_a_state_alone_is_weights_too(tmp_path):
    found = saved(tmp_path / "a.pt", OrderedDict(nn.Linear(2, 2).state_dict()))
    assert set(found.state) == {"weight", "bias"}
    assert found.left_out == ()


def test_of_polyspaces_own_the_module_says_what_is_trained(tmp_path, fusion):
    path = checkpoint.save(tmp_path / "fusion.pt", "fusion", {**fusion.record(), "scores": {}})
    found = weights.read(path)
    trained = {name for name, _ in fusion.named_parameters()}
    assert found.kind == "fusion"
    assert found.state.keys() - found.measured == trained
    assert found.measured == {name for name, _ in fusion.named_buffers()}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([torch.ones(2)], "holds a list"),
        ({"model_state_dict": None}, "holds no weights"),
        ({"model_state_dict": {}}, "holds no weights"),
        ({"model_state_dict": {"a": 3}}, "a is no dense tensor"),
        ({"generator": {"a": torch.ones(2)}, "x": 1}, "holds generator, x, expected weights under"),
        ({"state_dict": {"a": torch.ones(2).to_sparse()}}, "a is no dense tensor"),
        ({"state_dict": {"a": torch.ones(2, dtype=torch.complex64)}}, "a is no dense tensor"),
        ({}, "holds no weights"),
        ({"kind": "fusion", "format": 1, "state": {}}, "is no fusion of this version"),
        ({"kind": "fusion", "format": 99}, "has format 99"),
        ({"kind": "run", "parts": {}}, "holds kind, parts, expected"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path, content, match):
    with pytest.raises(CheckpointError, match=match) as refused:
        saved(tmp_path / "a.pt", content)
    assert "\n" not in str(refused.value)


def test_weights_that_are_missing_or_of_another_model_are_refused(tmp_path, fusion):
    record = fusion.record()
    record["state"] = {name: value for name, value in list(record["state"].items())[1:]}
    path = checkpoint.save(tmp_path / "fusion.pt", "fusion", record)
    with pytest.raises(CheckpointError, match="1 missing"):
        weights.read(path)


def test_a_file_with_code_in_it_is_refused_by_what_it_would_call(tmp_path):
    torch.save({"model_state_dict": {"a": torch.ones(2)}, "x": _Harm()}, tmp_path / "harm.pt")
    with pytest.raises(CheckpointError, match="it would call getattr") as refused:
        weights.read(tmp_path / "harm.pt")
    assert "\n" not in str(refused.value)
    assert "weights_only" not in str(refused.value)
    assert not _Harm.done


def test_an_altered_file_is_refused(tmp_path):
    path = checkpoint.save(tmp_path / "a.pt", "other", {"model_state_dict": {"a": torch.ones(9)}})
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="is not the file that was written"):
        weights.read(path)
