import hashlib
import subprocess

import pytest

from polyspace.errors import CheckpointError
from polyspace.export import contents


@pytest.fixture
def folder(tmp_path):
    """A sealed folder."""
    made = tmp_path / "bundle"
    made.mkdir()
    contents.write_json(made / "config.json", {"format": contents.FORMAT, "kind": "fp16"})
    contents.write_json(made / "proof.json", {"agreement": 1.0})
    (made / "model.safetensors").write_bytes(bytes(range(256)))
    contents.seal(made)
    return made


def test_what_was_sealed_is_verified_as_sha256sum_does(folder):
    contents.verify(folder)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        "config.json",
        "model.safetensors",
        "proof.json",
    ]
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert f"{digest}  model.safetensors" in lines


def test_every_flipped_bit_is_noticed(folder):
    for path in sorted(folder.iterdir()):
        good = path.read_bytes()
        for place in range(len(good)):
            flipped = bytearray(good)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            with pytest.raises(CheckpointError) as caught:
                contents.verify(folder)
            assert "\n" not in str(caught.value)
        path.write_bytes(good)
    contents.verify(folder)


def test_every_length_of_the_list_but_its_own_is_noticed(folder):
    sums = folder / "SHA256SUMS"
    good = sums.read_bytes()
    for length in range(len(good)):
        sums.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            contents.verify(folder)
    sums.write_bytes(good + b"\n")
    with pytest.raises(CheckpointError, match="is damaged"):
        contents.verify(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "proof.json"])
def test_a_file_that_is_gone_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        contents.verify(folder)


def test_a_folder_without_a_list_is_no_bundle(tmp_path):
    with pytest.raises(CheckpointError, match="is not a bundle: it has no SHA256SUMS"):
        contents.verify(tmp_path)


def test_without_its_proof_it_is_none_except_to_the_proof(folder):
    (folder / "proof.json").unlink()
    contents.seal(folder)
    with pytest.raises(CheckpointError, match=r"lists no proof\.json"):
        contents.verify(folder)
    contents.verify(folder, needed=("config.json",))


def test_a_list_that_leads_out_of_the_folder_is_refused(folder):
    sums = folder / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  ../elsewhere\n{sums.read_text()}")
    with pytest.raises(CheckpointError, match="is damaged"):
        contents.verify(folder)


def test_another_version_is_told(folder):
    contents.write_json(folder / "config.json", {"format": 1})
    with pytest.raises(CheckpointError, match="has format 1, this PolySpace reads 2"):
        contents.read_config(folder)


def test_what_is_no_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        contents.write_json(tmp_path / "x.json", {"nan": float("nan")})
    assert not list(tmp_path.iterdir())
