import pytest
import torch
from safetensors.torch import save_file

from polyspace.errors import ExportError
from polyspace.export.bare import reread

STATE = {
    "half": torch.tensor([1.0, -0.0, 6e-8], dtype=torch.float16),
    "brain": torch.ones(2, 2, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.ones(0, 3),
}


@pytest.fixture
def files(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    torch.save({"model_state_dict": STATE}, tmp_path / "view.pt")
    return [tmp_path / "model.safetensors", tmp_path / "view.pt"]


def test_a_fresh_process_gives_back_every_bit(files):
    assert reread.verify(STATE, files) == 4


@pytest.mark.parametrize(
    "other",
    [
        STATE | {"half": torch.tensor([1.0, 0.0, 6e-8], dtype=torch.float16)},
        STATE | {"brain": torch.ones(4, dtype=torch.bfloat16)},
        STATE | {"count": torch.tensor(7, dtype=torch.int32)},
        {name: value for name, value in STATE.items() if name != "empty"},
    ],
    ids=["sign", "shape", "type", "missing"],
)
def test_a_bit_a_shape_a_type_or_a_name_that_differs_is_found(other):
    assert reread.digests(other) != reread.digests(STATE)


def test_a_file_of_other_tensors_is_refused_by_name(files):
    other = STATE | {"half": torch.tensor([1.0, 0.0, 6e-8], dtype=torch.float16)}
    with pytest.raises(ExportError, match="came back with another half"):
        reread.verify(other, files)


def test_a_file_that_can_not_be_read_is_refused_in_one_line(files):
    files[0].write_bytes(b"no weights")
    with pytest.raises(ExportError, match="a fresh process can't read the export") as refused:
        reread.verify(STATE, files)
    assert "\n" not in str(refused.value)
