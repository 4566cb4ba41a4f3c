import hashlib
import shutil
import subprocess

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.errors import CheckpointError, DivergedError

WEIGHT = torch.arange(6.0).reshape(2, 3)
CONTENT = {
    "state": {"weight": WEIGHT},
    "scores": {"r2": 0.5},
    "names": ["a", "b"],
    "nothing": None,
}


@pytest.fixture
def path(tmp_path):
    return checkpoint.save(tmp_path / "run" / "model.pt", "fusion", CONTENT)


def test_what_was_saved_is_loaded(path):
    loaded = checkpoint.load(path, "fusion")
    assert torch.equal(loaded["state"]["weight"], WEIGHT)
    assert [loaded[key] for key in ("scores", "names", "nothing")] == [
        {"r2": 0.5},
        ["a", "b"],
        None,
    ]


def test_anyone_can_load_it_without_trusting_it(path):
    assert torch.load(path, weights_only=True)["kind"] == "fusion"


def test_the_digest_beside_it_is_one_that_sha256sum_can_check(path):
    digest = path.with_name("model.pt.sha256")
    assert digest.read_text() == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  model.pt\n"
    checked = subprocess.run(
        ["sha256sum", "--check", digest.name], cwd=path.parent, capture_output=True, check=False
    )
    assert checked.returncode == 0


def test_another_kind_is_refused(path):
    with pytest.raises(CheckpointError, match=r"model\.pt holds fusion, expected converters"):
        checkpoint.load(path, "converters")


def test_a_file_of_torch_that_is_no_checkpoint_of_ours_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds something else, expected fusion"):
        checkpoint.load(tmp_path / "list.pt", "fusion")


def test_a_missing_file_is_named_with_its_kind(tmp_path):
    with pytest.raises(CheckpointError, match=r"no fusion checkpoint at .*gone\.pt: train one"):
        checkpoint.load(tmp_path / "gone.pt", "fusion")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_one_flipped_bit_is_refused(path, share):
    raw = bytearray(path.read_bytes())
    raw[int(share * len(raw))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="is not the file that was written"):
        checkpoint.load(path, "fusion")


def test_a_file_that_was_copied_without_its_digest_is_read(path, tmp_path):
    copy = shutil.copy(path, tmp_path / "copy.pt")
    assert checkpoint.load(copy, "fusion")["scores"] == {"r2": 0.5}


@pytest.mark.parametrize(
    "raw",
    [b"", b"hello", b"\x80\x02.", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(40), bytes(512), b"r"],
)
def test_bytes_of_another_origin_are_refused_in_one_line(tmp_path, raw):
    (tmp_path / "other.pt").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"other\.pt is not a checkpoint") as refused:
        checkpoint.load(tmp_path / "other.pt", "fusion")
    assert "\n" not in str(refused.value)


def test_a_checkpoint_that_would_execute_code_is_refused(tmp_path):
    torch.save({"kind": "fusion", "harm": _Harm()}, tmp_path / "harm.pt")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoint.load(tmp_path / "harm.pt", "fusion")
    assert not _Harm.done


def test_a_save_that_fails_in_the_middle_leaves_the_old_one_and_its_digest(path, monkeypatch):
    def fail(content, file):
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, "fusion", {"scores": {"r2": 0.9}})
    assert checkpoint.load(path, "fusion")["scores"] == {"r2": 0.5}
    assert path.with_name("model.pt.sha256").is_file()


def test_a_kill_between_the_file_and_its_digest_leaves_a_checkpoint_that_loads(path, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "sha256_file", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, "fusion", {"scores": {"r2": 0.9}})
    monkeypatch.undo()
    assert checkpoint.load(path, "fusion")["scores"] == {"r2": 0.9}


class _Harm:
    done = False

    def __reduce__(self):
        return (setattr, (_Harm, "done", True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_published(path, bad):
    spoiled = {"state": {"weight": WEIGHT, "bias": [torch.tensor([0.0, bad])]}}
    with pytest.raises(DivergedError, match=r"state\.bias\[0\] has values that are not finite"):
        checkpoint.save(path, "fusion", spoiled)
    assert torch.equal(checkpoint.load(path, "fusion")["state"]["weight"], WEIGHT)


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    path = checkpoint.save(tmp_path / "new.pt", "fusion", CONTENT)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"has format 2, this PolySpace reads up to 1") as no:
        checkpoint.load(path, "fusion")
    assert "\n" not in str(no.value)


def test_a_removed_checkpoint_leaves_nothing(path):
    checkpoint.remove(path)
    checkpoint.remove(path)
    assert not list(path.parent.iterdir())
