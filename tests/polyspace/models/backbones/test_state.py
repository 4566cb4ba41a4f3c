import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from polyspace.errors import WeightsError
from polyspace.models.backbones.state import fingerprint, load_state, read_state


@pytest.mark.parametrize("name", ["state.safetensors", "state.pth"])
def test_tensors_are_read_from_either_kind_of_file(tmp_path, name):
    state = {"weight": torch.arange(6.0).view(2, 3)}
    file = tmp_path / name
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    assert torch.equal(read_state(file)["weight"], state["weight"])


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_code_in_a_weights_file_is_refused_and_never_runs(tmp_path):
    torch.save({"weight": Bomb(str(tmp_path / "exploded"))}, tmp_path / "state.pth")
    with pytest.raises(WeightsError, match="can't be read as weights"):
        read_state(tmp_path / "state.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["state.safetensors", "state.pth"])
def test_a_damaged_file_and_a_missing_one_are_told_in_one_line(tmp_path, name):
    with pytest.raises(WeightsError, match=f"holds no {name}"):
        read_state(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="can't be read as weights") as caught:
        read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_weights_must_fit_the_network_by_name_and_shape():
    network = nn.Linear(3, 2)
    load_state(network, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, source="x")
    assert torch.equal(network.weight, torch.ones(2, 3))
    with pytest.raises(WeightsError, match=r"1 missing \(bias\); 1 unexpected \(extra\)"):
        load_state(network, {"weight": torch.ones(2, 3), "extra": torch.ones(1)}, source="x")
    with pytest.raises(WeightsError, match=r"1 of another shape \(bias\)"):
        load_state(network, {"weight": torch.ones(2, 3), "bias": torch.zeros(3)}, source="x")


def test_a_fingerprint_depends_on_names_bits_and_settings_but_not_on_order():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor(3, dtype=torch.int64)
    known = fingerprint({"a": a, "b": b}, "{}")
    assert fingerprint({"b": b, "a": a}, "{}") == known
    others = [
        fingerprint({"a": a, "c": b}, "{}"),
        fingerprint({"a": torch.tensor([1.0, 2.0 + 2**-22]), "b": b}, "{}"),
        fingerprint({"a": a, "b": b}, "{ }"),
        fingerprint({"a": a.to(torch.bfloat16), "b": b}, "{}"),
    ]
    assert len({known, *others}) == 5
